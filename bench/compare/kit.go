package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// kit is what was built for a run, and who could not be.
type kit struct {
	dir      string
	missing  map[string]error  // by the name of who cannot take part
	versions map[string]string // of those who can, when they have one
}

// peers/…, from the root of the checkout, which is the working directory.
const peers = "bench/peers"

// build builds all peers. Its error means that fandango or the limit could not be; a peer that cannot be had is only told.
func build(ctx context.Context, dir string) (*kit, error) {
	k := &kit{dir: dir, missing: map[string]error{}, versions: map[string]string{}}
	for name, pkg := range map[string]string{
		"master": "./cmd/master", "bare": "./cmd/worker/testdata/bare", "raw": "./" + peers + "/raw",
	} {
		// Without cgo, as the README builds it: else a library's use of net has each worker wait for the dynamic linker.
		if _, err := k.do(ctx, "", "env", "CGO_ENABLED=0", "go", "build", "-o", k.path(name), pkg); err != nil {
			return nil, err
		}
	}
	k.version(ctx, ours, "go", "env", "GOVERSION")
	k.try(func() error {
		_, err := k.do(ctx, peers+"/goplugin", "go", "build", "-o", k.path("goplugin"), ".")
		return err
	}, netRPC, gRPC)
	k.version(ctx, netRPC, "go", "-C", peers+"/goplugin", "list", "-m", "github.com/hashicorp/go-plugin")
	k.try(func() error { return k.compile(ctx, peers+"/fandango/echo.c", "echo-worker") }, oursInC)
	k.try(func() error {
		if err := k.compile(ctx, peers+"/erlang/echo.c", "echo-port"); err != nil {
			return err
		}
		_, err := k.do(ctx, "", "erlc", "-o", dir, peers+"/erlang/port.erl")
		return err
	}, erlang)
	k.version(ctx, erlang, "erl", "-noshell", "-eval", `io:format("OTP ~s", [erlang:system_info(otp_release)]), halt().`)
	k.try(func() error {
		_, err := k.do(ctx, "", python, "-c", "import multiprocessing, concurrent.futures")
		return err
	}, submit, imap, imap64)
	k.version(ctx, submit, python, "--version")
	k.try(func() error { // in a copy, so that the checkout stays as it is
		if err := os.CopyFS(k.path("node"), os.DirFS(peers+"/node")); err != nil {
			return err
		}
		_, err := k.do(ctx, k.path("node"), "npm", "ci", "--no-audit", "--no-fund")
		return err
	}, node)
	k.version(ctx, node, "node", "-p", "'Node ' + process.version")
	for who, program := range map[string]string{xargs: "xargs", parallel: "parallel"} {
		k.try(func() error {
			_, err := exec.LookPath(program)
			return err
		}, who)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for who, err := range k.missing {
		fmt.Fprintf(os.Stderr, "compare: %s is left out: %v\n", who, err)
	}
	return k, nil
}

// python is Debian's: another one that comes first in the PATH may lack what a distribution builds in.
const python = "/usr/bin/python3"

func (k *kit) path(name string) string { return filepath.Join(k.dir, name) }

func (k *kit) try(have func() error, who ...string) {
	if err := have(); err != nil {
		for _, w := range who {
			k.missing[w] = err
		}
	}
}

func (k *kit) version(ctx context.Context, who string, command ...string) {
	if k.missing[who] != nil {
		return
	}
	if out, err := k.do(ctx, "", command...); err == nil {
		k.versions[who] = strings.TrimSpace(out)
	}
}

func (k *kit) compile(ctx context.Context, source, name string) error {
	_, err := k.do(ctx, "", "gcc", "-O2", "-o", k.path(name), source)
	return err
}

// do runs a command to its end, and returns what it prints.
func (k *kit) do(ctx context.Context, dir string, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var out, words bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &words
	if err := cmd.Run(); err != nil {
		last := strings.Split(strings.TrimSpace(words.String()), "\n")
		return "", fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, last[len(last)-1])
	}
	return out.String(), nil
}

// notes say what the figures were taken with.
func (k *kit) notes() []string {
	notes := []string{fmt.Sprintf("%s/%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())}
	for _, who := range []string{netRPC, erlang, submit, node} {
		if v := k.versions[who]; v != "" {
			notes = append(notes, v)
		}
	}
	for who, err := range k.missing {
		notes = append(notes, fmt.Sprintf("without %s: %v", who, errors.Unwrap(err)))
	}
	return notes
}

// command is how one who is compared does some work.
func (k *kit) command(who string, w work, tasks int) []string {
	n, size, workers := strconv.Itoa(tasks), strconv.Itoa(w.payload), strconv.Itoa(w.workers)
	single := []string{"-mode", w.mode, "-workers", workers, "-tasks", n, "-payload", size}
	double := []string{"--mode", w.mode, "--workers", workers, "--tasks", n, "--payload", size}
	if who == node && w.payload > 64<<10 {
		double = append(double, "--buffers")
	}
	bench := []string{k.path("master"), "bench", "--json", "--mode", w.mode, "-j", workers, "-n", n, "--payload", size}
	plugin := func(wire string) []string { return append([]string{k.path("goplugin"), "-wire", wire}, single...) }
	pools := func(how string) []string {
		return append([]string{python, peers + "/python/pools.py", "--how", how}, double...)
	}
	switch who {
	case raw:
		return append([]string{k.path("raw")}, single...)
	case rawEach:
		return append([]string{k.path("raw"), "-each"}, single...)
	case rawBlocking:
		return append([]string{k.path("raw"), "-blocking"}, single...)
	case rawLarge:
		return append([]string{k.path("raw"), "-pipe", "1048576"}, single...)
	case largeEach:
		return append([]string{k.path("raw"), "-each", "-pipe", "1048576"}, single...)
	case ours:
		return bench
	case oursAgain:
		return append(bench, "--idempotent")
	case oursInC:
		return append(bench, "--", k.path("echo-worker"))
	case netRPC:
		return plugin("netrpc")
	case gRPC:
		return plugin("grpc")
	case erlang:
		return []string{"erl", "-noshell", "-pa", k.dir, "-run", "port", "main", k.path("echo-port"), w.mode, workers, n, size}
	case submit:
		return pools("submit")
	case imap:
		return pools("imap")
	case imap64:
		return pools("imap64")
	case node:
		return append([]string{"node", k.path("node/driver.mjs")}, double...)
	}
	panic("nobody is called " + who)
}
