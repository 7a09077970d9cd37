//go:build unix

package crontab_test

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"fandango/internal/proctest"
)

func TestMain(m *testing.M) {
	proctest.Main(m, map[string]func([]string){
		"say": func(args []string) {
			_, _ = io.Copy(os.Stdout, os.Stdin)
			fmt.Print(strings.Join(args, " "))
			fmt.Fprint(os.Stderr, "mind the gap\nand the step")
			if len(args) == 0 {
				os.Exit(3)
			}
		},
		"flood": func([]string) { fmt.Print(strings.Repeat("x", 3<<20) + "end") },
		"polite": func([]string) {
			term := make(chan os.Signal, 1)
			signal.Notify(term, syscall.SIGTERM)
			fmt.Println("ready")
			<-term
			fmt.Println("bye")
		},
		"deaf": func([]string) { signal.Ignore(syscall.SIGTERM); fmt.Println("ready"); <-time.After(time.Hour) },
	})
}
