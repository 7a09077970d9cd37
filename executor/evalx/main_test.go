package evalx_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"fandango/executor/evalx"
	"fandango/internal/proctest"
)

func TestMain(m *testing.M) {
	proctest.Main(m, map[string]func([]string){
		"worker": func(flags []string) { os.Exit(evalx.Main(flags)) },
	})
}

func TestMainFlags(t *testing.T) {
	for _, tt := range []struct {
		flags string
		code  int
		want  string
	}{
		{"", 0, ""},
		{"--timeout 5s --steps 1000 --memory 0", 0, ""},
		{"--help", 0, "usage: worker"},
		{"--memory 5", 2, `worker: invalid value "5" for flag -memory: want at least 128MiB`},
		{"--memory lots", 2, `worker: invalid value "lots" for flag -memory: want a size such as 512MiB`},
		{"--memory -1", 2, `worker: invalid value "-1" for flag -memory: want a size`},
		{"--memory 99999999999GiB", 2, `worker: invalid value "99999999999GiB" for flag -memory: want a size`},
		{"--timeout -1s", 2, `worker: --timeout -1s: want 0 or more`},
		{"--bogus", 2, `worker: flag provided but not defined: -bogus`},
		{"word", 2, `worker: unexpected argument "word"`},
	} {
		args := proctest.Command("worker", strings.Fields(tt.flags)...)
		cmd := exec.Command(args[0], args[1:]...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		err := cmd.Run()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		if code := cmd.ProcessState.ExitCode(); code != tt.code || !strings.HasPrefix(stderr.String(), tt.want) || tt.want == "" && stderr.Len() > 0 {
			t.Errorf("%q: exit code %d, %q; want %d, %q", tt.flags, code, stderr.String(), tt.code, tt.want)
		}
	}
}
