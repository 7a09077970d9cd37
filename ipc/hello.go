package ipc

// Protocol is the version of the protocol. Within it there are only additions.
const Protocol = 1

// Greeting is the args of the first request, [KeyHello, KeyHello, Greeting]: what a worker may know of its master.
type Greeting struct {
	Protocol int    `msgpack:"protocol"`
	Wire     Wire   `msgpack:"wire"`
	Group    string `msgpack:"group"`
	Worker   int    `msgpack:"worker"` // 1 … Of
	Of       int    `msgpack:"of"`
}

// RequestOptions is the fourth element of a request, for a worker that claims options: what it may know of a run. More
// members may come; a worker ignores those that it does not know.
type RequestOptions struct {
	All     bool `msgpack:"all,omitempty"`     // every worker is given this request
	Batch   bool `msgpack:"batch,omitempty"`   // the answer may share a write with others, within a millisecond
	Attempt int  `msgpack:"attempt,omitempty"` // 2 for the first run after one that had no answer; 0: not told
}

// Hello is a worker's answer to the greeting: what it claims. What it does not claim is not used. A worker that answers
// the greeting with an error, or with anything else, claims nothing and is as valid.
type Hello struct {
	Name     string   `msgpack:"name,omitempty"`
	Protocol int      `msgpack:"protocol,omitempty"`
	Ordered  bool     `msgpack:"ordered,omitempty"`  // each answer is written out before the next task begins
	Targets  []string `msgpack:"targets,omitempty"`  // names that it knows
	Classes  []string `msgpack:"classes,omitempty"`  // classes that KeyBind can construct
	Batch    bool     `msgpack:"batch,omitempty"`    // knows the option of that name
	Options  bool     `msgpack:"options,omitempty"`  // takes a fourth element of a request, RequestOptions
	Cancel   bool     `msgpack:"cancel,omitempty"`   // ends the task that it runs when it is sent KeyCancel, and lives on
	Diagnose string   `msgpack:"diagnose,omitempty"` // the signal that makes it print its stacks on stderr
}
