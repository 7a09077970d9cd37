package shell_test

import (
	"fmt"
	"strings"

	"fandango/cmd/master/shell"
)

func ExampleSource() {
	input := "add 2 3\nk1: read 'sr/vc 1'\n[\"k2\", \"read\", {\"name\": \"x\"}]\n{\n"
	source, err := shell.NewSource(strings.NewReader(input), shell.Form{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		item, err := source.Next()
		fmt.Println(item.Task, item.Err, err)
	}
	// Output:
	// add 2 3: "add" [2,3] <nil> <nil>
	// k1: "read" ["sr/vc 1"] <nil> <nil>
	// k2: "read" {"name":"x"} <nil> <nil>
}

func ExampleSplit() {
	words, err := shell.Split(`read 'sr/vc 1' it's {"a": [1, 2]}`)
	fmt.Printf("%q %v\n", words, err)
	// Output:
	// ["read" "sr/vc 1" "it's" "{\"a\": [1, 2]}"] <nil>
}

func ExampleParseDuration() {
	for _, s := range []string{"250ms", "1h30m", "2d", "5"} {
		d, err := shell.ParseDuration(s)
		fmt.Println(d, err)
	}
	// Output:
	// 250ms <nil>
	// 1h30m0s <nil>
	// 48h0m0s <nil>
	// 5s <nil>
}

func ExampleSafe() {
	fmt.Println(shell.Safe("a\x1b[2Jb\u202e\n"))
	// Output:
	// a\x1b[2Jb\u202e\n
}
