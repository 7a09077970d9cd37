//go:build !linux

package evalx

import "errors"

const canLimitMemory = false

// limitMemory says that there is no way: a limit that does not hold is none.
func limitMemory(int64) error { return errors.New("is not available on this system") }
