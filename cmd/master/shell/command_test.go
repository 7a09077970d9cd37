package shell

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"fandango/ipc"
)

func parseLine(t *testing.T, line string, place Place) (Command, error) {
	t.Helper()
	words, err := Split(line)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(words, place, nil)
}

func TestParseRun(t *testing.T) {
	c, err := parseLine(t, `run in.csv --csv -e -t 'a + b' -j3 -k --timeout 5s --memory 1G -o json -- `+`python3 -u w.py --fast -5`, InShell)
	if err == nil {
		t.Fatalf("--memory with a command: %+v", c)
	}
	c, err = parseLine(t, `run in.csv --csv -e -t 'a + b' -j3 -k --timeout 5s -o json -- python3 -u w.py --fast -5`, InShell)
	if err != nil {
		t.Fatal(err)
	}
	want := &Run{
		File: "in.csv", Form: Form{Name: "in.csv", Target: "a + b", Expression: true, Comma: ','}, Ordered: true,
		Grace:  10 * time.Second,
		Halt:   HaltNever,
		Output: Output{Format: JSON, Color: "auto", Progress: "auto"},
		Group:  builtIn(),
	}
	want.Workers, want.MaxWorkers, want.Timeout = 3, 3, 5*time.Second
	want.Command, want.Memory = []string{"python3", "-u", "w.py", "--fast", "-5"}, 0 // nothing bounds it
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestParseWorker(t *testing.T) {
	c, err := parseLine(t, "worker lab -j 2..8 --recycle-tasks 1000 --recycle-age 6h --recycle-memory 300M --poison-cooldown 5m "+
		"--window 1 --start-timeout 2m --clean-env --cgroup /sys/fs/cgroup/lab --memory 300M -- w", InFile)
	if err != nil {
		t.Fatal(err)
	}
	want := &Worker{Group{
		Name: "lab", Workers: 2, MaxWorkers: 8, Wire: ipc.Msgpack, Window: 1, StartTimeout: 2 * time.Minute, Memory: 300 << 20, Cgroup: "/sys/fs/cgroup/lab",
		CleanEnv: true, Recycle: Recycle{1000, 6 * time.Hour, 300 << 20}, CoolDown: 5 * time.Minute, Command: []string{"w"},
	}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	for _, j := range []string{"0", "-1", "8..2", "2..", "..2", "1..2..3", "20000", "x", ""} {
		if c, err := Parse([]string{"worker", "lab", "-j", j}, InFile, nil); err == nil {
			t.Errorf("-j %q: %+v", j, c)
		}
	}
}

func TestParseAdd(t *testing.T) {
	c, err := parseLine(t, `add  temp  read 'sr/vc 1' -5 [1, 2] --every 3s --expire 10 --once -w lab`, InFile)
	if err != nil {
		t.Fatal(err)
	}
	a, ok := c.(*Add)
	if !ok {
		t.Fatalf("%T", c)
	}
	if got := a.Task.String(); got != `temp: "read" ["sr/vc 1",-5,[1,2]]` {
		t.Errorf("task %s", got)
	}
	if a.Every != 3*time.Second || a.Expire != 10*time.Second || !a.Once || a.Group != "lab" {
		t.Errorf("%+v", a)
	}
	if c, err = parseLine(t, "add loadavg --every 2s", InFile); err != nil {
		t.Fatal(err)
	}
	if got := c.(*Add).Task.String(); got != `loadavg: "loadavg"` {
		t.Errorf("without a target: %s", got)
	}
}

func TestSettingsComeFromTheEnvironment(t *testing.T) {
	env := func(vars map[string]string) func(string) (string, bool) {
		return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
	}
	c, err := Parse([]string{"run", "-j", "3"}, InShell, env(map[string]string{
		"MASTER_WORKERS": "7", "MASTER_KEEP_ORDER": "1", "MASTER_WIRE": "json", "MASTER_MEMORY": "1G", "MASTER_UNKNOWN": "x",
	}))
	if err != nil {
		t.Fatal(err)
	}
	r := c.(*Run)
	if r.Workers != 3 || !r.Ordered || r.Wire != ipc.JSON || r.Memory != 1<<30 {
		t.Errorf("%+v", r)
	}
	// A worker's own MASTER_WIRE is no setting, and a memory from the environment does not forbid a command.
	c, err = Parse([]string{"run", "--", "w"}, InShell, env(map[string]string{
		"MASTER_WORKER": "main/1", "MASTER_WIRE": "json", "MASTER_MEMORY": "1G",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if r := c.(*Run); r.Wire != ipc.Msgpack {
		t.Errorf("wire %s inside a worker", r.Wire)
	}
	_, err = Parse([]string{"run"}, InShell, env(map[string]string{"MASTER_TIMEOUT": "soon"}))
	if err == nil || !strings.Contains(err.Error(), "MASTER_TIMEOUT in the environment") {
		t.Errorf("a bad setting: %v", err)
	}
}

// TestHelpIsComplete holds that every command is in the help text, and every option has words of its own.
func TestHelpIsComplete(t *testing.T) {
	all := HelpText("")
	for _, v := range verbs {
		if !strings.Contains(all, "  "+v.name+" ") {
			t.Errorf("master help does not list %s", v.name)
		}
		text := HelpText(v.name)
		for line := range strings.Lines(text) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 130 {
				t.Errorf("help %s: %d columns: %s", v.name, n, line)
			}
		}
		if !strings.HasPrefix(text, "Usage: ") {
			t.Errorf("help %s begins with %.20q", v.name, text)
		}
	}
}

func TestParseFile(t *testing.T) {
	f, errs := ParseFile(strings.NewReader("\ufeff# lab\r\nworker a -j 2 -- w\nworker b\nadd k f --every 1s -w b\r\n\npause 30s k\n"), "lab")
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if len(f.Groups) != 2 || f.Groups[0].Workers != 2 || f.Groups[1].Command != nil || f.Adds[0].Group != "b" || f.Adds[0].Line != 4 ||
		f.Pauses[0].For != 30*time.Second {
		t.Errorf("%+v", f)
	}
	f, errs = ParseFile(strings.NewReader("add k f"), "lab")
	if len(errs) > 0 || len(f.Groups) != 1 || f.Groups[0].Name != "main" {
		t.Errorf("without a worker line: %+v, %v", f, errs)
	}
	_, errs = ParseFile(strings.NewReader("add k f\n"+strings.Repeat("x", 2<<20)), "lab")
	if len(errs) != 1 || errs[0].Error() != "lab:2: the line is longer than 1 MiB" {
		t.Errorf("a long line: %v", errs)
	}
}

func TestOptionsAndNegativeNumbers(t *testing.T) {
	c, err := parseLine(t, "add k f -5 -0 -1.5e3 -w g --every 2", InFile)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.(*Add).Task.String(); got != `k: "f" [-5,0,-1500.0]` {
		t.Errorf("task %s", got)
	}
	if c, err = parseLine(t, "run -0k -t f", InShell); err != nil || !c.(*Run).Form.Null || !c.(*Run).Ordered {
		t.Errorf("-0k: %+v, %v", c, err)
	}
	if _, err = parseLine(t, "pause -5", InFile); err == nil {
		t.Error("a pause of -5 was accepted")
	}
}

// FuzzParse holds that no line makes the grammar panic, and that what it says of a wrong one is printable.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"run -t f -j 3 -- cat", "add k f -5 --every 3s", "worker a -j2 -- x", "pause 3s k", "add \x00number -5", "help add"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, line string, file bool) {
		words, err := Split(line)
		if err != nil {
			return
		}
		place := InShell
		if file {
			place = InFile
		}
		if c, err := Parse(words, place, nil); (c == nil) != (err != nil) {
			t.Errorf("%q: both or neither of a command and an error: %v, %v", words, c, err)
		}
	})
}
