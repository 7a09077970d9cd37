package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// record is one turn of one who is compared.
type record struct {
	Figure string  `json:"figure"`
	Who    string  `json:"who"`
	Round  int     `json:"round"`
	Value  float64 `json:"value"`
}

// way measures in another way than by a line of JSON: the figure's value, and how many tasks it is of.
type way func(ctx context.Context, k *kit, who string, tasks int) (line, error)

// runner gives everyone their turns.
type runner struct {
	kit    *kit
	rounds int
	each   time.Duration
	out    map[string]bool // who has failed at a figure, by both names, and is left out of it
}

// all measures the figures. Its error is a failure of fandango's own, or the end of ctx; what was measured stands.
func (r *runner) all(ctx context.Context, figures []figure) (records []record, err error) {
	for _, fig := range figures {
		tasks := map[string]int{}
		for round := 1; round <= r.rounds; round++ {
			for _, who := range fig.who {
				if r.kit.missing[who] != nil || r.out[fig.name+who] {
					continue
				}
				value, failed := r.turn(ctx, fig, who, tasks)
				if ctx.Err() != nil {
					return records, errors.New("interrupted")
				}
				if failed != nil {
					r.out[fig.name+who] = true
					fmt.Fprintf(os.Stderr, "compare: %s: %s is left out: %v\n", fig.name, who, failed)
					if strings.Contains(who, ours) {
						err = errors.Join(err, fmt.Errorf("%s: %w", fig.name, failed))
					}
					continue
				}
				records = append(records, record{fig.name, who, round, value})
				fmt.Fprintf(os.Stderr, "compare: %-14s %d/%d  %-40s %12.2f %s\n", fig.name, round, r.rounds, strings.Trim(who, "*"), value, fig.unit.name)
			}
		}
	}
	return records, err
}

// turn measures once. How many tasks fill the time is found out at the first turn.
func (r *runner) turn(ctx context.Context, fig figure, who string, tasks map[string]int) (float64, error) {
	each := r.each.Seconds() * float64(max(1, fig.times))
	for n := 16; tasks[who] == 0; {
		l, err := r.measure(ctx, fig, who, n)
		if err != nil {
			return 0, err
		}
		if l.Seconds >= each/5 {
			tasks[who] = max(16, int(float64(l.Tasks)*each/l.Seconds))
			break
		}
		n = int(float64(n) * min(50, max(2, each/max(l.Seconds, 1e-4)/3)))
	}
	l, err := r.measure(ctx, fig, who, tasks[who])
	return fig.unit.of(l), err
}

// longest is how long a turn may take: whoever is so slow has hung.
const longest = time.Minute

func (r *runner) measure(ctx context.Context, fig figure, who string, tasks int) (line, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	if fig.way != nil {
		return fig.way(ctx, r.kit, who, tasks)
	}
	command := r.kit.command(who, fig.work, tasks)
	if fig.oneCPU {
		command = append([]string{"taskset", "-c", "0"}, command...)
	}
	out, err := output(ctx, nil, command)
	if err != nil {
		return line{}, err
	}
	var l line
	if err := json.Unmarshal(out, &l); err != nil {
		return line{}, fmt.Errorf("%s prints %q: %w", command[0], out, err)
	}
	if l.Failed > 0 || l.Tasks < 1 || l.Seconds <= 0 || fig.unit.of(l) <= 0 {
		return line{}, fmt.Errorf("%s prints %q, which measures nothing", command[0], out)
	}
	return l, nil
}

// output runs a command, and returns what it prints.
func output(ctx context.Context, stdin []byte, command []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var out, words bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &words
	inOwnGroup(cmd)
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(command, " "), errors.Join(err, ctx.Err()), strings.TrimSpace(words.String()))
	}
	return out.Bytes(), nil
}
