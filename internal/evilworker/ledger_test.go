//go:build unix

package evilworker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLedgerKeepsKeysAsTheyAre(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := openLedger(path)
	defer l.f.Close()
	want := []string{"plain", "", "two words", "a newline\nand a \"quote\"", "ключ"}
	for _, key := range want {
		l.note(key)
	}
	var got []string
	err := ReadLedger(path, func(e Entry) {
		if e.PID != os.Getpid() || e.At.IsZero() {
			t.Errorf("entry = %+v", e)
		}
		got = append(got, e.Key)
	})
	if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("it has %q, %v; want %q", got, err, want)
	}
}

func TestReadLedgerTellsWhatIsNoEntry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	if err := ReadLedger(path, func(Entry) { t.Error("an entry of nothing") }); err != nil {
		t.Errorf("a ledger that nobody began: %v", err)
	}
	for _, bad := range []string{"1 2 main/1 unquoted\n", "x 2 main/1 \"k\"\n", "1 x main/1 \"k\"\n", "1 2 main/1 \"k\"1 2 main/1 \"k\"\n", "x"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := ReadLedger(path, func(Entry) {}); err == nil || !strings.Contains(err.Error(), path+":1") {
			t.Errorf("%q: error = %v, want its place", bad, err)
		}
	}
}

// TestReadLedgerPassesOverWhatAKillHasCut: in 10,000 kills one fell into the write of an entry.
func TestReadLedgerPassesOverWhatAKillHasCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	whole := "\n1 2 main/1 \"k\\\"y\"\n"
	for n := range len(whole) {
		if err := os.WriteFile(path, []byte(whole+whole[:n]+whole), 0o600); err != nil {
			t.Fatal(err)
		}
		var got []string
		err := ReadLedger(path, func(e Entry) { got = append(got, e.Key) })
		want := 2
		if n == len(whole)-1 { // but for its newline it is there
			want = 3
		}
		if err != nil || len(got) != want || got[0] != `k"y` || got[want-1] != `k"y` {
			t.Errorf("cut after %d bytes: %q, %v", n, got, err)
		}
	}
}

func TestEveryDeedSaysWhatItDoes(t *testing.T) {
	for _, target := range Targets() {
		if What(target) == "" {
			t.Errorf("%s does not say what it does", target)
		}
	}
}
