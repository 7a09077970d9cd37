//go:build unix

// Package evilworker is a worker that does whatever wrong its target names: the misdeeds of the catalogue of faults, for
// a test binary and for cmd/chaos to play. It can also misbehave at its start, and it keeps a ledger of the tasks that it
// began, which no master can make look better.
//
// Its environment says how it is to be:
//
//	EVIL_START=exitN        exit with code N before the first answer
//	EVIL_START=text         print a banner on stdout, then serve
//	EVIL_START=slow:SECONDS serve only after a while
//	EVIL_START=stop         SIGSTOP before anything is read
//	EVIL_START=hang         read nothing and answer nothing, ever
//	EVIL_START=early        answer a request that nobody has sent
//	EVIL_START=until:PATH   exit 1 as long as there is no such file
//	EVIL_CLAIM=ordered      claim in the hello that each answer is written before the next task begins, which is so
//	EVIL_CLAIM=cancel       claim to know how a task is cancelled, as "work" and some others do
//	EVIL_CLAIM=SIGNAL       claim that this signal makes it print its stacks; several: ordered,SIGNAL
//	EVIL_LEDGER=PATH        note there each task that it begins; see ReadLedger
package evilworker

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fandango/ipc"
)

// worker is this process.
type worker struct {
	in     *ipc.Decoder
	out    *ipc.Encoder
	ledger *ledger // nil: none is kept
	heeds  bool    // it claims to know how a task is cancelled

	coming chan arrival  // 1-buffered: what is being read beside a task; nil: nothing is
	kept   []ipc.Request // what came while another task ran
	ended  bool          // stdin has
}

// arrival is what came on stdin while a task ran.
type arrival struct {
	ipc.Request
	err error
}

// task is the request that it works on.
type task struct {
	*worker
	key  string
	args ipc.Raw
}

// Serve plays the worker on stdin and stdout until stdin ends, or until a misdeed ends the process.
func Serve() {
	begin(os.Getenv("EVIL_START"))
	w := &worker{
		in:     ipc.NewDecoder(os.Stdin, ipc.DecoderConfig{}),
		out:    ipc.NewEncoder(os.Stdout, ipc.Msgpack, ipc.Limits{}),
		ledger: openLedger(os.Getenv("EVIL_LEDGER")),
		heeds:  slices.Contains(strings.Split(os.Getenv("EVIL_CLAIM"), ","), "cancel"),
	}
	for {
		r, err := w.next()
		if err != nil {
			return
		}
		t := &task{w, r.Key, r.Args}
		if r.Key == ipc.KeyHello {
			t.hello()
			continue
		}
		w.note(r.Key)
		if r.Key == ipc.KeyCancel { // of a task that has ended
			continue
		}
		target, _ := r.Target.Text()
		if deed, known := deeds[target]; known {
			deed.do(t)
		} else {
			t.fail("no such target: " + target)
		}
	}
}

func (w *worker) note(key string) {
	if w.ledger != nil {
		w.ledger.note(key)
	}
}

// next is the next request for Serve.
func (w *worker) next() (ipc.Request, error) {
	switch {
	case len(w.kept) > 0:
		r := w.kept[0]
		w.kept = w.kept[1:]
		return r, nil
	case w.ended:
		return ipc.Request{}, io.EOF
	case w.coming != nil:
		a := <-w.coming
		w.coming = nil
		return a.Request, a.err
	}
	return w.in.Request()
}

// arrivals reads one more request beside a task; what it gives is for arrived. It gives nothing when stdin has ended.
func (w *worker) arrivals() <-chan arrival {
	if w.coming == nil && !w.ended {
		coming := make(chan arrival, 1)
		w.coming = coming
		go func() {
			r, err := w.in.Request()
			coming <- arrival{r, err}
		}()
	}
	return w.coming
}

// arrived takes in what came beside the task, and says whether that cancels it.
func (t *task) arrived(a arrival) bool {
	t.coming = nil
	switch {
	case a.err != nil:
		t.ended = true
	case a.Key == ipc.KeyCancel:
		t.note(a.Key)
		key, _ := a.Args.Text()
		return key == t.key
	default: // its turn comes; its bytes are those of a buffer that is used again
		a.Target, a.Args = slices.Clone(a.Target), slices.Clone(a.Args)
		t.kept = append(t.kept, a.Request)
	}
	return false
}

// cancelled waits until the task is cancelled. It ends the process when stdin ends.
func (t *task) cancelled() {
	for !t.ended {
		if t.arrived(<-t.arrivals()) {
			return
		}
	}
	os.Exit(0)
}

// rest waits for a while. It says false when the worker claims to know how a task is cancelled, and this one was.
func (t *task) rest(d time.Duration) bool {
	over := time.After(d)
	if !t.heeds {
		<-over
		return true
	}
	for {
		select {
		case <-over:
			return true
		case a := <-t.arrivals():
			if t.arrived(a) {
				return false
			}
		}
	}
}

// begin is the start, as it is wanted.
func begin(how string) {
	kind, arg, _ := strings.Cut(how, ":")
	switch kind {
	case "":
	case "text":
		write("Welcome to a library that greets on stdout\n")
	case "slow":
		seconds, err := strconv.ParseFloat(arg, 64)
		check(err)
		<-time.After(time.Duration(seconds * float64(time.Second)))
	case "hang":
		hang()
	case "stop":
		suicide(syscall.SIGSTOP)
	case "early":
		write("\x92\xa5early\x01")
	case "until":
		if _, err := os.Stat(arg); err != nil { //nolint:gosec // the test names it
			os.Exit(1)
		}
	default:
		code, err := strconv.Atoi(strings.TrimPrefix(kind, "exit"))
		check(err)
		fmt.Fprintf(os.Stderr, "exiting with %d\n", code)
		os.Exit(code)
	}
}

// hello knows the greeting only when it has something to claim, as the simplest worker would not.
func (t *task) hello() {
	if words := os.Getenv("EVIL_CLAIM"); words != "" {
		claims := ipc.Hello{Name: "evil"}
		for word := range strings.SplitSeq(words, ",") {
			switch word {
			case "ordered":
				claims.Ordered = true
			case "cancel":
				claims.Cancel = true
			default:
				claims.Diagnose = word
			}
		}
		t.answer(claims)
		return
	}
	t.fail("no such target: " + t.key)
}

func (t *task) answer(v any) { t.answerAs(t.key, v) }

func (t *task) answerAs(key string, v any) {
	raw, err := ipc.Encode(v)
	check(err)
	check(t.out.Answer(key, raw))
	t.flush()
}

func (t *task) fail(why string) {
	check(t.out.Failure(t.key, ipc.Errorf(ipc.KindTask, "%s", why)))
	t.flush()
}

// flush ends the process when nobody reads any more.
func (t *task) flush() {
	if t.out.Flush() != nil {
		os.Exit(0)
	}
}

// head is the beginning of an honest answer: all but its value.
func (t *task) head() string {
	key, err := ipc.Encode(t.key)
	check(err)
	return "\x92" + string(key)
}

// send writes an answer whose value is these bytes.
func (t *task) send(value string) { write(t.head() + value) }

// arg decodes the i-th of the args into v, which keeps what it has when there is none.
func (t *task) arg(i int, v any) {
	var args []ipc.Raw
	if t.args != nil {
		check(t.args.Decode(&args))
	}
	if i < len(args) {
		check(args[i].Decode(v))
	}
}

func write(s string) { _, _ = os.Stdout.WriteString(s) }

// hang never returns; select {} alone is a deadlock, which Go ends.
func hang() {
	for {
		<-time.After(time.Hour)
	}
}

// check is for what only a mistake in a test can bring about.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
