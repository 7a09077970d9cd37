package main

// wish is what a signal asks for.
type wish int

const (
	nothing   wish = iota
	interrupt      // once: begin nothing new; twice: end now
	terminate      // the same, within the grace
	hangUp         // a batch: terminate; a daemon: read the file again
	inform         // one line about how far it is
)
