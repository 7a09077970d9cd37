// Command compare measures fandango beside its peers and beside two raw pipes: the same work for each, in turn, several
// rounds in one run, because an absolute figure drifts from run to run and from machine to machine. It prints one table of
// ratios. docs/performance.md shows one, and says how each peer is driven; make compare is how it is run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("compare", flag.ExitOnError)
	rounds := f.Int("rounds", 5, "how often each peer has its turn")
	each := f.Duration("each", 500*time.Millisecond, "about how long one turn measures")
	only := f.String("only", "", "a regular expression: of the figures, those whose name it matches")
	list := f.Bool("list", false, "print the names of the figures")
	doc := f.String("doc", "", "a page in Markdown, whose tables of the figures that are measured are replaced")
	if err := f.Parse(args); err != nil {
		return err
	}
	names, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if *rounds < 1 || *each <= 0 || f.NArg() > 0 {
		return errors.New("-rounds and -each are above 0, and no words follow")
	}
	var wanted []figure
	for _, fig := range figures {
		if names.MatchString(fig.name) {
			wanted = append(wanted, fig)
		}
	}
	if len(wanted) == 0 {
		var all []string
		for _, fig := range figures {
			all = append(all, fig.name)
		}
		return fmt.Errorf("-only %s: no figure is called so; they are %s", *only, strings.Join(all, ", "))
	}
	if *list {
		for _, fig := range wanted {
			fmt.Printf("%-20s %s\n", fig.name, fig.title)
		}
		return nil
	}

	dir, err := os.MkdirTemp("", "fandango-compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kit, err := build(ctx, dir)
	if err != nil {
		return err
	}
	r := &runner{kit: kit, rounds: *rounds, each: *each, out: map[string]bool{}}
	records, err := r.all(ctx, wanted)
	measured := pageOf(records, kit.notes())
	fmt.Print(measured)
	if err == nil && *doc != "" {
		err = renew(*doc, measured)
	}
	return err
}
