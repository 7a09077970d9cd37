//go:build linux

// Command raw is the limit that a pool of processes can come near: two Go processes and two pipes, messages of a length
// that both know, nothing encoded, nothing looked up, nothing that could fail. With -each the child writes each answer by
// itself, as a worker does whose crash is to be pinned on one task.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fandango/internal/latency"
)

var (
	mode     = flag.String("mode", "sync", "sync or pipelined")
	workers  = flag.Int("workers", 1, "pairs of processes")
	tasks    = flag.Int("tasks", 1000, "messages")
	payload  = flag.Int("payload", 64, "bytes of a message, at least 8")
	size     = flag.Int("pipe", 64<<10, "bytes that a pipe holds")
	each     = flag.Bool("each", false, "one write for each answer")
	blocking = flag.Bool("blocking", false, "descriptors that block, also on the parent's side")
	echo     = flag.Bool("echo", false, "be the child")
)

func main() {
	flag.Parse()
	err := errors.New("-payload: at least 8")
	switch {
	case *payload < 8:
	case *echo:
		err = answer(os.Stdin, os.Stdout)
	default:
		err = measure()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "raw:", err)
		os.Exit(1)
	}
}

// answer gives back what it reads, as soon as it has whole messages.
func answer(in io.Reader, out io.Writer) error {
	buf := make([]byte, max(*size, 2**payload))
	for have := 0; ; {
		n, err := in.Read(buf[have:])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		have += n
		whole := have - have%*payload
		step := whole
		if *each {
			step = *payload
		}
		for at := 0; at < whole; at += step {
			if _, err := out.Write(buf[at : at+step]); err != nil {
				return err
			}
		}
		have = copy(buf, buf[whole:have])
	}
}

// child is a started echo.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.Reader
}

func start() (*child, error) {
	cmd := exec.Command(os.Args[0], append(os.Args[1:], "-echo")...) //nolint:gosec // itself
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	for _, end := range []any{in, out} {
		if err := prepare(end); err != nil {
			return nil, err
		}
	}
	return &child{cmd, in, out}, cmd.Start()
}

// prepare sizes a pipe. Its descriptor stays in the runtime's poller, as in any program that can be told to stop waiting
// for one, unless -blocking.
func prepare(end any) error {
	file, ok := end.(interface {
		syscall.Conn
		Fd() uintptr
	})
	if !ok {
		return fmt.Errorf("a %T is no pipe", end)
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) { _, failed = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, *size) })
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("a pipe of %d bytes: %w", *size, err)
	}
	if *blocking {
		file.Fd() // makes it block
	}
	return nil
}

func measure() error {
	var children []*child
	for range *workers {
		c, err := start()
		if err != nil {
			return err
		}
		children = append(children, c)
	}
	var times latency.Histogram
	run := func(n int) error { // on all children at once
		ended := make(chan error, len(children))
		for _, c := range children {
			go func() {
				if *mode == "sync" {
					ended <- c.pingPong(n/len(children), &times)
				} else {
					ended <- c.stream(n / len(children))
				}
			}()
		}
		var all error
		for range children {
			all = errors.Join(all, <-ended)
		}
		return all
	}
	if *mode == "sync" && len(children) > 1 {
		return errors.New("-mode sync is for one worker")
	}
	if err := run(max(*workers, min(*tasks/10, 20_000))); err != nil { // warm
		return err
	}
	times = latency.Histogram{}
	begun := time.Now()
	if err := run(*tasks); err != nil {
		return err
	}
	took := time.Since(begun).Seconds()
	for _, c := range children {
		if err := errors.Join(c.in.Close(), c.cmd.Wait()); err != nil {
			return err
		}
	}
	done := *tasks / *workers * *workers
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"peer": "raw", "mode": *mode, "workers": *workers, "tasks": done, "payload": *payload, "seconds": took,
		"tasks_per_s": float64(done) / took, "p50_us": float64(times.At(0.5)) / 1e3, "p99_us": float64(times.At(0.99)) / 1e3,
		"mb_per_s": float64(done) * float64(*payload) / took / 1e6,
	})
}

// pingPong sends a message when the last one has come back.
func (c *child) pingPong(n int, times *latency.Histogram) error {
	message, back := make([]byte, *payload), make([]byte, *payload)
	for i := range n {
		binary.LittleEndian.PutUint64(message, uint64(i))
		begun := time.Now()
		if _, err := c.in.Write(message); err != nil {
			return err
		}
		if _, err := io.ReadFull(c.out, back); err != nil {
			return err
		}
		times.Add(time.Since(begun))
		if err := check(back, i); err != nil {
			return err
		}
	}
	return nil
}

// stream sends and receives at the same time.
func (c *child) stream(n int) error {
	wrote := make(chan error, 1)
	go func() {
		message := make([]byte, *payload)
		out := bufio.NewWriterSize(c.in, *size)
		for i := range n {
			binary.LittleEndian.PutUint64(message, uint64(i))
			if _, err := out.Write(message); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- out.Flush()
	}()
	back := make([]byte, *payload)
	in := bufio.NewReaderSize(c.out, *size)
	for i := range n {
		if _, err := io.ReadFull(in, back); err != nil {
			return err
		}
		if err := check(back, i); err != nil {
			return err
		}
	}
	return <-wrote
}

func check(back []byte, i int) error {
	if n := binary.LittleEndian.Uint64(back); n != uint64(i) { //nolint:gosec // a count
		return errors.New("message " + strconv.Itoa(i) + " came back as " + strconv.FormatUint(n, 10))
	}
	return nil
}
