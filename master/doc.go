// Package master gives tasks to a runner and keeps what comes back: the data table, with the last value of each key, its
// age and its error; the callback table, with who waits for which key; and the entries, which run a task every period.
//
//	m := master.New(runner, master.Config{})
//	go m.Run(ctx)
//
//	task, err := ipc.NewTask("temp", "read", []any{"sr/vc/temp"})
//	err = m.Send(ctx, task, func(v master.Value) { … })               // once
//	err = m.Add(master.Entry{Task: task, Every: 3 * time.Second})     // every 3 s
//	temp, err := master.Get[float64](m, "temp")                       // the last value
//	for v := range m.Watch(ctx, "temp") { … }                         // and each change of it
//
// A task is pending from when it is accepted until it has its outcome. At most one task of a key runs at a time. What
// becomes of a second one is decided by its policy ([ipc.Policy]); an equal one joins.
//
// # Callbacks
//
// A callback is called once for each Send, with the outcome, whatever it is. The callbacks of one key are called one
// after another, in the order of their outcomes; those of different keys at the same time. A callback may block, panic,
// or call any method: it holds up its own key only. A task keeps its place in the queue (Config.Queue) until its
// callback has returned, so callbacks that do not keep up are felt by whoever sends. When 64 outcomes of a key wait for
// their callbacks, its next task is not started; the callback of an entry skips to the newest value instead, and is
// told how many it skipped.
//
// # How it is built
//
// All state is in one struct, core, whose methods take the time as an argument, call nothing outside and start nothing;
// what is to be done they leave in lists. [Master] holds the mutex around them and does what the lists say after it has
// let go: it is never held while a runner, a callback or a context is called.
//
// The package starts no process.
package master
