package master_test

import (
	"context"
	"fmt"
	"time"

	"fandango/ipc"
	"fandango/master"
)

// thermometer stands for a pool: it answers each task at once, in this process.
type thermometer struct{}

func (thermometer) Submit(_ context.Context, _ ipc.Task, done func(ipc.Outcome)) error {
	go func() {
		value, err := ipc.Encode(21.5)
		done(ipc.Outcome{Value: value, Err: err, Worker: "here", Attempts: 1})
	}()
	return nil
}

func ExampleMaster_Send() {
	m := master.New(thermometer{}, master.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- m.Run(ctx) }()

	task, err := ipc.NewTask("temp", "read", []any{"sr/vc/temp"})
	if err != nil {
		fmt.Println(err)
		return
	}
	called := make(chan bool)
	err = m.Send(ctx, task, func(v master.Value) {
		fmt.Println(v.Key, v.Value, v.Err)
		close(called)
	})
	if err != nil {
		fmt.Println(err) // it was not accepted, and the callback is not called
		return
	}
	<-called

	cancel()
	fmt.Println("ended:", <-ended)
	// Output:
	// temp 21.5 <nil>
	// ended: <nil>
}

func ExampleMaster_Add() {
	m := master.New(thermometer{}, master.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- m.Run(ctx) }()

	values := make(chan master.Value)
	err := m.Add(master.Entry{
		Task:   ipc.Task{Key: "temp"}, // without a target, the key is the target
		Every:  3 * time.Second,
		Expire: 10 * time.Second,
		Then:   func(v master.Value) { values <- v },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-values // the first run is at once
	v, _ := m.Value("temp")
	fmt.Println(m.Keys(), v.Value, v.State)

	cancel()
	fmt.Println("ended:", <-ended)
	// Output:
	// [temp] 21.5 fresh
	// ended: <nil>
}

func ExampleGet() {
	m := master.New(thermometer{}, master.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- m.Run(ctx) }()

	ran := make(chan bool)
	if err := m.Add(master.Entry{Task: ipc.Task{Key: "temp"}, Then: func(master.Value) { close(ran) }}); err != nil {
		fmt.Println(err)
		return
	}
	<-ran
	temp, err := master.Get[float64](m, "temp")
	fmt.Println(temp+1, err)
	_, err = master.Get[float64](m, "tmep")
	fmt.Println(err)

	cancel()
	fmt.Println("ended:", <-ended)
	// Output:
	// 22.5 <nil>
	// no key "tmep"
	// ended: <nil>
}

func ExampleMaster_All() {
	m := master.New(thermometer{}, master.Config{})
	for _, key := range []string{"attic", "cellar", "garden"} {
		task := ipc.Task{Key: key}
		task.Keep = true
		if _, err := ipc.Do(context.Background(), m, task); err != nil {
			fmt.Println(err)
			return
		}
	}
	for v := range m.All() {
		fmt.Println(v.Key, v.Value, v.State)
	}
	// Unordered output:
	// attic 21.5 fresh
	// cellar 21.5 fresh
	// garden 21.5 fresh
}

func ExampleMaster_Command() {
	m := master.New(thermometer{}, master.Config{})
	value, err := m.Command(context.Background(), "read", []any{"sr/vc/temp"})
	fmt.Println(value, err)
	// Output: 21.5 <nil>
}

func ExampleMaster_Watch() {
	m := master.New(thermometer{}, master.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- m.Run(ctx) }()

	err := m.Add(master.Entry{Task: ipc.Task{Key: "temp"}, Expire: 10 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	for v := range m.Watch(ctx, "temp") {
		if v.State == master.Never {
			continue // it was added a moment ago, and runs
		}
		fmt.Println(v.Key, v.State)
		if v.State == master.Expired { // nobody renews it
			break
		}
	}

	cancel()
	fmt.Println("ended:", <-ended)
	// Output:
	// temp fresh
	// temp expired
	// ended: <nil>
}

// rooms stands for a pool of two workers, each with a thermometer of its own.
type rooms struct{ thermometer }

func (rooms) Broadcast(_ context.Context, t ipc.Task, _ bool, done func([]ipc.Outcome)) error {
	go done([]ipc.Outcome{
		{Value: t.Target, Worker: "room/1", Attempts: 1},
		{Err: ipc.Errorf(ipc.KindTask, "no sensor"), Worker: "room/2", Attempts: 1},
	})
	return nil
}

func ExampleMaster_Broadcast() {
	m := master.New(rooms{}, master.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- m.Run(ctx) }()

	called := make(chan bool)
	err := m.Broadcast(ctx, ipc.Task{Key: "calibrate"}, true, func(all []ipc.Outcome) {
		for _, o := range all {
			fmt.Println(o.Worker, o.Value, o.Err)
		}
		close(called)
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-called
	fmt.Println(m.Bind(ctx, "Thermometer", []any{"sr/vc/temp"}))

	cancel()
	fmt.Println("ended:", <-ended)
	// Output:
	// room/1 "calibrate" <nil>
	// room/2 null no sensor
	// bind Thermometer: worker room/2: no sensor
	// ended: <nil>
}
