// Package periodic runs a func every period, on a goroutine that is always there.
//
//	o, err := periodic.New(periodic.Config[string]{Target: read, Args: "sr/vc/temp", Period: 3 * time.Second})
//	go o.Run(ctx)       // the goroutine, paused
//	err = o.Start()     // cycles begin: now, and every 3 s
//	o.Stop()            // a pause, after the cycle that runs
//	err = o.Start()     // again, with a first cycle now
//	o.Kill()            // the end: the target's context is cancelled, and Run returns
//
// Cycles are anchored: cycle k is due at start + k·period, whatever each one took, and however late the machine was. A
// cycle that takes longer than the period delays the next one, which then stands for all that were due meanwhile; the
// others are counted as missed. With Config.Threads above 1 as many cycles may run at a time, so that the period is kept.
//
// Every method returns at once, and may be called at any time from any goroutine: before Run, in the target and in the
// hooks too. What it asks for happens on the object's own goroutine.
//
// # A session
//
// What lies between a Start and the Stop that ends it is a session. Its first cycle gets its arguments from
// Config.StartHook, each later one from Config.LoopHook; Config.WaitHook is called before each wait, and Config.StopHook
// when the last cycle of the session has returned. Start in a session ends that session and begins another one, which
// forces a cycle now.
package periodic
