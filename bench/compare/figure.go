package main

// work is what a peer is asked to do.
type work struct {
	mode    string // sync or pipelined
	workers int
	payload int
}

// figure is one thing that is compared.
type figure struct {
	name   string
	title  string
	goal   string
	unit   unit
	work   work
	oneCPU bool
	limit  string // whose value is the limit
	who    []string
	way    way // nil: peers print a line of JSON
	times  int // how much longer than others a turn is; 0: not at all
}

// unit says which field of a line is compared, and whether less is better.
type unit struct {
	name string
	of   func(line) float64
	less bool
}

// line is what each peer prints.
type line struct {
	Peer      string  `json:"peer"`
	Tasks     int     `json:"tasks"`
	Seconds   float64 `json:"seconds"`
	TasksPerS float64 `json:"tasks_per_s"`
	P50       float64 `json:"p50_us"`
	MBPerS    float64 `json:"mb_per_s"`
	Failed    int     `json:"failed"`
}

var (
	micros = unit{"µs", func(l line) float64 { return l.P50 }, true}
	rate   = unit{"/s", func(l line) float64 { return l.TasksPerS }, false}
	volume = unit{"MB/s", func(l line) float64 { return l.MBPerS }, false}
)

// The names of those who are compared, as the table shows them.
const (
	raw         = "raw pipe"
	rawEach     = "raw pipe, a write for each answer"
	rawBlocking = "raw pipe, descriptors that block"
	rawLarge    = "raw pipe of 1 MiB"
	largeEach   = "raw pipe of 1 MiB, a write for each answer"
	ours        = "**fandango**"
	oursAgain   = "**fandango --idempotent**"
	oursInC     = "**fandango, a worker in C**"
	netRPC      = "go-plugin, net/rpc"
	gRPC        = "go-plugin, gRPC"
	erlang      = "Erlang port, an echo in C"
	submit      = "Python ProcessPoolExecutor.submit"
	imap        = "Python Pool: apply, imap_unordered"
	imap64      = "Python Pool.imap_unordered, chunks of 64"
	node        = "npm workerpool, processes"
	xargs       = "xargs -P2"
	parallel    = "GNU parallel -j2"
	bare        = "a bare Go child"
	bareMany    = "8 bare Go children"
)

var (
	others    = []string{erlang, netRPC, gRPC, submit, imap, node}
	syncWho   = append([]string{raw, rawBlocking, ours, oursInC}, others...)
	smallWho  = append([]string{raw, rawEach, ours, oursAgain, oursInC, imap64}, others...)
	mediumWho = append([]string{raw, rawLarge, largeEach, ours, oursAgain, imap64}, others...)
	largeWho  = append([]string{raw, rawLarge, ours}, others...)
)

var figures = []figure{
	{"sync-one-cpu", "64 B, one caller, p50, all on one CPU", "≤ 1.25 × limit", micros, work{"sync", 1, 64}, true, raw, syncWho, nil, 0},
	{"sync", "64 B, one caller, p50, as placed", "≤ 25 µs", micros, work{"sync", 1, 64}, false, raw, syncWho, nil, 0},
	{"pipelined-1", "64 B, pipelined, 1 worker", "≥ 600 k; idempotent ≥ 3 M", rate, work{"pipelined", 1, 64}, false, raw, smallWho, nil, 0},
	{"pipelined-2", "64 B, pipelined, 2 workers", "≥ 700 k; idempotent ≥ 3 M", rate, work{"pipelined", 2, 64}, false, raw, smallWho, nil, 0},
	{"4k", "4 KiB, pipelined, 1 worker", "≥ 0.6 × limit", rate, work{"pipelined", 1, 4 << 10}, false, rawLarge, mediumWho, nil, 0},
	{"1m", "1 MiB, pipelined, 1 worker", "≥ 0.85 × limit", volume, work{"pipelined", 1, 1 << 20}, false, rawLarge, largeWho, nil, 0},
	{"1m-sync", "1 MiB, one caller, p50", "≤ 1.5 × limit", micros, work{"sync", 1, 1 << 20}, false, rawLarge, largeWho, nil, 0},
	{"exec", "a process for each task, 2 at a time", "≥ 0.7 × xargs", rate, work{}, false, xargs, []string{xargs, ours, parallel}, execEach, 3},
	{"start", "from the start of a process to its first answer, p50", "≤ 2 ×", micros, work{}, false, bare, []string{bare, ours}, startOne, 0},
	{"start-8", "8 at once, from the start to the last one's first answer, p50", "≤ 2 ×", micros, work{}, false, bareMany, []string{bareMany, ours}, startMany, 0},
}
