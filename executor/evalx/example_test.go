package evalx_test

import (
	"context"
	"fmt"

	"fandango/executor"
	"fandango/executor/evalx"
	"fandango/ipc"
)

// An evaluator with names of one's own: `executor` is a name in its expressions.
func ExampleNew() {
	var reg executor.Registry
	executor.Handle(&reg, "read", func(_ context.Context, name string) (float64, error) {
		return float64(len(name)), nil
	})
	e := evalx.New(evalx.Config{Executor: &reg})
	for _, source := range []string{
		"scale = 2.5",
		"scale * 4",
		"round(sum([executor.read(n) for n in ['ip1', 'dcct']]) / 2, 1)",
		"'%.3f mm' % math.sqrt(2)",
		"scalle",
	} {
		target, err := ipc.Encode(source)
		if err != nil {
			panic(err)
		}
		v, err := e.Execute(context.Background(), target, nil)
		fmt.Println(v, err)
	}
	// Output:
	// "scale" <nil>
	// 10.0 <nil>
	// 3.5 <nil>
	// "1.414 mm" <nil>
	// <nil> NameError: name "scalle" is not defined; did you mean scale?
}
