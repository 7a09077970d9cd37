package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"fandango/ipc"
)

// execEach starts a program that does nothing, once for each of so many lines.
func execEach(ctx context.Context, k *kit, who string, tasks int) (line, error) {
	var lines bytes.Buffer
	for i := range tasks {
		lines.WriteString(strconv.Itoa(i) + "\n")
	}
	command := []string{"xargs", "-P2", "-n1", "true"}
	switch who {
	case ours:
		command = []string{k.path("master"), "run", "-x", "-q", "-j2", "-", "--", "true"}
	case parallel:
		command = []string{"parallel", "-j2", "true"}
	}
	begun := time.Now()
	if _, err := output(ctx, lines.Bytes(), command); err != nil {
		return line{}, err
	}
	took := time.Since(begun).Seconds()
	return line{Tasks: tasks, Seconds: took, TasksPerS: float64(tasks) / took}, nil
}

// startOne starts a program so many times, one after the other.
func startOne(ctx context.Context, k *kit, who string, tasks int) (line, error) {
	return starts(ctx, k, who, tasks, 1)
}

// startMany starts eight at once.
func startMany(ctx context.Context, k *kit, who string, tasks int) (line, error) {
	return starts(ctx, k, who, tasks, 8)
}

func starts(ctx context.Context, k *kit, who string, tasks, atOnce int) (line, error) {
	command := []string{k.path("bare")}
	if who == ours {
		command = []string{k.path("master"), "__worker"} // as master starts its built-in workers
	}
	greeting, err := greetingBytes()
	if err != nil {
		return line{}, err
	}
	var times []time.Duration
	begun := time.Now()
	for range tasks {
		ended := make(chan error, atOnce)
		ready := make(chan time.Time, atOnce)
		start := time.Now()
		for range atOnce {
			go func() { ended <- startAndGreet(ctx, command, greeting, ready) }()
		}
		for range atOnce {
			err = errors.Join(err, <-ended)
		}
		if err != nil {
			return line{}, err
		}
		close(ready)
		last := start
		for at := range ready {
			if at.After(last) {
				last = at
			}
		}
		times = append(times, last.Sub(start))
	}
	slices.Sort(times)
	return line{Tasks: tasks, Seconds: time.Since(begun).Seconds(), P50: float64(times[len(times)/2]) / 1e3}, nil
}

// startAndGreet starts a worker, greets it as a pool does, tells when it has answered, and has it end.
func startAndGreet(ctx context.Context, command []string, greeting []byte, ready chan<- time.Time) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "MASTER_WIRE=msgpack", "MASTER_WORKER=main/1")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, wrote := in.Write(greeting)
	answer := make([]byte, 512)
	n, read := out.Read(answer)
	ready <- time.Now()
	if n == 0 || answer[0] != 0x92 {
		read = errors.Join(read, fmt.Errorf("%s answers %x", command[0], answer[:n]))
	}
	closed := in.Close()
	_, _ = io.Copy(io.Discard, out)
	return errors.Join(wrote, read, closed, cmd.Wait())
}

func greetingBytes() ([]byte, error) {
	hello, err := ipc.NewTask("hello", ipc.KeyHello, ipc.Greeting{Protocol: ipc.Protocol, Wire: ipc.Msgpack, Group: "main", Worker: 1, Of: 1})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := ipc.NewEncoder(&b, ipc.Msgpack, ipc.Limits{})
	err = errors.Join(enc.Request(ipc.KeyHello, hello.Target, hello.Args), enc.Flush())
	return b.Bytes(), err
}
