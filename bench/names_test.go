package bench

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestBenchmarksThatAreNamedExist: what a page or a script has go test run, and nobody has, is run in silence.
func TestBenchmarksThatAreNamedExist(t *testing.T) {
	for _, c := range []struct{ file, names string }{
		// | evaluate | `Execute ./executor/evalx` |
		{"../docs/performance.md", "(?m)^\\|.*\\| `(?P<pattern>\\S+) \\./(?P<package>[a-z/]+)(?: [^`]*)?` \\|$"},
		//   'executor/evalx BenchmarkExecute$/^(1\+2|lambda)$'
		{"../tools/bench-check.sh", `(?m)^  '(?P<package>[a-z/]+) (?P<pattern>\S+)'$`},
	} {
		text, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(c.names)
		found := names.FindAllStringSubmatch(string(text), -1)
		if len(found) < 6 {
			t.Errorf("%s: only %d benchmarks are found in it: has its form changed?", c.file, len(found))
		}
		for _, f := range found {
			dir, pattern := f[names.SubexpIndex("package")], f[names.SubexpIndex("pattern")]
			pattern, _, _ = strings.Cut(strings.ReplaceAll(strings.Trim(pattern, "'"), `\|`, "|"), "/")
			if none := without(t, filepath.Join("..", dir), pattern); len(none) > 0 {
				t.Errorf("%s: no benchmark of ./%s matches %q", c.file, dir, none)
			}
		}
	}
}

// without returns the alternatives of a pattern that no benchmark of a package matches.
func without(t *testing.T, dir, pattern string) (none []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var benchmarks []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range regexp.MustCompile(`(?m)^func (Benchmark\w*)\(`).FindAllStringSubmatch(string(text), -1) {
			benchmarks = append(benchmarks, f[1])
		}
	}
	head, alternatives, tail := "", pattern, ""
	if m := regexp.MustCompile(`^(.*)\((.*)\)(.*)$`).FindStringSubmatch(pattern); m != nil {
		head, alternatives, tail = m[1], m[2], m[3]
	}
	for one := range strings.SplitSeq(alternatives, "|") {
		matches := regexp.MustCompile(head + one + tail)
		if !slices.ContainsFunc(benchmarks, matches.MatchString) {
			none = append(none, one)
		}
	}
	return none
}
