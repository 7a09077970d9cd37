package polled_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fandango/polled"
)

// The example of Fandango's manual. A clock that stands still and a reader that waits for its turn make it print the
// same each time; a program has no need of them.
func Example() {
	clock := "2016-11-21 15:48:30"
	turn := make(chan bool)
	data := map[string]string{}

	writer := func(_ context.Context, k, v string) (string, error) {
		fmt.Printf("%s: %s => %s\n", clock, v, k)
		data[k] = v
		return clock + ":" + v, nil
	}
	reader := func(ctx context.Context, k string) (string, error) {
		select {
		case <-turn:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		d, ok := data[k]
		if !ok {
			d = "Empty!"
		}
		fmt.Printf("%s <= %s\n", d, k)
		read := clock + ":" + d
		turn <- true
		return read, nil
	}

	td, err := polled.New(polled.Config[string, string]{Read: reader, Write: writer})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- td.Run(ctx) }()

	_, err = td.Get(ctx, "test")
	fmt.Println(err, errors.Is(err, polled.ErrNoKey))

	err = td.Append("test", 3*time.Millisecond)
	for range 3 {
		turn <- true
		<-turn
	}

	clock = "2016-11-21 15:48:37"
	err = errors.Join(err, td.Set(ctx, "test", "10"))

	clock = "2016-11-21 15:48:44"
	for range 2 {
		turn <- true
		<-turn
	}
	for v := range td.Watch(ctx, "test") {
		if v.Value == clock+":10" {
			break
		}
	}
	value, getErr := td.Get(ctx, "test")
	fmt.Printf("%q %v\n", value, errors.Join(err, getErr))

	_, err = td.Pop("test") // no longer read
	cancel()
	fmt.Println(err, <-ended)
	// Output:
	// key test: no such key true
	// Empty! <= test
	// Empty! <= test
	// Empty! <= test
	// 2016-11-21 15:48:37: 10 => test
	// 10 <= test
	// 10 <= test
	// "2016-11-21 15:48:44:10" <nil>
	// <nil> <nil>
}

// One call for all keys that are due.
func ExampleConfig_readMany() {
	d, err := polled.New(polled.Config[string, int]{
		ReadMany: func(_ context.Context, keys []string, told func(string, int, error)) {
			fmt.Println(len(keys), "keys")
			for _, key := range keys {
				told(key, len(key), nil)
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, key := range []string{"a", "bb", "ccc"} {
		if err := d.Append(key, time.Hour); err != nil {
			fmt.Println(err)
		}
	}
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	for v := range d.Watch(ctx, "ccc") {
		if v.OK {
			break
		}
	}
	cancel()
	fmt.Println(<-ended)
	for key, value := range d.All() {
		fmt.Println(key, value)
	}
	// Output:
	// 3 keys
	// <nil>
	// a 1
	// bb 2
	// ccc 3
}
