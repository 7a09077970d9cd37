package main

// wish is what a signal asks for.
type wish int

const (
	nothing   wish = iota
	interrupt      // once: begin nothing new; twice: end now
	terminate      // the same, within the grace
	inform         // one line about how far it is
)
