//go:build unix

package pool_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fandango/internal/proctest"
	"fandango/ipc"
	"fandango/pool"
)

// playMortal is an honest worker that dies at one moment of its first life: args are the moment, a file that says that
// it has died already, and the ledger. Moments are counted: a request read, its task noted as begun, and each piece of
// its answer written.
func playMortal(args []string) {
	left, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	if _, err := os.Stat(args[1]); err == nil {
		left = -1 // its second life has no end
	}
	moment := func() {
		if left--; left == 0 {
			if err := os.WriteFile(args[1], nil, 0o600); err != nil {
				panic(err)
			}
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	in := ipc.NewDecoder(os.Stdin, ipc.DecoderConfig{})
	for {
		r, err := in.Request()
		if err != nil {
			return
		}
		var out strings.Builder
		e := ipc.NewEncoder(&out, ipc.Msgpack, ipc.Limits{})
		if r.Key == ipc.KeyHello {
			claims, err := ipc.Encode(ipc.Hello{Name: "mortal", Ordered: true})
			if err != nil {
				panic(err)
			}
			_ = e.Answer(r.Key, claims)
			_ = e.Flush()
			_, _ = os.Stdout.WriteString(out.String())
			continue
		}
		moment()
		appendLine(args[2], r.Key)
		moment()
		_ = e.Answer(r.Key, r.Args)
		_ = e.Flush()
		for _, b := range []byte(out.String()) {
			_, _ = os.Stdout.Write([]byte{b})
			moment()
		}
	}
}

func appendLine(path, line string) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	_, _ = f.WriteString(line + "\n")
	_ = f.Close()
}

// TestDeathAtEveryMomentBetweenTwoAnswers holds decision 4 to the byte: wherever a worker that is fed ahead dies, no
// task is begun twice and none is lost, by its own ledger, and at most the one that it ran is a crash.
func TestDeathAtEveryMomentBetweenTwoAnswers(t *testing.T) {
	const quick, tasks = 20, 24 // after 16 answers it is fed ahead
	step := 1
	if testing.Short() {
		step = 7
	}
	moments := 2 + len("\x92\xa3k23\x91\x17") // of one task
	for at := quick * moments; at < (quick+2)*moments+1; at += step {
		t.Run(strconv.Itoa(at), func(t *testing.T) {
			dir := t.TempDir()
			ledger := filepath.Join(dir, "ledger")
			p, _ := start(t, pool.Config{Workers: 1, Command: proctest.Command("mortal", strconv.Itoa(at), filepath.Join(dir, "died"), ledger)})
			var outcomes []<-chan ipc.Outcome
			for i := range tasks {
				outcomes = append(outcomes, submit(t, p, task(t, "k"+strconv.Itoa(10+i), "echo", 10+i)))
			}
			begun := map[string]int{}
			crashes := 0
			for i, outcome := range outcomes {
				switch o := <-outcome; {
				case o.Err == nil && o.Value.String() == fmt.Sprintf("[%d]", 10+i) && o.Attempts == 1:
				case ipc.KindOf(o.Err) == ipc.KindCrash:
					crashes++
				default:
					t.Errorf("task %d: %+v", i, o)
				}
			}
			written, err := os.ReadFile(ledger)
			if err != nil {
				t.Fatal(err)
			}
			for key := range strings.Lines(string(written)) {
				begun[strings.TrimSpace(key)]++
			}
			for key, n := range begun {
				if n > 1 {
					t.Errorf("task %s was begun %d times", key, n)
				}
			}
			if crashes > 1 || len(begun)+crashes < tasks {
				t.Errorf("%d crashes, %d of %d tasks begun", crashes, len(begun), tasks)
			}
		})
	}
}

// TestPythonWorkersOfManyKinds holds what a library in between may do to the order and the time of answers.
func TestPythonWorkersOfManyKinds(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("FANDANGO_NO_SKIP") != "" {
			t.Fatal("python3 is not there")
		}
		t.Skip("python3 is not there")
	}
	const preamble = "import json, os, sys\n" +
		"def note(key):\n    with open(os.environ['LEDGER'], 'a') as f: f.write(key + '\\n')\n"
	for name, script := range map[string]string{
		"no flush": preamble + `
for line in sys.stdin:
    key, target, args = json.loads(line)
    if not key.startswith("__"): note(key)
    print(json.dumps([key, args]))
`,
		"thread pool": preamble + `
from concurrent.futures import ThreadPoolExecutor
import threading
lock = threading.Lock()
def work(key, args):
    if not key.startswith("__"): note(key)
    with lock: print(json.dumps([key, args]), flush=True)
with ThreadPoolExecutor(4) as pool:
    for line in sys.stdin:
        key, target, args = json.loads(line)
        pool.submit(work, key, args)
`,
		"prints": preamble + `
for line in sys.stdin:
    key, target, args = json.loads(line)
    if not key.startswith("__"): note(key)
    print("working on", key, "…", end=" ")
    print(json.dumps([key, args]))
    print("done")
`,
	} {
		t.Run(name, func(t *testing.T) {
			ledger := filepath.Join(t.TempDir(), "ledger")
			p, _ := start(t, pool.Config{
				Workers: 2, Wire: ipc.JSON, Command: []string{python, "-c", script}, Env: with("LEDGER=" + ledger),
			})
			var outcomes []<-chan ipc.Outcome
			for i := range 300 {
				outcomes = append(outcomes, submit(t, p, task(t, "k"+strconv.Itoa(i), "echo", i)))
				if i%100 == 50 {
					killOne(p)
				}
			}
			crashes := 0
			for i, outcome := range outcomes {
				switch o := <-outcome; {
				case o.Err == nil && o.Value.String() == fmt.Sprintf("[%d]", i):
				case ipc.KindOf(o.Err) == ipc.KindCrash:
					crashes++
				default:
					t.Errorf("task %d: %+v", i, o)
				}
			}
			if crashes > 3 {
				t.Errorf("%d crashes of 3 kills", crashes)
			}
			written, err := os.ReadFile(ledger)
			if err != nil {
				t.Fatal(err)
			}
			begun := map[string]bool{}
			for key := range strings.Lines(string(written)) {
				if begun[key] {
					t.Errorf("task %s was begun twice", strings.TrimSpace(key))
				}
				begun[key] = true
			}
			if len(begun) < 300-crashes {
				t.Errorf("%d tasks were begun, and %d crashed", len(begun), crashes)
			}
		})
	}
}
