// Package polled is a dictionary whose values come from a source and are read in the background, each key with a period
// of its own.
//
//	d, err := polled.New(polled.Config[string, float64]{Read: read, Write: write})
//	go d.Run(ctx)
//	err = d.Append("temp", 3*time.Second) // read now, and every 3 s
//	temp, err := d.Get(ctx, "temp")       // the last value; beside it the error of the last read, if it failed
//	temp, err = d.Read(ctx, "temp")       // from the source, now
//	err = d.Set(ctx, "temp", 21)          // written, and what the writer returns is the value
//	temp, err = d.Pop("temp")             // no longer read
//	for key, temp := range d.All() { … }  // a snapshot
//	for v := range d.Watch(ctx) { … }     // what changes
//
// Reads are anchored: after the first one, which comes at once, those of a key are due a whole number of periods after each
// other, whatever each read took; and those of many keys are spread over the period, unless Config.Together. Two
// polling reads of a key never overlap; what was missed becomes one read and a count. Reads of different keys do not wait
// for one another: a key whose source hangs costs one goroutine, and nothing else.
//
// A read that began before a Set has stored its value may have seen what was there before, so what it brings is dropped.
package polled
