//go:build !linux

package schedule

func systemSleeper() sleeper { return nil }
