//go:build !race

// The race detector reserves more address space than RLIMIT_AS leaves it, so the bombs go off without it.

package evalx_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"fandango/internal/proctest"
	"fandango/ipc"
)

// worker is a process that plays the worker.
type worker struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	enc    *ipc.Encoder
	dec    *ipc.Decoder
	stderr bytes.Buffer
}

func startWorker(t *testing.T, flags ...string) *worker {
	t.Helper()
	command := proctest.Command("worker", flags...)
	w := &worker{cmd: exec.Command(command[0], command[1:]...)}
	w.cmd.Env = append(os.Environ(), "MASTER_WIRE=msgpack", "MASTER_WORKER=test/1")
	w.cmd.Stderr = &w.stderr
	var err error
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.enc = ipc.NewEncoder(w.in, ipc.Msgpack, ipc.Limits{})
	w.dec = ipc.NewDecoder(out, ipc.DecoderConfig{})
	t.Cleanup(func() {
		if w.cmd.ProcessState == nil {
			w.in.Close()
			_ = w.cmd.Wait()
		}
	})
	return w
}

// ask sends an expression and reads its answer; the error is the decoder's when the worker died.
func (w *worker) ask(t *testing.T, source string) (ipc.Answer, error) {
	t.Helper()
	if err := w.enc.Request("k", encode(t, source), nil); err != nil {
		t.Fatal(err)
	}
	if err := w.enc.Flush(); err != nil {
		return ipc.Answer{}, err
	}
	return w.dec.Answer()
}

// end closes the worker's stdin, waits, and returns its exit code and the most memory that it had.
func (w *worker) end(t *testing.T) (code int, peak int64) {
	t.Helper()
	w.in.Close()
	var exit *exec.ExitError
	if err := w.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if usage, ok := w.cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		peak = usage.Maxrss << 10
	}
	return w.cmd.ProcessState.ExitCode(), peak
}

// TestBombs holds that no text takes more memory than --memory allows: it ends as an error, or the worker dies and says
// that it is out of memory. The next worker is well.
func TestBombs(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	const (
		memory = "--memory=128MiB"
		peak   = (128 + 64) << 20 // and what the worker has when it is ready
	)
	bombs := map[string]string{
		"range":              "list(range(10*1000*1000*1000))",
		"string":             `"x" * (1 << 30)`,
		"string below limit": `"x" * ((1 << 30) - 1)`,
		"list repeat":        "[0] * (1 << 27)",
		"sorted":             "sorted(range(30000000))",
		"doubling":           "x = [1]\nwhile True:\n  x = x + x",
		"doubling string":    "x = 'ab'\nwhile True:\n  x = x + x",
		"comprehension":      "[x for x in range(1 << 40)]",
		"dict":               "{x: [x] for x in range(1 << 40)}",
		"brackets":           strings.Repeat("(", 200_000),
		"brackets closed":    strings.Repeat("(", 100_000) + "1" + strings.Repeat(")", 100_000),
		"too long":           strings.Repeat("(", 2_000_000),
		"lists":              strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
		"not":                strings.Repeat("not ", 50_000) + "1",
		"minus":              strings.Repeat("-", 200_000) + "1",
		"sum":                strings.Repeat("1+", 100_000) + "1",
		"lambda":             strings.Repeat("lambda: ", 30_000) + "1",
		"condition":          strings.Repeat("1 if 0 else ", 20_000) + "1",
		"attributes":         "x" + strings.Repeat(".a", 100_000),
		"calls":              "x" + strings.Repeat("()", 100_000),
		"indented":           indented(600),
		"elif":               "if 0:\n pass\n" + strings.Repeat("elif 0:\n 1\n", 5_000) + "nothing",
		"elif, most":         "if 0:\n pass\n" + strings.Repeat("elif 0:\n 1\n", 23_000) + "nothing",
		"squares":            "x = 3\nwhile True:\n  x = x * x",
		"squares in place":   "x = [3]\nwhile True:\n  x[0] *= x[0]",
		"squares by square":  "x = 3\nwhile True:\n  x = square(x)",
		"large products":     "x = pow(3, 20000)\nwhile True:\n  y = x * x",
		"sums of itself":     "x = 1\nwhile True:\n  x += x",
		"shifts":             "x = 1\nwhile True:\n  x <<= 511",
		"digits":             "int('9' * 10000000)",
		"digits in JSON":     "json.decode('9' * 10000000)",
		"recursion":          "def f(n):\n  return f(n + 1) + 1\nf(0)",
		"recursion by map":   "def f(n):\n  return map(f, [n])\nf(0)",
		"recursion by sort":  "def f(n):\n  return sorted([n], key=f)\nf(0)",
		"recursion by eval":  "x = 'eval(x)'\neval(x)",
		"nested list":        "x = []\nfor i in range(1000000):\n  x = [x]\nx",
		"nested list text":   "x = []\nfor i in range(1000000):\n  x = [x]\nstr(x)",
		"nested tuple hash":  "x = ()\nfor i in range(1000000):\n  x = (x,)\n{x: 1}",
		"nested equal":       "x = []\ny = []\nfor i in range(100000):\n  x = [x]\n  y = [y]\nx == y",
		"itself":             "x = []\nx.append(x)\nx",
		"shared answer":      "x = [1]\nfor i in range(60):\n  x = [x, x]\nx",
		"shared text":        "x = [1]\nfor i in range(60):\n  x = [x, x]\nstr(x)",
		"json nested":        `json.decode("[" * 1000000)`,
		"json nested valid":  `json.decode("[" * 1000000 + "]" * 1000000)`,
		"power":              "pow(10, pow(10, 10))",
		"width":              `"%1000000000d" % 1`,
		"precision":          `"{:.1000000000f}".format(1.0)`,
		"replace":            `("x" * 100000).replace("x", "y" * 100000)`,
		"join":               `("y" * 100000).join(["x"] * 100000)`,
		"set":                "set(range(1 << 40))",
		"zip":                "zip(range(1 << 40), range(1 << 40))",
		"map":                "map(lambda x: x, range(1 << 40))",
		"large answer":       `"x" * (100 << 20)`,
	}
	for name, source := range bombs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startWorker(t, memory, "--timeout=1s")
			began := time.Now()
			answer, err := w.ask(t, source)
			took := time.Since(began)
			code, used := w.end(t)
			switch {
			case err == nil && answer.Err == nil:
				t.Errorf("it has a value: %.80s", answer.Value)
			case err == nil && code != 0:
				t.Errorf("answered %v, then exit code %d\n%s", answer.Err, code, w.stderr.String())
			case err != nil && (code != 2 || !strings.Contains(w.stderr.String(), "out of memory")):
				t.Errorf("the worker died with exit code %d: %.2000s", code, w.stderr.String())
			}
			if used > peak {
				t.Errorf("peak of %d MiB, want at most %d", used>>20, peak>>20)
			}
			how := "died, out of memory"
			if err == nil && answer.Err != nil {
				how = answer.Err.Error()
			}
			t.Logf("%d MiB, %v: %.160s", used>>20, took.Round(time.Millisecond), how)
			next := startWorker(t, memory)
			if a, err := next.ask(t, "1+1"); err != nil || a.Value.String() != "2" {
				t.Errorf("the next worker: %s, %v, %v", a.Value, a.Err, err)
			}
		})
	}
}

// indented is an if inside an if, and so on.
func indented(depth int) string {
	var b strings.Builder
	for i := range depth {
		b.WriteString(strings.Repeat(" ", i) + "if 1:\n")
	}
	return b.String() + strings.Repeat(" ", depth) + "x = 1\nx + nothing"
}
