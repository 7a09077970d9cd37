//go:build unix

package pool_test

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/ipc"
)

func TestMain(m *testing.M) {
	proctest.Main(m, map[string]func([]string){
		"worker": playWorker,
		"cat":    func([]string) { _, _ = io.Copy(os.Stdout, os.Stdin) },
		"exit":   func(args []string) { exitWith(args[0]) },
		"until": func(args []string) { // fails until a file is there
			if _, err := os.Stat(args[0]); err != nil {
				os.Exit(1)
			}
			playWorker(nil)
		},
		"mute": func([]string) { _, _ = io.Copy(io.Discard, os.Stdin) },
	})
}

func exitWith(code string) {
	var n int
	_, _ = fmt.Sscan(code, &n)
	fmt.Fprintf(os.Stderr, "exiting with %d\n", n)
	os.Exit(n)
}

// playWorker is a worker that does, and answers, what its target says: "echo", or one of the misdeeds below. It knows no
// greeting, and says so as the simplest worker would.
func playWorker([]string) {
	stdout := os.Stdout
	e := ipc.NewEncoder(stdout, ipc.Msgpack, ipc.Limits{})
	d := ipc.NewDecoder(os.Stdin, ipc.DecoderConfig{})
	answer := func(key string, v any) {
		raw, err := ipc.Encode(v)
		if err != nil {
			panic(err)
		}
		if err := e.Answer(key, raw); err != nil {
			panic(err)
		}
		if err := e.Flush(); err != nil {
			os.Exit(0)
		}
	}
	for {
		r, err := d.Request()
		if err != nil {
			return
		}
		target, _ := r.Target.Text()
		misdeed, known := misdeeds[target]
		switch {
		case target == "echo":
			if r.Args == nil {
				answer(r.Key, nil)
			} else {
				answer(r.Key, r.Args)
			}
		case r.Key == ipc.KeyHello && os.Getenv("CLAIM") != "":
			answer(r.Key, map[string]any{"name": "claims", "diagnose": os.Getenv("CLAIM")})
		case target == "ledger": // write down that it was begun, then answer
			var args []string
			if err := r.Args.Decode(&args); err != nil {
				panic(err)
			}
			note(args[0], r.Key)
			answer(r.Key, r.Key)
		case target == "pid":
			answer(r.Key, os.Getpid())
		case known:
			misdeed(r.Key, answer)
		default:
			_ = e.Failure(r.Key, ipc.Errorf(ipc.KindTask, "no such target: %s", target))
			_ = e.Flush()
		}
	}
}

// misdeeds are named as in the catalogue of faults.
var misdeeds = map[string]func(key string, answer func(string, any)){
	"x:exit":  func(string, func(string, any)) { os.Exit(0) },
	"x:exit3": func(string, func(string, any)) { fmt.Fprintln(os.Stderr, "last words"); os.Exit(3) },
	"x:dump": func(string, func(string, any)) {
		fmt.Fprintln(os.Stderr, "fatal error: out of everything")
		for i := range 1000 {
			fmt.Fprintln(os.Stderr, "goroutine", i)
		}
		os.Exit(2)
	},
	"x:kill9": func(string, func(string, any)) { suicide(syscall.SIGKILL) },
	"x:stop":  func(string, func(string, any)) { suicide(syscall.SIGSTOP) },
	"x:hang":  func(string, func(string, any)) { hang() },
	"x:ign": func(string, func(string, any)) {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		hang()
	},
	"x:cpu": func(string, func(string, any)) {
		for i := 0; ; i++ {
			_ = i
		}
	},
	"x:replyexit":  func(key string, answer func(string, any)) { answer(key, "done"); os.Exit(0) },
	"x:dup":        func(key string, answer func(string, any)) { answer(key, 1); answer(key, 2) },
	"x:unknown":    func(_ string, answer func(string, any)) { answer("nobody asked", 1); hang() },
	"x:trunc":      func(string, func(string, any)) { write("\x92\xa1k\xdc"); os.Exit(0) },
	"x:zero":       func(string, func(string, any)) { write("\x92\xc0\x00"); hang() },
	"x:lenbomb":    func(string, func(string, any)) { write("\x92\xa1k\xdd\xff\xff\xff\xff"); hang() },
	"x:text":       func(key string, answer func(string, any)) { write("Hello from a lib\n"); answer(key, "after text") },
	"x:closein":    func(key string, answer func(string, any)) { _ = os.Stdin.Close(); answer(key, "closed"); hang() },
	"x:closeout":   func(string, func(string, any)) { _ = os.Stdout.Close(); hang() },
	"x:stderr":     func(key string, answer func(string, any)) { flood(); answer(key, "flooded") },
	"x:slowanswer": func(key string, answer func(string, any)) { <-time.After(300 * time.Millisecond); answer(key, "slow") },
	"x:answerhang": func(key string, answer func(string, any)) { answer(key, "answered"); hang() },
	"x:mem": func(key string, answer func(string, any)) {
		ballast = make([]byte, 128<<20)
		touch(ballast)
		answer(key, "grown")
	},
	"x:grand": func(key string, answer func(string, any)) { // a grandchild outside the group keeps stdout open
		attr := &os.ProcAttr{Files: []*os.File{nil, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{Setsid: true}}
		p, err := os.StartProcess("/bin/sleep", []string{"sleep", "300"}, attr)
		if err != nil {
			panic(err)
		}
		answer(key, p.Pid)
		os.Exit(0)
	},
	"x:child": func(key string, answer func(string, any)) { // a child in the group
		p, err := os.StartProcess("/bin/sleep", []string{"sleep", "300"}, &os.ProcAttr{Files: []*os.File{nil, os.Stdout, os.Stderr}})
		if err != nil {
			panic(err)
		}
		answer(key, p.Pid)
	},
}

var ballast []byte

func touch(b []byte) {
	for i := range b {
		b[i] = 1
	}
}

func hang() { // select {} alone is a deadlock, which Go ends
	for {
		<-time.After(time.Hour)
	}
}

// note appends one line, in one write.
func note(path, line string) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		panic(err)
	}
	_ = f.Close()
}

func suicide(sig syscall.Signal) {
	_ = syscall.Kill(os.Getpid(), sig)
	hang()
}

func write(s string) { _, _ = os.Stdout.WriteString(s) }

func flood() {
	line := []byte(strings.Repeat("x", 1<<16) + "\n")
	for range 160 { // 10 MiB
		_, _ = os.Stderr.Write(line)
	}
	_, _ = os.Stderr.Write(make([]byte, 10<<20)) // without a newline
	fmt.Fprintln(os.Stderr, "\nthe end of the flood")
}
