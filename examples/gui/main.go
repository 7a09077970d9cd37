// Gui is a small window over a master: a table of keys with their live values, and the progress of a batch. Values are
// read by a worker process, kept by the master, and shown on the one goroutine that may touch widgets: callbacks get there
// through mainloop and fyne.Do.
//
// It is a module of its own, so that nobody else needs Fyne or the headers of X. In this folder:
//
//	go run .
//
// make gui-check, in the root, runs it on a display in memory and keeps a picture of it.
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/app"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"fandango/executor"
	"fandango/ipc"
	"fandango/mainloop"
	"fandango/master"
	"fandango/pool"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		serve()
		return
	}
	check := flag.Int("check", 0, "when each key was shown so often, say so on stdout, wait for a line on stdin, and end")
	flag.Parse()
	if err := run(*check); err != nil {
		log.Fatal(err)
	}
}

// serve is the worker's side.
func serve() {
	var names executor.Registry
	executor.Handle(&names, "read", func(_ context.Context, device string) (float64, error) {
		t := float64(time.Now().UnixMilli()) / 1000
		return 20 + 5*math.Sin(t+float64(len(device))), nil
	})
	executor.Handle(&names, "measure", func(_ context.Context, point int) (float64, error) {
		<-time.After(10 * time.Millisecond)
		return math.Sqrt(float64(point)), nil
	})
	executor.Main(&names)
}

var devices = []string{"ring/current", "vacuum/pressure", "linac/gun", "booster/rf", "water/flow", "hall/temperature"}

// window is what is shown. Only the goroutine of the toolkit touches it.
type window struct {
	fyne.Window

	rows   []master.Value
	shown  map[string]int // how often each key was
	wrong  int            // times on another goroutine
	table  *widget.Table
	bar    *widget.ProgressBar
	status *widget.Label
	enough func(*window) // is called when something was shown
}

func newWindow(a fyne.App) *window {
	w := &window{
		Window: a.NewWindow("fandango"), shown: map[string]int{},
		bar: widget.NewProgressBar(), status: widget.NewLabel("starting"),
	}
	w.table = widget.NewTable(
		func() (int, int) { return len(w.rows), 4 },
		func() fyne.CanvasObject { return widget.NewLabel("") },
		func(at widget.TableCellID, cell fyne.CanvasObject) {
			setText(cell, w.cell(at.Row, at.Col))
		},
	)
	w.table.ShowHeaderRow = true
	w.table.UpdateHeader = func(at widget.TableCellID, cell fyne.CanvasObject) {
		setText(cell, []string{"key", "value", "state", "worker"}[max(0, at.Col)])
	}
	w.table.CreateHeader = func() fyne.CanvasObject { return widget.NewLabel("") }
	for i, width := range []float32{180, 120, 90, 90} {
		w.table.SetColumnWidth(i, width)
	}
	w.SetContent(container.NewBorder(nil, container.NewVBox(w.bar, w.status), nil, nil, w.table))
	w.Resize(fyne.NewSize(520, 360))
	return w
}

func setText(cell fyne.CanvasObject, text string) {
	if label, ok := cell.(*widget.Label); ok {
		label.SetText(text)
	}
}

func (w *window) cell(row, column int) string {
	v := w.rows[row]
	switch column {
	case 0:
		return v.Key
	case 1:
		if v.Err != nil {
			return v.Err.Error()
		}
		var value float64
		if err := v.Outcome.Value.Decode(&value); err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%.3f", value)
	case 2:
		return string(v.State)
	}
	return v.Worker
}

// show is the callback of each key.
func (w *window) show(v master.Value) {
	w.note()
	w.shown[v.Key]++
	i := slices.IndexFunc(w.rows, func(row master.Value) bool { return row.Key == v.Key })
	if i < 0 {
		i = len(w.rows)
		w.rows = append(w.rows, v)
	}
	w.rows[i] = v
	w.table.Refresh()
	w.enough(w)
}

// progress is told how much of the batch is done.
func (w *window) progress(part float64, _ int) {
	w.note()
	w.bar.SetValue(part)
	w.enough(w)
}

func (w *window) note() {
	if goroutine() != "goroutine 1" { // main's, which runs the toolkit
		w.wrong++
	}
}

// goroutine is the name of the one that it is called on.
func goroutine() string {
	b := make([]byte, 64)
	name, _, _ := bytes.Cut(b[:runtime.Stack(b, false)], []byte(" ["))
	return string(name)
}

func run(check int) error {
	workers, err := pool.New(pool.Config{Command: []string{os.Args[0], "worker"}, Workers: 2})
	if err != nil {
		return err
	}
	a := app.New()
	w := newWindow(a)
	verdict := fmt.Errorf("the window was closed before each key was shown %d times", check)
	w.enough = func(w *window) {
		if check == 0 || w.bar.Value < 1 || len(w.shown) < len(devices) {
			return
		}
		for _, times := range w.shown {
			if times < check {
				return
			}
		}
		w.enough = func(*window) {}
		verdict = nil
		if w.wrong > 0 {
			verdict = fmt.Errorf("%d callbacks were not on the goroutine of the toolkit", w.wrong)
		}
		go leave(a)
	}
	q := mainloop.New(fyne.Do, mainloop.Config{Busy: func(busy bool) {
		if !busy {
			w.status.SetText(fmt.Sprintf("%d keys, last at %s", len(w.rows), time.Now().Format(time.TimeOnly)))
		}
	}})
	m := master.New(workers, master.Config{Deliver: q.Call})

	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, life := range []func(context.Context) error{
		workers.Run, m.Run, q.Run,
		func(ctx context.Context) error { return measure(ctx, m, mainloop.Latest(q, w.progress)) },
	} {
		running.Go(func() {
			if err := life(ctx); err != nil && ctx.Err() == nil {
				log.Print(err)
			}
		})
	}
	defer running.Wait()
	defer stop()
	for i, device := range devices {
		task, err := ipc.NewTask(device, "read", device)
		if err != nil {
			return err
		}
		every := time.Duration(i+2) * 100 * time.Millisecond
		if err := m.Add(master.Entry{Task: task, Every: every, Then: w.show}); err != nil {
			return err
		}
	}
	w.ShowAndRun()
	if check > 0 {
		return verdict
	}
	return nil
}

// measure runs a batch on the workers, through the master, and tells how far it is.
func measure(ctx context.Context, m *master.Master, tell func(float64)) error {
	const points = 500
	numbers := func(yield func(int) bool) {
		for i := range points {
			if !yield(i) {
				return
			}
		}
	}
	batch := pool.Batch{Progress: func(done, _ int) { tell(float64(done) / points) }}
	for _, err := range pool.Map(ctx, m, ipc.NewTarget[int, float64]("measure"), numbers, batch) {
		if err != nil {
			return err
		}
	}
	return nil
}

// leave says that all was shown, and ends the program when it is told to.
func leave(a fyne.App) {
	fmt.Println("shown")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // also at its end
	fyne.Do(a.Quit)
}
