// Package schedule says when something runs next.
//
// [Every] is an anchored period: its k-th run is due at start + k·period, whatever each run took; [Stagger] keeps many of
// them from running at once. [Cron] is a crontab line, right on the nights when the clocks change; [Cursor] follows one, and
// knows what to do when the clock was set or the machine has slept. All these are pure: the time is an argument. [Loop] is
// the one goroutine that waits for what is due, for any number of entries with one timer; [Alarm] is how it waits, to the
// tenth of a millisecond. [ParseDuration] reads a duration as a person types it.
package schedule
