package ipc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"fandango/ipc"
)

func ExampleEncode() {
	r, err := ipc.Encode(map[string]any{"b": []any{1, 2.5, nil}, "a": "text"})
	fmt.Printf("% x %v\n", []byte(r), err)
	fmt.Println(r)

	_, err = ipc.Encode([]any{1, errors.New("no value")})
	fmt.Println(err)
	// Output:
	// 82 a1 61 a4 74 65 78 74 a1 62 93 01 cb 40 04 00 00 00 00 00 00 c0 <nil>
	// {"a":"text","b":[1,2.5,null]}
	// an error (*errors.errorString) cannot be encoded, at [1]
}

func ExampleRaw_Decode() {
	r, _ := ipc.ParseJSON([]byte(`{"name": "current", "value": 119.1, "runs": [1, 300]}`))
	var v struct {
		Name  string  `msgpack:"name"`
		Value float64 `msgpack:"value"`
	}
	fmt.Println(r.Decode(&v), v)

	var narrow struct {
		Runs []int8 `msgpack:"runs"`
	}
	fmt.Println(r.Decode(&narrow))
	// Output:
	// <nil> {current 119.1}
	// the number does not fit a Go int8, at .runs[1]
}

func ExampleParseJSON() {
	for _, text := range []string{`18446744073709551615`, `[1, 1.0, NaN]`, `{"$bytes": "AAr/"}`, `99999999999999999999`} {
		r, err := ipc.ParseJSON([]byte(text))
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(r)
	}
	// Output:
	// 18446744073709551615
	// [1,1.0,"NaN"]
	// {"$bytes":"AAr/"}
	// JSON, at byte 21, "": the integer 99999999999999999999 does not fit 64 bits; write it as a string or a float
}

func ExampleCanonical() {
	a := ipc.Raw{0x82, 0xa1, 'b', 0xcd, 0, 1, 0xa1, 'a', 2} // {"b": 1, "a": 2}, with 1 in three bytes
	c, err := ipc.Canonical(a)
	fmt.Printf("% x %v\n", []byte(c), err)
	// Output: 82 a1 61 02 a1 62 01 <nil>
}

// A worker: requests in, answers out.
func ExampleDecoder_Request() {
	stdin := bytes.NewBufferString(`["k1", "add", [2, 3]]` + "\n" + `["k2", "fly", null]` + "\n")
	var stdout bytes.Buffer

	in := ipc.NewDecoder(stdin, ipc.DecoderConfig{Wire: ipc.JSON})
	out := ipc.NewEncoder(&stdout, ipc.JSON, ipc.Limits{})
	for {
		request, err := in.Request()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		var numbers []int
		if target, _ := request.Target.Text(); target != "add" || request.Args.Decode(&numbers) != nil {
			err = out.Failure(request.Key, fmt.Errorf("no such target: %s", request.Target))
		} else {
			sum, _ := ipc.Encode(numbers[0] + numbers[1])
			err = out.Answer(request.Key, sum)
		}
		if err == nil {
			err = out.Flush()
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Print(stdout.String())
	// Output:
	// ["k1",5]
	// ["k2",null,"no such target: \"fly\""]
}

// A master: answers in, with what a worker printed between them.
func ExampleDecoder_Answer() {
	stdout := bytes.NewBufferString("connected to device 12\n\x92\xa2k1\x05oops\x93\xa2k2\xc0\xa4boom")
	d := ipc.NewDecoder(stdout, ipc.DecoderConfig{
		Oldest: func() (string, bool) { return "k1", true },
		Text:   func(b []byte) { fmt.Printf("text: %q\n", b) },
	})
	for {
		answer, err := d.Answer()
		switch {
		case err != nil:
			fmt.Println(err)
			return
		case answer.Err != nil:
			fmt.Printf("%s failed: %v\n", answer.Key, answer.Err)
		default:
			fmt.Printf("%s = %s\n", answer.Key, answer.Value)
		}
	}
	// Output:
	// text: "connected to device 12\n"
	// k1 = 5
	// text: "oops"
	// k2 failed: boom
	// EOF
}

func ExampleScanner() {
	s := ipc.NewScanner(ipc.Limits{Size: 1 << 20})
	for _, piece := range [][]byte{{0x92, 0xa2}, {'a'}, {'b', 0x05, 0xc0}} {
		n, done, err := s.Scan(piece)
		fmt.Println(n, done, err)
	}
	_, _, err := s.Scan([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	fmt.Println(err)
	// Output:
	// 2 false <nil>
	// 1 false <nil>
	// 2 true <nil>
	// it has at least 4294967300 bytes; the limit is 1048576
}

// echo answers each task with its args.
type echo struct{}

func (echo) Submit(_ context.Context, t ipc.Task, done func(ipc.Outcome)) error {
	done(ipc.Outcome{Value: t.Args})
	return nil
}

func ExampleTarget_Call() {
	mean := ipc.NewTarget[[]float64, []float64]("mean")
	v, err := mean.Call(context.Background(), echo{}, []float64{1, 2})
	fmt.Println(v, err)
	// Output: [1 2] <nil>
}

func ExampleSubmitAll() {
	var tasks []ipc.Task
	for i := range 3 {
		t, err := ipc.NewTask("k", "echo", i)
		if err != nil {
			fmt.Println(err)
			return
		}
		tasks = append(tasks, t)
	}
	values := make([]ipc.Raw, len(tasks))
	accepted, err := ipc.SubmitAll(context.Background(), echo{}, tasks, func(i int, o ipc.Outcome) {
		values[i] = bytes.Clone(o.Value) // it is lent
	})
	fmt.Println(accepted, err, values)
	// Output: 3 <nil> [0 1 2]
}
