//go:build !linux

package proc

import "errors"

// become cannot set bounds here.
func become(Confine, []string) error { return errors.ErrUnsupported }
