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
	table := pageOf(records, []string{"2 CPUs"}).String()
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
	table := pageOf([]record{
		{"sync", raw, 1, 8}, {"sync", rawBlocking, 1, 5}, {"sync", ours, 1, 10}, {"sync", imap, 1, 40}, {"sync", erlang, 1, 20},
	}, nil).String()
	want := "| raw pipe, descriptors that block | 5.00 | 0.62 × |  |\n" +
		"| raw pipe (limit) | 8.00 |  |  |\n" +
		"| **fandango** | 10.0 | 1.25 × | 0.50 × |\n" +
		"| Erlang port, an echo in C (nearest) | 20.0 | 2.50 × |  |\n"
	if !strings.Contains(table, want) {
		t.Errorf("no %q in:\n%s", want, table)
	}
}

func TestAPageKeepsTheTablesThatAreNotMeasured(t *testing.T) {
	name := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(name, []byte("before\n"+tableBegins+tableEnds+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	renewed := func(notes string, records ...record) string {
		t.Helper()
		if err := renew(name, pageOf(records, []string{notes})); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tables, before := strings.CutPrefix(string(text), "before\n"+tableBegins+"\n")
		tables, after := strings.CutSuffix(tables, "\n"+tableEnds+"after\n")
		if !before || !after {
			t.Fatalf("what stands around the tables has changed:\n%s", text)
		}
		return tables
	}
	expect := func(got string, notes string, records ...record) {
		t.Helper()
		if want := pageOf(records, []string{notes}).String(); got != want {
			t.Errorf("the page has\n%s\nwant\n%s", got, want)
		}
	}
	sync, medium, again := record{"sync", raw, 1, 8}, record{"4k", raw, 1, 9}, record{"sync", raw, 1, 7}
	expect(renewed("2 CPUs", sync), "2 CPUs", sync)
	expect(renewed("2 CPUs", medium), "2 CPUs", sync, medium)
	expect(renewed("2 CPUs", again), "2 CPUs", again, medium)

	elsewhere := renewed("4 CPUs", sync)
	for _, want := range []string{
		"2 CPUs. Each cell: median (min–max).\n\n**64 B, one caller, p50, as placed** — goal ≤ 25 µs\n\n" +
			"Taken with 4 CPUs. Each cell: median (min–max).\n\n| | µs |",
		"**4 KiB, pipelined, 1 worker** — goal ≥ 0.6 × limit\n\n| | /s |",
	} {
		if !strings.Contains(elsewhere, want) {
			t.Errorf("one figure from another machine: no %q in\n%s", want, elsewhere)
		}
	}
	expect(renewed("2 CPUs", sync), "2 CPUs", sync, medium)

	var all []record
	for _, fig := range figures {
		all = append(all, record{fig.name, fig.limit, 1, 5})
	}
	expect(renewed("8 CPUs", all...), "8 CPUs", all...)
}

// TestOurPageIsReadAsItIsWritten: else renewing one of its tables would lose the others.
func TestOurPageIsReadAsItIsWritten(t *testing.T) {
	text, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := renew(name, page{}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); string(got) != string(text) || err != nil {
		t.Errorf("the page has become %v\n%s", err, got)
	}
}

func TestAPageWithoutAPlaceForTheTablesStaysAsItIs(t *testing.T) {
	name := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(name, []byte("no table\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := renew(name, pageOf([]record{{"sync", raw, 1, 8}}, nil)); err == nil || !strings.Contains(err.Error(), "no place for the table") {
		t.Errorf("renew = %v", err)
	}
	if text, err := os.ReadFile(name); string(text) != "no table\n" || err != nil {
		t.Errorf("the page is now %q, %v", text, err)
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
