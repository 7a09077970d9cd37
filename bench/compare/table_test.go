package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTableComparesRoundByRound(t *testing.T) {
	records := []record{
		{"pipelined-1", raw, 1, 1000},
		{"pipelined-1", raw, 2, 2000},
		{"pipelined-1", raw, 3, 4000},
		{"pipelined-1", ours, 1, 500},
		{"pipelined-1", ours, 2, 1000},
		{"pipelined-1", ours, 3, 2000},
		{"pipelined-1", erlang, 1, 100},
		{"pipelined-1", erlang, 2, 100},
		{"pipelined-1", erlang, 3, 50},
		{"pipelined-1", netRPC, 2, 10},
	}
	table := tableOf(records, []string{"2 CPUs"})
	for _, want := range []string{
		"2 CPUs. Each cell",
		"**64 B, pipelined, 1 worker** — goal ≥ 600 k",
		"| raw pipe (limit) | 2 000 (1 000–4 000) |  |  |\n" +
			"| **fandango** | 1 000 (500–2 000) | 0.50 × | 10.0 (5.00–40.0) × |\n" +
			"| Erlang port, an echo in C (nearest) | 100 (50.0–100) | 0.05 (0.013–0.10) × |  |\n" +
			"| go-plugin, net/rpc | 10.0 | 0.005 × | 0.10 × |\n",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in:\n%s", want, table)
		}
	}
	if strings.Contains(table, "64 B, one caller") {
		t.Errorf("a figure that was not measured is shown:\n%s", table)
	}
}

func TestOfTimesTheLeastIsTheNearest(t *testing.T) {
	table := tableOf([]record{
		{"sync", raw, 1, 8}, {"sync", rawBlocking, 1, 5}, {"sync", ours, 1, 10}, {"sync", imap, 1, 40}, {"sync", erlang, 1, 20},
	}, nil)
	want := "| raw pipe, descriptors that block | 5.00 | 0.62 × |  |\n" +
		"| raw pipe (limit) | 8.00 |  |  |\n" +
		"| **fandango** | 10.0 | 1.25 × | 0.50 × |\n" +
		"| Erlang port, an echo in C (nearest) | 20.0 | 2.50 × |  |\n"
	if !strings.Contains(table, want) {
		t.Errorf("no %q in:\n%s", want, table)
	}
}

func TestWhatIsMeasuredAgainReplacesWhatWas(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	before, err := readLog(name)
	if err != nil || before != nil {
		t.Fatalf("of a file that is not there: %v, %v", before, err)
	}
	all := renewed(before, []record{{"sync", raw, 1, 8}, {"4k", raw, 1, 9}})
	all = renewed(all, []record{{"sync", raw, 1, 7}})
	if err := writeLog(name, all); err != nil {
		t.Fatal(err)
	}
	got, err := readLog(name)
	if want := []record{{"4k", raw, 1, 9}, {"sync", raw, 1, 7}}; err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("read %v, %v; want %v", got, err, want)
	}
	if err := os.WriteFile(name, []byte("{\"figure\":\"4k\"}\nno JSON\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readLog(name); err == nil || !strings.Contains(err.Error(), "log:2:") {
		t.Errorf("a broken line: %v", err)
	}
}

func TestReplaceTable(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("before\n"+tableBegins+"old\n"+tableEnds+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"new\n", "newer\n"} {
		if err := replaceTable(page, table); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(page)
		if want := "before\n" + tableBegins + "\n" + table + "\n" + tableEnds + "after\n"; err != nil || string(text) != want {
			t.Errorf("the page is %q, %v; want %q", text, err, want)
		}
	}
	if err := os.WriteFile(page, []byte("no table\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replaceTable(page, "t"); err == nil {
		t.Error("a page without a place for it is no error")
	}
}

func TestDigits(t *testing.T) {
	for x, want := range map[float64]string{
		0.00213: "0.0021", 0.0994: "0.099", 0.5: "0.50", 9.99: "9.99", 12.44: "12.4", 418: "418", 999.7: "1 000", 1240: "1 240",
		9994: "9 994", 9996: "10.0 k", 418_300: "418 k", 999_600: "1.00 M", 15_890_000: "15.9 M",
	} {
		if got := digits(x); got != want {
			t.Errorf("digits(%v) = %q, want %q", x, got, want)
		}
	}
}

// TestEveryPeerHasACommand: a name in a figure that the kit does not know would panic in the middle of a run.
func TestEveryPeerHasACommand(t *testing.T) {
	k := &kit{dir: t.TempDir()}
	names := map[string]bool{}
	for _, fig := range figures {
		if names[fig.name] {
			t.Errorf("two figures are named %s", fig.name)
		}
		names[fig.name] = true
		for _, who := range fig.who {
			if fig.way == nil && len(k.command(who, fig.work, 1)) == 0 {
				t.Errorf("%s: %s has no command", fig.name, who)
			}
		}
	}
}
