package main_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"fandango/ipc"
)

// BenchmarkStart is the time from the start of a process to its answer to the greeting: of a Go program that does
// nothing else, and of the default worker.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	for name, source := range map[string]string{"bare": "./testdata/bare", "worker": "."} {
		program := filepath.Join(dir, name)
		if out, err := exec.Command("go", "build", "-o", program, source).CombinedOutput(); err != nil {
			b.Fatalf("build %s: %v\n%s", source, err, out)
		}
	}
	for _, name := range []string{"bare", "worker"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				end := start(b, filepath.Join(dir, name))
				b.StopTimer()
				end()
				b.StartTimer()
			}
		})
	}
}

// start starts a program, greets it and waits for its answer.
func start(b *testing.B, program string) (end func()) {
	b.Helper()
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "MASTER_WIRE=msgpack", "MASTER_WORKER=main/1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	enc := ipc.NewEncoder(in, ipc.Msgpack, ipc.Limits{})
	hello, err := ipc.NewTask("hello", ipc.KeyHello, ipc.Greeting{Protocol: ipc.Protocol, Wire: ipc.Msgpack, Group: "main", Worker: 1, Of: 1})
	if err != nil {
		b.Fatal(err)
	}
	if err := enc.Request(ipc.KeyHello, hello.Target, hello.Args); err != nil {
		b.Fatal(err)
	}
	if err := enc.Flush(); err != nil {
		b.Fatal(err)
	}
	if a, err := ipc.NewDecoder(out, ipc.DecoderConfig{}).Answer(); err != nil || string(a.Key) != ipc.KeyHello || a.Err != nil {
		b.Fatalf("%s answers %v, %v", program, a, err)
	}
	return func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			b.Errorf("%s: %v", program, err)
		}
	}
}
