//go:build unix

package evilworker

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"fandango/ipc"
)

// deed is what one target makes the worker do.
type deed struct {
	what string // in one line
	do   func(t *task)
}

// Targets are the names of all deeds, sorted: plain ones do no wrong, those of misdeeds begin with "x:".
func Targets() []string { return slices.Sorted(maps.Keys(deeds)) }

// What says in one line what a target does; "" when there is none of that name.
func What(target string) string { return deeds[target].what }

var deeds = merge(good, wire, values, texts, ends, hangs, cancels, resources)

func merge(groups ...map[string]deed) map[string]deed {
	all := map[string]deed{}
	for _, group := range groups {
		maps.Copy(all, group)
	}
	return all
}

var good = map[string]deed{
	"echo": {"answers its args", func(t *task) {
		if t.args == nil {
			t.answer(nil)
		} else {
			t.answer(t.args)
		}
	}},
	"pid": {"answers its process number", func(t *task) { t.answer(os.Getpid()) }},
	"work": {"answers its key after so many ms, and fails when it is cancelled before", func(t *task) {
		ms := 0.0
		t.arg(0, &ms)
		if t.rest(time.Duration(ms * float64(time.Millisecond))) {
			t.answer(t.key)
		} else {
			t.fail("I was told to")
		}
	}},
	"until": {"answers its key once the file is there", func(t *task) {
		path := ""
		t.arg(0, &path)
		for {
			if _, err := os.Stat(path); err == nil {
				break
			}
			<-time.After(2 * time.Millisecond)
		}
		t.answer(t.key)
	}},
	"size": {"answers a string that makes the message exactly so many bytes", func(t *task) {
		n := 0
		t.arg(0, &n)
		const head = 5 // of a str32
		t.send(str32(n-len(t.head())-head) + strings.Repeat("s", n-len(t.head())-head))
	}},
	"heed":   {"fails when it is cancelled", func(t *task) { t.cancelled(); t.fail("I was told to") }},
	"x:info": {"answers its descriptors, environment and limits", func(t *task) { t.answer(info()) }},
}

// Faults in the bytes of a message. Those that are no answer leave the worker hanging.
var wire = map[string]deed{
	"x:hdr":   {"ends inside the head of the key", func(*task) { write("\x92\xd9"); os.Exit(0) }},
	"x:trunc": {"ends inside the value", func(t *task) { t.send(str32(100) + strings.Repeat("t", 44)); os.Exit(0) }},
	"x:truncout": {"closes its stdout inside the value, and lives on", func(t *task) {
		t.send(str32(100) + strings.Repeat("t", 44))
		_ = os.Stdout.Close()
		hang()
	}},
	"x:zero": {"a message whose key is nil", func(*task) { write("\x92\xc0\x00"); hang() }},
	"x:over": {"a message that announces more bytes than args allow, and has none of them", func(t *task) {
		n := 0
		t.arg(0, &n)
		t.send(str32(n))
		hang()
	}},
	"x:lenbomb": {"an array of 4 G elements", func(t *task) { t.send("\xdd\xff\xff\xff\xff"); hang() }},
	"x:mapbomb": {"a map of 4 G entries", func(t *task) { t.send("\xdf\xff\xff\xff\xff"); hang() }},
	"x:strbomb": {"a string of 4 GiB", func(t *task) { t.send("\xdb\xff\xff\xff\xff"); hang() }},
	"x:binbomb": {"bytes of 4 GiB", func(t *task) { t.send("\xc6\xff\xff\xff\xff"); hang() }},
	"x:extbomb": {"an extension of 4 GiB", func(t *task) { t.send("\xc9\xff\xff\xff\xff\x05"); hang() }},
	"x:keybomb": {"a key of 4 GiB", func(*task) { write("\x92\xdb\xff\xff\xff\xff"); hang() }},
	"x:stall":   {"a legal head whose body never comes", func(t *task) { t.send(str32(1<<16) + "abc"); hang() }},
	"x:bytes": {"an answer, one byte at a time", func(t *task) {
		for _, b := range []byte(t.head() + "\xa5bytes") {
			write(string([]byte{b}))
		}
	}},
	"x:half": {"an answer in two halves, with a pause between them", func(t *task) {
		t.send("\xa4ha")
		<-time.After(50 * time.Millisecond)
		write("lf")
	}},
	"x:map":      {"a map instead of an array", func(*task) { write("\x81\xa1k\x01"); hang() }},
	"x:nonarr":   {"an integer instead of an array", func(*task) { write("\xce\x00\x00\x00\x07"); hang() }},
	"x:nil":      {"nil instead of an array", func(*task) { write("\xc0"); hang() }},
	"x:arr0":     {"an array of none", func(*task) { write("\x90"); hang() }},
	"x:arr1":     {"an array of one", func(t *task) { write("\x91" + t.head()[1:]); hang() }},
	"x:arr3":     {"an array of three with a value and an error", func(t *task) { write("\x93" + t.head()[1:] + "\x01\xa1e"); hang() }},
	"x:arr4":     {"an array of four", func(t *task) { write("\x94" + t.head()[1:] + "\x01\x02\x03"); hang() }},
	"x:keyint":   {"a key that is an integer", func(*task) { write("\x92\x07\x01"); hang() }},
	"x:keynil":   {"a key that is nil", func(*task) { write("\x92\xc0\x01"); hang() }},
	"x:keymap":   {"a key that is a map", func(*task) { write("\x92\x80\x01"); hang() }},
	"x:keyempty": {"an empty key", func(*task) { write("\x92\xa0\x01"); hang() }},
	"x:keylong":  {"a key of 513 bytes", func(*task) { write("\x92\xda\x02\x01" + strings.Repeat("k", 513) + "\x01"); hang() }},
	"x:keyutf8":  {"a key that is no UTF-8", func(*task) { write("\x92\xa2\xff\xfe\x01"); hang() }},
	"x:c1":       {"the byte that msgpack never uses", func(t *task) { t.send("\xc1"); hang() }},
	"x:trailing": {"an answer with two more values glued to it", func(t *task) { t.send("\xa8trailing\x01\xc0") }},
	"x:deep":     {"200,000 arrays in arrays", func(t *task) { t.send(strings.Repeat("\x91", 200_000)); hang() }},
	"x:nest16":   {"24,000 nested heads of array16 in 72 KB", func(t *task) { t.send(strings.Repeat("\xdc\xff\xff", 24_000)); hang() }},
	"x:dup": {"answers twice, with so many ms between the two", func(t *task) {
		ms := 0
		t.arg(0, &ms)
		t.answer(1)
		<-time.After(time.Duration(ms) * time.Millisecond)
		t.answer(2)
	}},
	"x:unknown": {"answers a key that nobody has sent", func(t *task) { t.answerAs("nobody asked", 1); hang() }},
	"x:forge": {"answers the key in args, which another worker has", func(t *task) {
		key := ""
		t.arg(0, &key)
		t.answerAs(key, "forged")
		hang()
	}},
	"x:late": {"answers after 300 ms", func(t *task) { <-time.After(300 * time.Millisecond); t.answer("late") }},
	"x:ahead": {"answers, and when the next request comes also the key in args, and reads nothing more of it", func(t *task) {
		next := ""
		t.arg(0, &next)
		t.answer("ahead")
		_, err := os.Stdin.Read(make([]byte, 1))
		check(err)
		t.answerAs(next, "unread")
		hang()
	}},
	"x:flood": {"answers keys that nobody has sent, for ever", func(t *task) {
		for i := 0; ; i++ {
			t.answerAs(fmt.Sprint("flood ", i), strings.Repeat("x", 1000))
		}
	}},
	"x:raw": {"writes the bytes in args, then answers", func(t *task) {
		var b []byte
		t.arg(0, &b)
		write(string(b))
		t.answer("raw")
	}},
}

// Values that are legal and strange: honest answers, all of them.
var values = map[string]deed{
	"x:utf8":      {"a string that is no UTF-8", func(t *task) { t.send("\xa4a\xff\xfeb") }},
	"x:u64":       {"2⁶⁴ − 1", func(t *task) { t.answer(uint64(math.MaxUint64)) }},
	"x:i64":       {"−2⁶³", func(t *task) { t.answer(int64(math.MinInt64)) }},
	"x:big53":     {"2⁵³ + 1", func(t *task) { t.answer(1<<53 + 1) }},
	"x:nan":       {"not a number", func(t *task) { t.answer(math.NaN()) }},
	"x:inf":       {"infinity", func(t *task) { t.answer(math.Inf(1)) }},
	"x:ninf":      {"minus infinity", func(t *task) { t.answer(math.Inf(-1)) }},
	"x:negzero":   {"minus zero", func(t *task) { t.send("\xcb\x80" + strings.Repeat("\x00", 7)) }},
	"x:ext":       {"an extension of a type that nobody knows", func(t *task) { t.send("\xc7\x03\x05abc") }},
	"x:ts":        {"a timestamp with more than 10⁹ ns", func(t *task) { t.send("\xd7\xff" + strings.Repeat("\xff", 8)) }},
	"x:fixext":    {"a timestamp of one byte", func(t *task) { t.send("\xd4\xff\x00") }},
	"x:dupmapkey": {"a map with one key twice", func(t *task) { t.send("\x82\xa1a\x01\xa1a\x02") }},
	"x:mapkeyarr": {"a map whose key is an array", func(t *task) { t.send("\x81\x91\x01\x02") }},
	"x:html":      {"markup", func(t *task) { t.answer(`<script>alert("x")</script><b>&amp;`) }},
	"x:esc":       {"terminal escapes, bidi, NUL", func(t *task) { t.answer("\x1b[2J\x1b]0;owned\a\r\u202egnp.exe\x00\u009b31m") }},
}

// Text where answers go.
var texts = map[string]deed{
	"x:text": {"prints, then answers", func(t *task) { write("Hello from a lib\n"); t.answer("after text") }},
	"x:chatter": {"prints the bytes in args before its answer, and the second ones behind it", func(t *task) {
		var before, behind []byte
		t.arg(0, &before)
		t.arg(1, &behind)
		write(string(before) + t.head() + "\xa4said" + string(behind))
	}},
	"x:interleave": {"another thread prints inside its answer", func(t *task) { t.send("\xaa01234" + "Hello" + "56789") }},
	"x:stderr": {"20 MiB on stderr, half of it in one line, then answers", func(t *task) {
		line := append(bytes.Repeat([]byte("x"), 1<<16), '\n')
		for range 160 {
			_, _ = os.Stderr.Write(line)
		}
		_, _ = os.Stderr.Write(make([]byte, 10<<20))
		fmt.Fprintln(os.Stderr, "\nthe end of the flood")
		t.answer("flooded")
	}},
	"x:stderresc": {"terminal escapes on stderr", func(t *task) { fmt.Fprint(os.Stderr, "\x1b[2J\x1b]0;owned\a\rforged line\n"); t.answer("said") }},
}

// Ends of the process.
var ends = map[string]deed{
	"x:exit":  {"exits with code 0, unanswered", func(*task) { os.Exit(0) }},
	"x:exit3": {"exits with code 3, unanswered, with last words", func(*task) { fmt.Fprintln(os.Stderr, "last words"); os.Exit(3) }},
	"x:dump": {"exits with code 2, and a reason and a long dump on stderr", func(*task) {
		fmt.Fprintln(os.Stderr, "fatal error: out of everything")
		for i := range 1000 {
			fmt.Fprintln(os.Stderr, "goroutine", i)
		}
		os.Exit(2)
	}},
	"x:kill9":     {"SIGKILL", func(*task) { suicide(syscall.SIGKILL) }},
	"x:segv":      {"SIGSEGV", func(*task) { segv() }},
	"x:replyexit": {"answers, and exits at once", func(t *task) { t.answer("done"); os.Exit(0) }},
	"x:grand": {"a grandchild outside its group keeps its stdout; it answers that one's number and exits", func(t *task) {
		t.answer(sleeper(true))
		os.Exit(0)
	}},
	"x:closein":  {"closes its stdin, answers and lives on", func(t *task) { _ = os.Stdin.Close(); t.answer("closed"); hang() }},
	"x:closeout": {"closes its stdout and lives on", func(*task) { _ = os.Stdout.Close(); hang() }},
}

// Ways to live on and not to answer.
var hangs = map[string]deed{
	"x:hang":       {"never answers", func(*task) { hang() }},
	"x:stop":       {"SIGSTOP", func(*task) { suicide(syscall.SIGSTOP) }},
	"x:cpu":        {"an endless loop", func(*task) { spin() }},
	"x:ign":        {"ignores TERM and INT, and never answers", func(*task) { signal.Ignore(syscall.SIGTERM, syscall.SIGINT); hang() }},
	"x:nostdin":    {"reads nothing more after this answer", func(t *task) { t.answer("answered"); hang() }},
	"x:answerhang": {"answers, then hangs", func(t *task) { t.answer("answered"); hang() }},
}

// Ways to be cancelled.
var cancels = map[string]deed{
	"x:cancelhalf":    {"answers half a value when it is cancelled", func(t *task) { t.cancelled(); t.answer("half") }},
	"x:canceldeaf":    {"hangs when it is cancelled", func(t *task) { t.cancelled(); hang() }},
	"x:cancelkey":     {"answers the cancel itself", func(t *task) { t.cancelled(); t.answerAs(ipc.KeyCancel, "yes"); hang() }},
	"x:cancelunknown": {"answers another key when it is cancelled", func(t *task) { t.cancelled(); t.answerAs("nobody asked", 1); hang() }},
	"x:cancelexit":    {"exits when it is cancelled", func(t *task) { t.cancelled(); os.Exit(0) }},
}

// Appetites.
var resources = map[string]deed{
	"x:mem": {"grows by 128 MiB and answers", func(t *task) {
		ballast = bytes.Repeat([]byte{1}, 128<<20)
		t.answer("grown")
	}},
	"x:oom": {"takes all the memory that a limit of its own allows", func(*task) {
		limit := syscall.Rlimit{Cur: 1 << 30, Max: 1 << 30}
		check(syscall.Setrlimit(syscall.RLIMIT_AS, &limit))
		for {
			ballast = append(ballast, bytes.Repeat([]byte{1}, 16<<20)...)
		}
	}},
	"x:kids": {"starts so many children in its group, one if args say nothing, and answers the last one's number", func(t *task) {
		n, pid := 1, 0
		t.arg(0, &n)
		for range n {
			pid = sleeper(false)
		}
		t.answer(pid)
	}},
	"x:family": {"starts a child with a child, both in its group, and one with a child outside it, and answers", func(t *task) {
		for _, outside := range []bool{false, true} {
			start(outside, "/bin/sh", "-c", "sleep 300 & exec sleep 300")
		}
		t.answer("family")
	}},
}

var ballast []byte

// str32 is the head of a string of n bytes.
func str32(n int) string {
	return string([]byte{0xdb, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) //nolint:gosec // a wire is made of bytes
}

func suicide(sig syscall.Signal) {
	check(syscall.Kill(os.Getpid(), sig))
	hang()
}

// segv ends by SIGSEGV, which a Go program would catch: a shell takes this one's place.
func segv() {
	check(syscall.Exec("/bin/sh", []string{"sh", "-c", "ulimit -c 0; kill -SEGV $$"}, os.Environ()))
}

func spin() {
	for i := 0; ; i++ {
		_ = i
	}
}

func sleeper(outside bool) (pid int) { return start(outside, "/bin/sleep", "300") }

// start starts a child that has this process's stdout and stderr, in its group or in a session of its own.
func start(outside bool, words ...string) (pid int) {
	p, err := os.StartProcess(words[0], words, &os.ProcAttr{
		Files: []*os.File{nil, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Setsid: outside},
	})
	check(err)
	return p.Pid
}

// info is what a worker can see of how it was started.
func info() map[string]any {
	open := []string{}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		to, err := os.Readlink(fd)
		// Not inherited: the listing itself, Go's poller, the files from which Go takes GOMAXPROCS, and the ledger.
		own := strings.HasPrefix(to, "/proc/") || strings.HasPrefix(to, "anon_inode") || strings.HasPrefix(to, "/sys/fs/cgroup/")
		if err == nil && !own && to != os.Getenv("EVIL_LEDGER") {
			open = append(open, filepath.Base(fd))
		}
	}
	limits := map[string]any{}
	for name, which := range map[string]int{
		"core": syscall.RLIMIT_CORE, "nofile": syscall.RLIMIT_NOFILE, "data": syscall.RLIMIT_DATA, "cpu": syscall.RLIMIT_CPU,
	} {
		var limit syscall.Rlimit
		if syscall.Getrlimit(which, &limit) == nil {
			limits[name] = uint64(limit.Cur) //nolint:unconvert // it is signed on some systems
		}
	}
	return map[string]any{"fds": open, "env": os.Environ(), "limits": limits}
}
