package executor_test

import (
	"testing"

	"fandango/executor"
	"fandango/internal/runnertest"
)

func TestLocalIsARunner(t *testing.T) {
	of := func(worker func() executor.Executor) func(*testing.T, int) runnertest.Running {
		return func(_ *testing.T, workers int) runnertest.Running {
			r := executor.Local(worker(), workers)
			r.Queue = 500
			return r
		}
	}
	runnertest.Test(t, runnertest.Kit{
		New: of(runnertest.Names), NewWhole: of(runnertest.Whole),
		Queue: 500, Options: true,
	})
}
