package shell

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"fandango/ipc"
)

// words makes a task of a line in one of the line forms, told apart by its first character.
func (s *Source) words(record string, line int) (ipc.Task, error) {
	switch record = strings.Trim(record, " \t"); record[0] {
	case '[':
		return arrayTask(record)
	case '{':
		return objectTask(record)
	}
	task := ipc.Task{Key: s.key([]byte(record), line)}
	words, err := Split(record)
	if err != nil {
		return task, err
	}
	if key, ok := strings.CutSuffix(words[0], ":"); ok {
		task.Key = validKey(key)
		if words = words[1:]; len(words) == 0 {
			return task, errors.New("nothing after the key; write KEY: TARGET WORDS…")
		}
	}
	task.Target, err = ipc.Encode(text(words[0]))
	if err == nil && len(words) > 1 {
		task.Args, err = ipc.Encode(s.typedAll(words[1:]))
	}
	return task, err
}

// typedAll types words, unless all are to stay strings. The slice is reused.
func (s *Source) typedAll(words []string) []any {
	s.args = s.args[:0]
	for _, w := range words {
		s.args = append(s.args, s.typed(w))
	}
	return s.args
}

func (s *Source) typed(word string) any {
	if s.form.Strings {
		return text(word)
	}
	return typed(word)
}

// arrayTask reads ["target"], ["key", target] or ["key", target, args].
func arrayTask(record string) (ipc.Task, error) {
	v, err := parseJSON([]byte(record))
	if err != nil {
		return ipc.Task{}, fmt.Errorf("%w; a line that begins with [ is a JSON array (an expression? then -e)", err)
	}
	parts, ok := v.([]any)
	if !ok || len(parts) < 1 || len(parts) > 3 {
		return ipc.Task{}, fmt.Errorf(`an array of %d; write ["key", "target", args], ["key", "target"] or ["target"]`, len(parts))
	}
	if len(parts) == 1 {
		return newTask(nil, parts[0], nil)
	}
	return newTask(parts[0], parts[1], append(parts, nil)[2])
}

// objectTask reads {"key": …, "target": …, "args": …, "timeout": …}.
func objectTask(record string) (ipc.Task, error) {
	v, err := parseJSON([]byte(record))
	if err != nil {
		return ipc.Task{}, fmt.Errorf("%w; a line that begins with { is a JSON object (an expression? then -e)", err)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return ipc.Task{}, errors.New(`no task; write {"key": "k", "target": "f", "args": […], "timeout": "5s"}`)
	}
	for name := range object {
		if known := []string{"key", "target", "args", "timeout"}; !slices.Contains(known, name) {
			return ipc.Task{}, fmt.Errorf("no field %q in a task%s", name, didYouMean(name, known))
		}
	}
	target, ok := object["target"]
	if !ok {
		return ipc.Task{}, errors.New(`no "target" in the object`)
	}
	task, err := newTask(object["key"], target, object["args"])
	if err == nil && object["timeout"] != nil {
		task.Timeout, err = timeout(object["timeout"])
	}
	return task, err
}

// newTask makes a task of decoded values. Without a key the target is the key.
func newTask(key, target, args any) (ipc.Task, error) {
	switch k := key.(type) {
	case string:
		return ipc.NewTask(k, target, args)
	case nil:
	default:
		return ipc.Task{}, errors.New("the key is no string; put it in quotes")
	}
	if k, ok := target.(string); ok && len(k) <= ipc.MaxKey {
		return ipc.NewTask(k, target, args)
	}
	raw, err := ipc.Encode(target)
	if err != nil {
		return ipc.Task{}, err
	}
	k := string(raw.AppendJSON(nil))
	if len(k) > ipc.MaxKey {
		k = cut(k, keyHead) + "…"
	}
	return ipc.NewTask(k, target, args)
}

// timeout reads a task's own timeout: a duration, or a number of seconds; zero is none.
func timeout(v any) (time.Duration, error) {
	var d time.Duration
	var err error
	switch v := v.(type) {
	case string:
		d, err = ParseDuration(v)
	case int64:
		d, err = ParseDuration(strconv.FormatInt(v, 10))
	case float64:
		if d = time.Duration(v * float64(time.Second)); !(v >= 0 && v < math.MaxInt32) {
			err = fmt.Errorf("%v is no duration", v)
		}
	default:
		err = errors.New(`write "5s", or seconds`)
	}
	if err != nil {
		return 0, fmt.Errorf("timeout: %w", err)
	}
	if d == 0 {
		return -1, nil // 0 would be the runner's default
	}
	return d, nil
}
