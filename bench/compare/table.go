package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// spread is a value of several rounds.
type spread struct{ min, median, max float64 }

func spreadOf(values []float64) spread {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return spread{s[0], (s[(n-1)/2] + s[n/2]) / 2, s[n-1]}
}

// turns are the values of one figure: by who, by round.
type turns map[string]map[int]float64

func (t turns) spread(who string) spread {
	var values []float64
	for _, v := range t[who] {
		values = append(values, v)
	}
	return spreadOf(values)
}

// ratio is who's value to the other's, round by round.
func (t turns) ratio(who, other string) (spread, bool) {
	var ratios []float64
	for round, v := range t[who] {
		if o, ok := t[other][round]; ok {
			ratios = append(ratios, v/o)
		}
	}
	if len(ratios) == 0 {
		return spread{}, false
	}
	return spreadOf(ratios), true
}

// nearest is the best peer: no limit, and not fandango.
func (t turns) nearest(fig figure) string {
	best := ""
	for _, who := range fig.who {
		if isOurs(who) || isLimit(who) || t[who] == nil {
			continue
		}
		if best == "" || fig.unit.less == (t.spread(who).median < t.spread(best).median) {
			best = who
		}
	}
	return best
}

func isOurs(who string) bool { return strings.HasPrefix(who, "**") }

func isLimit(who string) bool { return strings.HasPrefix(who, raw) || who == bare || who == bareMany }

// page is what was measured, as a page shows it.
type page struct {
	with   string            // with what: a line
	tables map[string]string // by the title of the figure
}

// pageOf is what was measured, as Markdown: for each figure everyone's value and its ratio to the limit and to the nearest
// peer, each as median (min–max) of the rounds.
func pageOf(records []record, notes []string) page {
	of := map[string]turns{}
	for _, r := range records {
		if of[r.Figure] == nil {
			of[r.Figure] = turns{}
		}
		if of[r.Figure][r.Who] == nil {
			of[r.Figure][r.Who] = map[int]float64{}
		}
		of[r.Figure][r.Who][r.Round] = r.Value
	}
	p := page{strings.Join(notes, "; ") + ". Each cell: median (min–max).\n", map[string]string{}}
	for _, fig := range figures {
		t := of[fig.name]
		if t == nil {
			continue
		}
		nearest := t.nearest(fig)
		var b strings.Builder
		fmt.Fprintf(&b, "| | %s | to the limit | to the nearest peer |\n|---|--:|--:|--:|\n", fig.unit.name)
		for _, who := range t.order(fig) {
			name := who
			switch who {
			case fig.limit:
				name += " (limit)"
			case nearest:
				name += " (nearest)"
			}
			peer := ""
			if !isLimit(who) {
				peer = t.cell(who, nearest)
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, shown(t.spread(who)), t.cell(who, fig.limit), peer)
		}
		p.tables[fig.title] = b.String()
	}
	return p
}

func (p page) String() string {
	var b strings.Builder
	b.WriteString(p.with)
	for _, fig := range figures {
		if t := p.tables[fig.title]; t != "" {
			fmt.Fprintf(&b, "\n**%s** — goal %s\n\n%s", fig.title, fig.goal, t)
		}
	}
	return b.String()
}

// takenWith begins the line of a table that was taken with something else than the others.
const takenWith = "Taken with "

// over is p, and of the figures that it does not have, those of an earlier page.
func (p page) over(old page) page {
	merged := page{old.with, maps.Clone(old.tables)}
	if len(p.tables) == len(figures) || len(old.tables) == 0 {
		merged.with = p.with
	}
	for title, table := range p.tables {
		if merged.with != p.with {
			table = takenWith + p.with + "\n" + table
		}
		merged.tables[title] = table
	}
	return merged
}

// readPage reads what String has written. Tables of figures that are no more are dropped.
func readPage(text string) page {
	p := page{tables: map[string]string{}}
	parts := strings.Split(strings.Trim(text, "\n")+"\n", "\n**")
	p.with = strings.TrimRight(parts[0], "\n") + "\n"
	for _, part := range parts[1:] {
		head, table, _ := strings.Cut(part, "\n\n")
		title, _, _ := strings.Cut(head, "**")
		p.tables[title] = strings.TrimRight(table, "\n") + "\n"
	}
	return p
}

// order is everyone who has a value, the best first.
func (t turns) order(fig figure) []string {
	var who []string
	for _, w := range fig.who {
		if t[w] != nil {
			who = append(who, w)
		}
	}
	slices.SortStableFunc(who, func(a, b string) int {
		x, y := t.spread(a).median, t.spread(b).median
		if (x < y) == fig.unit.less {
			return -1
		}
		return 1
	})
	return who
}

// cell is the ratio as the table shows it; nothing for oneself.
func (t turns) cell(who, other string) string {
	s, ok := t.ratio(who, other)
	if !ok || who == other {
		return ""
	}
	return shown(s) + " ×"
}

// shown is "median (min–max)".
func shown(s spread) string {
	if s.min == s.max {
		return digits(s.median)
	}
	return fmt.Sprintf("%s (%s–%s)", digits(s.median), digits(s.min), digits(s.max))
}

// digits writes a number with the digits that count: "0.0021", "0.87", "12.4", "1 240", "418 k", "15.9 M".
func digits(x float64) string {
	suffix := ""
	switch {
	case x >= 999_500:
		x, suffix = x/1e6, " M"
	case x >= 9_995:
		x, suffix = x/1e3, " k"
	}
	switch {
	case x >= 999.5:
		return fmt.Sprintf("%d %03d%s", int(x+0.5)/1000, int(x+0.5)%1000, suffix)
	case x >= 99.95:
		return fmt.Sprintf("%.0f%s", x, suffix)
	case x >= 9.995:
		return fmt.Sprintf("%.1f%s", x, suffix)
	case x < 0.0995:
		return fmt.Sprintf("%.2g%s", x, suffix)
	}
	return fmt.Sprintf("%.2f%s", x, suffix)
}

// The marks in a page between which its table stands.
const (
	tableBegins = "<!-- the table of make compare -->\n"
	tableEnds   = "<!-- its end -->\n"
)

// renew puts what was measured where a page in Markdown has its tables, and keeps those of other figures.
func renew(name string, measured page) error {
	text, err := os.ReadFile(name) //nolint:gosec // the user names it
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), tableBegins)
	tables, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the table: a line %q, and a line %q after it", name, strings.TrimSpace(tableBegins), strings.TrimSpace(tableEnds))
	}
	merged := measured.over(readPage(tables)).String()
	return os.WriteFile(name, []byte(before+tableBegins+"\n"+merged+"\n"+tableEnds+after), 0o644) //nolint:gosec // a page is for everybody
}
