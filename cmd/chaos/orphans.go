//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// orphans kills masters whose workers have children, grandchildren and some of both in sessions of their own, and looks
// for whoever is left.
func orphans(ctx context.Context, c *config, out io.Writer) error {
	const most = 2 * time.Second
	dice := rand.New(rand.NewPCG(c.seed, 0)) //nolint:gosec // no secret
	var took []time.Duration
	family, left, killed := 0, 0, 0
	for ; killed < c.kills && ctx.Err() == nil; killed++ {
		members, remained, after, err := killOneMaster(c, dice, most)
		if err != nil {
			return err
		}
		family += members
		left += remained
		took = append(took, after)
	}
	slices.Sort(took)
	fmt.Fprintf(out, "%d masters killed · %s processes were theirs · gone after p50 %v p99 %v max %v · left after %v: %d\n",
		killed, grouped(family), ms(at(took, 0.5)), ms(at(took, 0.99)), ms(at(took, 1)), most, left)
	if left > 0 {
		return errors.New("processes were left behind")
	}
	return nil
}

func killOneMaster(c *config, dice *rand.Rand, most time.Duration) (members, left int, took time.Duration, err error) {
	heard := make(chan result, c.workers)
	m, err := startMaster(c, "", io.Discard, func(r result) { heard <- r })
	if err != nil {
		return 0, 0, 0, err
	}
	// Each worker has a family, as long as none of them gets two of these.
	for i := range c.workers {
		if _, err := fmt.Fprintf(m.in, "%d: x:family\n", i); err != nil {
			return 0, 0, 0, err
		}
	}
	for range c.workers {
		select {
		case r := <-heard:
			if r.Error != "" {
				return 0, 0, 0, fmt.Errorf("a worker could not start its family: %s", r.Error)
			}
		case <-time.After(30 * time.Second):
			return 0, 0, 0, errors.New("the master does not answer")
		}
	}
	<-time.After(time.Duration(dice.IntN(50)) * time.Millisecond)
	theirs := func(pid int) bool { return pid != m.pid() && (carries(pid, m.mark) || isSweeper(pid, m.pid())) }
	members = len(everyone(theirs))
	_ = m.cmd.Process.Kill()
	begun := time.Now()
	_ = m.wait(most) // it says that it was killed
	left = until(most-time.Since(begun), func() int { return len(everyone(theirs)) })
	return members, left, time.Since(begun), nil
}

// isSweeper says that a process is the sweeper of that master.
func isSweeper(pid, master int) bool {
	command := words(pid, "cmdline")
	return len(command) == 3 && command[1] == "__sweep" && strings.HasPrefix(command[2], strconv.Itoa(master)+"-")
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
