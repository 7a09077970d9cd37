//go:build !unix

package proctest

import "time"

// CPU is how much time on a processor this process has used so far; 0 where that is not known.
func CPU() time.Duration { return 0 }
