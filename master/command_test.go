package master_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fandango/ipc"
	"fandango/master"
)

// command is the key of the Command with a target; empty before it has begun.
func (h *house) command(target string) string {
	for _, line := range h.started() {
		if strings.HasPrefix(line, target+" (command ") {
			key, _, _ := strings.Cut(line, ":")
			return key
		}
	}
	return ""
}

// Decision 15.
func TestCommandWaitsForTheOutcomesOfEarlierSends(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.send(bg, "a", "f", "a")
		h.send(bg, "b", "1", "b1")
		h.send(bg, "b", "2", "b2")
		h.addKey(master.Entry{Every: time.Hour}, "entry") // does not count
		var done sync.WaitGroup
		done.Go(func() {
			got, err := h.Command(bg, "go", nil)
			h.add("command %v %v", got, err)
		})
		synctest.Wait()
		h.send(bg, "a", "later", "later") // does not count either
		h.answer("a", 1)
		h.answer("b", 1)
		if key := h.command("go"); key != "" {
			t.Errorf("%s began before all earlier sends had their outcomes", key)
		}
		h.answer("b", 2)
		h.expect("a 1", "b1 1", "b2 2")
		h.answer(h.command("go"), "done")
		done.Wait()
		h.expect(`command "done" <nil>`)
		h.echo()
	})
}

func TestCommandDoesNotWaitForCallbacks(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		release := make(chan struct{})
		if err := h.Send(bg, task(t, "k", "f"), func(master.Value) { <-release }); err != nil {
			t.Fatal(err)
		}
		h.answer("k", 1)
		h.set(func() { h.auto = true })
		if got, err := h.Command(bg, "go", nil); err != nil || got.String() != `"go"` {
			t.Errorf("Command = %v, %v", got, err)
		}
		close(release)
	})
}

// BUG 31: a command had no timeout.
func TestACommandThatEndsEarlySaysWhatItWaitedFor(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		for i := range 13 {
			h.send(bg, fmt.Sprintf("key %02d", i), "f", "x")
		}
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		_, err := h.Command(ctx, "go", nil)
		wantKind(t, err, ipc.KindCancelled)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `"key 00" "key 01"`) || !strings.Contains(err.Error(), "3 more") {
			t.Errorf("got %v", err)
		}
		h.echo()
		if key := h.command("go"); key != "" {
			t.Errorf("%s began all the same", key)
		}
		ctx, cancel = context.WithTimeout(bg, time.Second)
		defer cancel()
		_, err = h.Command(ctx, "slow", nil) // begins at once
		wantKind(t, err, ipc.KindCancelled)
	})
}

// BUG 32: one result slot for all; BUG 34: the same text shared the first's result.
func TestEachCommandHasItsOwnResult(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		h.set(func() { h.auto = true })
		var done sync.WaitGroup
		for i := range 50 {
			done.Go(func() {
				if got, err := h.Command(bg, i, nil); err != nil || got.String() != strconv.Itoa(i) {
					t.Errorf("Command(%d) = %v, %v", i, got, err)
				}
			})
		}
		done.Wait()
	})
}

func TestCommandsThatFail(t *testing.T) {
	bubble(t, master.Config{}, func(t *testing.T, h *house) {
		_, err := h.Command(bg, func() {}, nil)
		wantKind(t, err, ipc.KindInput)
		h.set(func() { h.refuse = ipc.Errorf(ipc.KindQueueFull, "no room") })
		_, err = h.Command(bg, "x", nil)
		wantKind(t, err, ipc.KindQueueFull)
		h.set(func() { h.refuse = nil })
		h.set(func() { h.auto = true })
		if _, err = h.Command(bg, strings.Repeat("ä", 1000), nil); err != nil { // its key is cut
			t.Error(err)
		}
	})
}
