// Package schedule says when something runs next.
//
// [Every] is an anchored period: its k-th run is due at start + k·period, whatever each run took. It is pure: the time is
// an argument. [Loop] is the one goroutine that waits for what is due, for any number of entries with one timer.
// [ParseDuration] reads a duration as a person types it.
package schedule
