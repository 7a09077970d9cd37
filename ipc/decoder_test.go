package ipc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// event is what a decoder makes of a stream: text, answers, requests, and the error that ends it.
func events(d *Decoder, answers bool) (list []string) {
	for {
		var got string
		var err error
		if answers {
			var a Answer
			if a, err = d.Answer(); a.Err != nil {
				got = fmt.Sprintf("%s failed: %s|%s|%s|%s", a.Key, a.Err.Kind, a.Err.Type, a.Err.Message, a.Err.Trace)
			} else {
				got = fmt.Sprintf("%s = %s", a.Key, a.Value)
			}
		} else {
			var r Request
			r, err = d.Request()
			if got = fmt.Sprintf("%s: %s %s", r.Key, r.Target, r.Args); r.Options != nil {
				got += fmt.Sprintf(" with %s", r.Options)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return list
		case KindOf(err) == KindProtocol:
			return append(list, "protocol: "+err.Error())
		case err != nil:
			list = append(list, "error: "+err.Error())
			continue
		}
		list = append(list, got)
	}
}

// read decodes a stream of answers whose oldest key is always key; text that comes in pieces is joined.
func read(r io.Reader, wire Wire, key string) (list []string, text string) {
	d, told := reading(r, wire, key)
	return events(d, true), told.String()
}

// reading is a decoder of answers, and the text that it meets.
func reading(r io.Reader, wire Wire, key string) (*Decoder, *strings.Builder) {
	text := new(strings.Builder)
	return NewDecoder(r, DecoderConfig{
		Wire:   wire,
		Oldest: func() (string, bool) { return key, true },
		Text:   func(p []byte) { text.Write(p) },
	}), text
}

func TestAnswers(t *testing.T) {
	key512 := strings.Repeat("ü", 256)
	tests := []struct {
		name string
		wire Wire
		in   string
		want []string
		text string
	}{
		{"value", Msgpack, "\x92\xa1k\x05", []string{"k = 5"}, ""},
		{"three with nil", Msgpack, "\x93\xa1k\x05\xc0", []string{"k = 5"}, ""},
		{"nil", Msgpack, "\x92\xa1k\xc0", []string{"k = null"}, ""},
		{"nil and nil", Msgpack, "\x93\xa1k\xc0\xc0", []string{"k = null"}, ""},
		{"container before nil", Msgpack, "\x93\xa1k\x92\x01\x81\xa1a\x02\xc0", []string{`k = [1,{"a":2}]`}, ""},
		{"empty key", Msgpack, "\x92\xa0\x05", []string{" = 5"}, ""},
		{"str8 key", Msgpack, "\x92\xd9\x01k\x05", []string{"k = 5"}, ""},
		{"longest key", Msgpack, "\x92\xda\x02\x00" + key512 + "\x05", []string{key512 + " = 5"}, ""},
		{"error text", Msgpack, "\x93\xa1k\xc0\xa4boom", []string{"k failed: task||boom|"}, ""},
		{"error map", Msgpack, "\x93\xa1k\xc0\x84\xa4type\xa1T\xa7message\xa1m\xa5trace\xa2tr\xa4more\x90", []string{"k failed: task|T|m|tr"}, ""},
		{"error kind believed", Msgpack, "\x93\xa1k\xc0\x82\xa4kind\xa7timeout\xa7message\xa1m", []string{"k failed: timeout||m|"}, ""},
		{"error kind not believed", Msgpack, "\x93\xa1k\xc0\x82\xa4kind\xa5crash\xa7message\xa1m", []string{"k failed: task||m|"}, ""},
		{"error with odd members", Msgpack, "\x93\xa1k\xc0\x83\x92\x01\x02\x03\xa7message\x92\x01\x02\xa4type\xc0", []string{"k failed: task||[1,2]|"}, ""},
		{"error without words", Msgpack, "\x93\xa1k\xc0\xa0", []string{"k failed: task||the worker gave no reason|"}, ""},
		{"error of bad UTF-8", Msgpack, "\x93\xa1k\xc0\xa2a\xff", []string{"k failed: task||a\ufffd|"}, ""},
		{"error of another type", Msgpack, "\x93\xa1k\xc0\x05", []string{`protocol: the error of key "k" must be a string or a map, not an integer`}, ""},
		{"it is cat", Msgpack, "\x93\xa1k\xa3add\x92\x01\x02", []string{`protocol: the answer of key "k" has a value and an error, so it echoes requests: is it cat?`}, ""},
		{"key of 513", Msgpack, "\x92\xda\x02\x01" + key512 + "x\x05", []string{`protocol: a key has 513 bytes; at most 512 are allowed (got "\x92\xda\x02\x01üüüüüüüüüü", 92 da 02 01 c3 bc c3 bc c3 bc c3 bc c3 bc c3 bc c3 bc c3 bc c3 bc c3 bc)`}, ""},
		{"key of bad UTF-8", Msgpack, "\x92\xa1\xff\x05", []string{`protocol: a key is not valid UTF-8 (got "\x92\xa1\xff\x05", 92 a1 ff 05)`}, ""},
		{"key is an integer", Msgpack, "\x92\x05\x05", []string{`protocol: a message must be an array whose first item is a string, the key (got "\x92\x05\x05", 92 05 05)`}, ""},
		{"key is nil", Msgpack, "\x92\xc0\x05", []string{`protocol: a message must be an array whose first item is a string, the key (got "\x92\xc0\x05", 92 c0 05)`}, ""},
		{"reserved byte", Msgpack, "\x92\xa1k\xc1", []string{`protocol: a malformed message of key "k": the byte c1 is no msgpack (got "\x92\xa1k\xc1", 92 a1 6b c1)`}, ""},
		{"many", Msgpack, "\x92\xa1k\x05\x92\xa1l\x06\x92\xa1m\x07", []string{"k = 5", "l = 6", "m = 7"}, ""},

		{"banner", Msgpack, "hello\n\x92\xa1k\x05", []string{"k = 5"}, "hello\n"},
		{"text after", Msgpack, "\x92\xa1k\x05bye", []string{"k = 5"}, "bye"},
		{"text only", Msgpack, "bye \xe2\x82\xac \xff\n", nil, "bye \xe2\x82\xac \xff\n"},
		{"a request is no answer", Msgpack, "\x94\xa1k\x05\xc0\xc0", nil, "\x94\xa1k\x05\xc0\xc0"}, // W10
		{"other arrays are text", Msgpack, "\x90\x91\xa1k\x94\xc0\x05\x92\xa1k\x05", []string{"k = 5"}, "\x90\x91\xa1k\x94\xc0\x05"},
		{"a character with 0x92 in it", Msgpack, "\xc3\x92\xe2\x92\x93\xf0\x92\x93\x92x\x92\xa1z\x05", []string{"z = 5"}, "\xc3\x92\xe2\x92\x93\xf0\x92\x93\x92x"},
		{"a cut character before the answer", Msgpack, "caf\xc3\x92\xa1k\x05", []string{"k = 5"}, "caf\xc3"},
		{"two bytes of three before the answer", Msgpack, "\xe2\x82\x92\xa1k\x05", []string{"k = 5"}, "\xe2\x82"},
		{"three bytes of four before the answer", Msgpack, "\xf0\x9f\x98\x93\xa1k\xc0\xa1e", []string{"k failed: task||e|"}, "\xf0\x9f\x98"},
		{"Latin-1 before the answer", Msgpack, "caf\xe9\x92\xa1k\x05\xfc\x92\xa1k\x06", []string{"k = 5", "k = 6"}, "caf\xe9\xfc"},
		{"Latin-1 before another answer", Msgpack, "caf\xe9!\x92\xa1z\x05", []string{"z = 5"}, "caf\xe9!"},
		{"an old text quoted after 0x92", Msgpack, "it\x92s", []string{`protocol: a message must be an array whose first item is a string, the key (got "\x92s", 92 73)`}, "it"},
		{"Hell is 1.2 GB long elsewhere", Msgpack, "Hello from a lib\n\x92\xa1k\x05", []string{"k = 5"}, "Hello from a lib\n"},

		{"JSON value", JSON, `["k", 5]` + "\n", []string{"k = 5"}, ""},
		{"JSON without an end", JSON, `["k", 5]`, []string{"k = 5"}, ""},
		{"JSON with blanks", JSON, " [ \"k\" , 5 ] \r\n", []string{"k = 5"}, ""},
		{"JSON three with null", JSON, `["k",{"a":NaN},null]` + "\n", []string{`k = {"a":"NaN"}`}, ""},
		{"JSON escaped key", JSON, `["\u006b",-Infinity]` + "\n", []string{`k = "-Infinity"`}, ""},
		{"JSON error", JSON, `["k",null,"boom"]` + "\n", []string{"k failed: task||boom|"}, ""},
		{"JSON error map", JSON, `["k",null,{"type":"T","message":"m","trace":"tr"}]` + "\n", []string{"k failed: task|T|m|tr"}, ""},
		{"JSON cat", JSON, `["k","add",[1,2]]` + "\n", []string{`protocol: the answer of key "k" has a value and an error, so it echoes requests: is it cat?`}, ""},
		{"JSON text", JSON, "hello\n\n[1,2]\n[\"k\"]\n[\"a\",1,2,3]\n{\"a\":1}\n[INFO] x\n" + `["k",5]` + "\nbye", []string{"k = 5"}, "hello\n\n[1,2]\n[\"k\"]\n[\"a\",1,2,3]\n{\"a\":1}\n[INFO] x\nbye"},
		{"JSON glued to text", JSON, `50% [##["k",5]` + "\n" + `x ["a"] ["k",6]` + "\r\n", []string{"k = 5", "k = 6"}, `50% [##x ["a"] `},
		{"JSON glued with an escaped key", JSON, `x["\u006b",5]` + "\n", []string{"k = 5"}, "x"},
		{"JSON glued to an array", JSON, `["z"]["k",5]` + "\n", []string{"k = 5"}, `["z"]`},
		{"JSON with the key nested", JSON, `x["k",["k",["k",1]]]` + "\n", []string{`k = ["k",["k",1]]`}, "x"},
		{"JSON glued, another key", JSON, `x["z",5]` + "\n", nil, `x["z",5]` + "\n"},
		{"JSON glued, more behind it", JSON, `x["k",5] y` + "\n", nil, `x["k",5] y` + "\n"},
		{"JSON Latin-1", JSON, "caf\xe9[\"k\",\"\xe9\"]\n", []string{"k = \"\ufffd\""}, "caf\xe9"},
		{"JSON two on a line", JSON, `["k",5]["l",6]` + "\n", []string{`protocol: a line that begins like an answer must be one: JSON, at byte 8, "[\"l\",6]": text follows the value (got "[\"k\",5][\"l\",6]\n", 5b 22 6b 22 2c 35 5d 5b 22 6c 22 2c 36 5d 0a)`}, ""},
		{"JSON cut by the end", JSON, `["k",5`, []string{`protocol: a line that begins like an answer must be one: JSON, at byte 7, "": it ends too early (got "[\"k\",5", 5b 22 6b 22 2c 35)`}, ""},
		{"JSON Python repr", JSON, "['k', 5]\n", nil, "['k', 5]\n"},
		{"JSON long key", JSON, `["` + key512 + `x",5]` + "\n", []string{`protocol: a key has 513 bytes; at most 512 are allowed (got "[\"üüüüüüüüüüü", 5b 22 c3 bc c3 bc c3 bc c3 bc c3 bc c3 bc c3 bc c3 bc c3 bc c3 bc c3 bc)`}, ""},
		{"JSON integer beyond 64 bits", JSON, `["k",99999999999999999999]` + "\n", []string{`protocol: a line that begins like an answer must be one: JSON, at byte 26, "]": the integer 99999999999999999999 does not fit 64 bits; write it as a string or a float (got "[\"k\",9999999999999999999", 5b 22 6b 22 2c 39 39 39 39 39 39 39 39 39 39 39 39 39 39 39 39 39 39 39)`}, ""},
	}
	for _, tt := range tests {
		for how, reader := range map[string]io.Reader{
			"whole":       strings.NewReader(tt.in),
			"one byte":    iotest.OneByteReader(strings.NewReader(tt.in)),
			"data at EOF": iotest.DataErrReader(strings.NewReader(tt.in)),
		} {
			list, text := read(reader, tt.wire, "k")
			// The bytes that an error shows are those that have come.
			same := slices.EqualFunc(list, tt.want, func(got, want string) bool {
				if cut := strings.Index(want, " (got "); cut > 0 && how == "one byte" {
					return strings.HasPrefix(got, want[:cut])
				}
				return got == want
			})
			if !same || text != tt.text {
				t.Errorf("%s, %s:\n got %q, text %q\nwant %q, text %q", tt.name, how, list, text, tt.want, tt.text)
			}
		}
	}
}

func TestRequests(t *testing.T) {
	tests := []struct {
		name string
		wire Wire
		in   string
		want []string
	}{
		{"msgpack", Msgpack, "\x93\xa1k\xa3add\x92\x02\x03\x93\xa1l\x81\xa1a\x01\xc0", []string{`k: "add" [2,3]`, `l: {"a":1} null`}},
		{"without args", Msgpack, "\x92\xa1k\xa3add", []string{`k: "add" null`}},
		{"with options", Msgpack, "\x94\xa1k\xa3add\x92\x02\x03\x81\xa3all\xc3\x93\xa1l\xa3add\x01\x94\xa1m\x01\xc0\x05", []string{`k: "add" [2,3] with {"all":true}`, `l: "add" 1`, `m: 1 null with 5`}},
		{"with nil options", Msgpack, "\x94\xa1k\xa3add\x01\xc0", []string{`k: "add" 1`}},
		{"cut options", Msgpack, "\x94\xa1k\xa3add\xc0\x81\xa3al", []string{`protocol: the input ended inside a message: got 12 of at least 14 bytes (got "\x94\xa1k\xa3add\xc0\x81\xa3al", 94 a1 6b a3 61 64 64 c0 81 a3 61 6c)`}},
		{"of 5", Msgpack, "\x95\xa1k\xa3add\xc0\xc0\xc0", []string{`protocol: a request must be an array of 3 or 4; this is something else (got "\x95\xa1k\xa3add\xc0\xc0\xc0", 95 a1 6b a3 61 64 64 c0 c0 c0)`}},
		{"JSON", JSON, "[\"k\",\"add\",[2,3]]\n\n[\"l\",null,null]\n[\"m\",\"x\"]", []string{`k: "add" [2,3]`, `l: null null`, `m: "x" null`}},
		{"JSON with options", JSON, `["k","add",null,{"all":true}]` + "\n" + `["l","add",1]` + "\n" + `["m","x",[1],null]` + "\n", []string{`k: "add" null with {"all":true}`, `l: "add" 1`, `m: "x" [1]`}},
		{"JSON of 5", JSON, `["k","add",null,null,1]` + "\n", []string{`protocol: a request must be a line with a JSON array of 3 or 4 that begins with its key: JSON, at byte 22, "1]": it is no array of that size that begins with a string (got "[\"k\",\"add\",null,null,1]\n", 5b 22 6b 22 2c 22 61 64 64 22 2c 6e 75 6c 6c 2c 6e 75 6c 6c 2c 31 5d 0a)`}},
		{"text", Msgpack, "hello", []string{`protocol: a request must be an array of 3 or 4; this is something else (got "hello", 68 65 6c 6c 6f)`}},
		{"JSON on the msgpack wire", Msgpack, `["k","add",null]`, []string{`protocol: a request must be an array of 3 or 4; this is JSON: set MASTER_WIRE=json to read it (got "[\"k\",\"add\",null]", 5b 22 6b 22 2c 22 61 64 64 22 2c 6e 75 6c 6c 5d)`}},
		{"JSON text", JSON, "hello\n", []string{`protocol: a request must be a line with a JSON array of 3 or 4 that begins with its key: it is no array of that size that begins with a string (got "hello\n", 68 65 6c 6c 6f 0a)`}},
	}
	for _, tt := range tests {
		if got := events(NewDecoder(strings.NewReader(tt.in), DecoderConfig{Wire: tt.wire}), false); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

// stream is some answers of both kinds with text of all kinds between them.
func stream(tb testing.TB, wire Wire) []byte {
	tb.Helper()
	var b bytes.Buffer
	e := NewEncoder(&b, wire, Limits{})
	text := []string{"", "plain\n", "ünïcödé €\n", "caf\xe9\n", "cut \xe2\x82", "cut \xf0\x9f\x98", "\x92"[:0], "\u0092 \u0093"}
	for i, s := range text {
		b.WriteString(s)
		if i%2 == 0 {
			_ = e.Answer("k", encoded(tb, []any{i, "text \u0092", map[string]any{"a": []byte("\x92\xa1k")}}))
		} else {
			_ = e.Failure("k", &Error{Kind: KindTask, Message: "m", Type: "T"})
		}
		_ = e.Flush()
	}
	return b.Bytes()
}

// W01, W02, W07: a stream that is cut anywhere gives the answers before the cut and then says what is missing.
func TestCutAtEveryOffset(t *testing.T) {
	for _, wire := range []Wire{Msgpack, JSON} {
		whole := stream(t, wire)
		all, text := read(bytes.NewReader(whole), wire, "k")
		if len(all) != 8 || len(text) == 0 {
			t.Fatalf("%s: the whole stream: %q, %q", wire, all, text)
		}
		for cut := range whole {
			list, _ := read(bytes.NewReader(whole[:cut]), wire, "k")
			if n := len(list); n > 0 && strings.HasPrefix(list[n-1], "protocol: ") {
				if !strings.Contains(list[n-1], "ended inside a message") && !strings.Contains(list[n-1], "it ends too early") {
					t.Errorf("%s, cut at %d: %s", wire, cut, list[n-1])
				}
				list = list[:n-1]
			}
			if len(list) > len(all) || !slices.Equal(list, all[:len(list)]) {
				t.Errorf("%s, cut at %d: %q", wire, cut, list)
			}
			// In two reads, nothing is different.
			two, twoText := read(io.MultiReader(bytes.NewReader(whole[:cut]), bytes.NewReader(whole[cut:])), wire, "k")
			if !slices.Equal(two, all) || twoText != text {
				t.Errorf("%s, in two reads at %d: %q, text %q", wire, cut, two, twoText)
			}
		}
	}
}

func TestEndInsideAMessage(t *testing.T) {
	b := append([]byte{0x92, 0xa1, 'k', 0xc4, 100}, make([]byte, 47)...)
	_, err := NewDecoder(bytes.NewReader(b), DecoderConfig{}).Answer()
	if !errors.Is(err, io.ErrUnexpectedEOF) || KindOf(err) != KindProtocol || !strings.Contains(err.Error(), "got 52 of at least 105 bytes") {
		t.Errorf("a cut body: %v", err)
	}
	for _, in := range []string{"\x92", "\x93\xd9"} {
		if _, err := NewDecoder(strings.NewReader(in), DecoderConfig{}).Answer(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%x: %v", in, err)
		}
	}
	if _, err := NewDecoder(strings.NewReader(`["k",`), DecoderConfig{Wire: JSON}).Answer(); !errors.Is(err, io.ErrUnexpectedEOF) || KindOf(err) != KindProtocol {
		t.Errorf("a cut line: %v", err)
	}
}

// interrupted gives an error before each byte.
type interrupted struct {
	b    []byte
	next bool
}

func (r *interrupted) Read(p []byte) (int, error) {
	if r.next = !r.next; r.next {
		return 0, os.ErrDeadlineExceeded
	}
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	p[0], r.b = r.b[0], r.b[1:]
	return 1, nil
}

func TestAnErrorOfTheReaderInterruptsNothing(t *testing.T) {
	for _, wire := range []Wire{Msgpack, JSON} {
		whole := stream(t, wire)
		want, wantText := read(bytes.NewReader(whole), wire, "k")
		list, text := read(&interrupted{b: whole}, wire, "k")
		got := slices.DeleteFunc(list, func(s string) bool { return s == "error: "+os.ErrDeadlineExceeded.Error() })
		if !slices.Equal(got, want) || text != wantText || len(list) == len(got)+len(whole) {
			t.Errorf("%s: %q, text %q, want %q, text %q", wire, got, text, want, wantText)
		}
	}
}

// An error that comes with the last bytes is told after what they hold.
func TestAnErrorWithBytes(t *testing.T) {
	r := iotest.DataErrReader(io.MultiReader(strings.NewReader("\x92\xa1k\x05\x92\xa1l"), iotest.ErrReader(os.ErrDeadlineExceeded)))
	d := NewDecoder(r, DecoderConfig{})
	if a, err := d.Answer(); string(a.Key) != "k" || err != nil {
		t.Fatalf("Answer = %v, %v", a, err)
	}
	if _, err := d.Answer(); !errors.Is(err, os.ErrDeadlineExceeded) || KindOf(err) != "" {
		t.Fatalf("second Answer: %v", err)
	}
}

func TestADeadDecoderRepeatsItsError(t *testing.T) {
	d := NewDecoder(strings.NewReader("\x92\x05\x92\xa1k\x05"), DecoderConfig{})
	_, first := d.Answer()
	_, again := d.Answer()
	if first == nil || first != again { //nolint:errorlint // the very same
		t.Errorf("errors %v, then %v", first, again)
	}
}

func TestAReaderThatGivesNothing(t *testing.T) {
	empty := readFunc(func([]byte) (int, error) { return 0, nil })
	if _, err := NewDecoder(empty, DecoderConfig{}).Answer(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that reads nothing: %v", err)
	}
	liar := readFunc(func(p []byte) (int, error) { return len(p) + 1, nil })
	if _, err := NewDecoder(liar, DecoderConfig{}).Answer(); KindOf(err) != KindProtocol {
		t.Errorf("a reader that lies: %v", err)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// W06, W08: the buffer grows with the bytes received, serves many answers from one read, and is given back.
func TestTheBufferFollowsTheBytes(t *testing.T) {
	var b bytes.Buffer
	e := NewEncoder(&b, Msgpack, Limits{})
	large := encoded(t, make([]byte, 10<<20))
	for i := range 10_000 {
		if err := e.Answer("k", encoded(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(e.Answer("large", large), e.Answer("k", nil), e.Flush()); err != nil {
		t.Fatal(err)
	}
	if cap(e.buf) > 2*smallBuffer {
		t.Errorf("the encoder keeps %d bytes", cap(e.buf))
	}
	reads := 0
	d := NewDecoder(readFunc(func(p []byte) (int, error) { reads++; return b.Read(p) }), DecoderConfig{})
	for i := range 10_000 {
		var n int
		a, err := d.Answer()
		if err = errors.Join(err, a.Value.Decode(&n)); err != nil || n != i {
			t.Fatalf("answer %d: %v, %v", i, a, err)
		}
	}
	if reads > 3 || cap(d.buf) > smallBuffer {
		t.Errorf("10,000 answers took %d reads and a buffer of %d", reads, cap(d.buf))
	}
	if a, err := d.Answer(); err != nil || !bytes.Equal(a.Value, large) {
		t.Fatalf("the large answer: %v", err)
	}
	if _, err := d.Answer(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Answer(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if cap(d.buf) > smallBuffer {
		t.Errorf("the decoder keeps %d bytes", cap(d.buf))
	}
}

// A header that promises much and then stalls holds only what has come.
func TestAStallHoldsOnlyWhatHasCome(t *testing.T) {
	head := []byte{0x92, 0xa1, 'k', 0xc6, 0x03, 0xff, 0xff, 0x00}
	d := NewDecoder(io.MultiReader(bytes.NewReader(head), iotest.ErrReader(os.ErrDeadlineExceeded)), DecoderConfig{})
	cost := allocated(func() {
		if _, err := d.Answer(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Answer: %v", err)
		}
	})
	if cost > 2*smallBuffer {
		t.Errorf("%d bytes allocated", cost)
	}
}

// A line of text that never ends is handed on, and the answer at its end is found.
func TestAnEndlessLineOfText(t *testing.T) {
	var in bytes.Buffer
	for i := range 50_000 {
		fmt.Fprintf(&in, "\r%d%% [\"x\"] ", i)
	}
	in.WriteString(`["k",{"a":[1]}]` + "\n[\"k\",2]\n")
	size := in.Len()
	list, text := read(&in, JSON, "k")
	if !slices.Equal(list, []string{`k = {"a":[1]}`, "k = 2"}) || len(text) != size-len(`["k",{"a":[1]}]`+"\n[\"k\",2]\n") {
		t.Errorf("%q, %d bytes of text of %d", list, len(text), size)
	}
	// Also when the answer itself is long, and comes in pieces.
	long := "x " + `["k","` + strings.Repeat("y", 300_000) + `"]` + "\n"
	list, text = read(iotest.HalfReader(strings.NewReader(long)), JSON, "k")
	if len(list) != 1 || !strings.HasPrefix(list[0], "k = ") || text != "x " {
		t.Errorf("a long answer behind text: %d events, text %.20q", len(list), text)
	}
	// And when what looks like one is none.
	fake := "x " + `["k","` + strings.Repeat("y", 300_000) + "\n" + `["k",1]` + "\n"
	list, text = read(strings.NewReader(fake), JSON, "k")
	if !slices.Equal(list, []string{"k = 1"}) || len(text) != len(fake)-len(`["k",1]`+"\n") {
		t.Errorf("a false start behind text: %q, %d bytes of text", list, len(text))
	}
}

func TestALineOverTheLimit(t *testing.T) {
	lim := Limits{Size: 100_000}
	for _, tt := range []struct {
		in   string
		want int
		text bool
	}{
		{`["k","` + strings.Repeat("y", 200_000) + `"]` + "\n", 0, false},
		{"text" + strings.Repeat("y", 300_000) + "\n" + `["k",1]` + "\n", 1, true},
		{`text["k","` + strings.Repeat("y", 300_000) + "\n" + `["k",1]` + "\n", 1, true},
	} {
		d := NewDecoder(strings.NewReader(tt.in), DecoderConfig{Wire: JSON, Limits: lim, Oldest: func() (string, bool) { return "k", true }})
		got := events(d, true)
		if tt.text && !slices.Equal(got, []string{"k = 1"}) || !tt.text && (len(got) != 1 || !strings.Contains(got[0], "the limit is 100000")) {
			t.Errorf("%.20s…: %.200q", tt.in, got)
		}
		if cap(d.buf) > 4*lim.Size {
			t.Errorf("%.20s…: a buffer of %d", tt.in, cap(d.buf))
		}
	}
}

// A line made of beginnings of answers costs no more than a few times its length.
func TestALineOfManyBeginnings(t *testing.T) {
	for _, part := range []string{`["k",`, `["k","`, `["k",[`, `["k",1]`, `["k`, `["`} {
		in := "x" + strings.Repeat(part, 200_000/len(part)) + "\n" + `["k",1]` + "\n"
		list, _ := read(strings.NewReader(in), JSON, "k")
		if len(list) == 0 || list[len(list)-1] != "k = 1" {
			t.Errorf("%s: %.200q", part, list)
		}
	}
}

func TestAnswersWithoutACopy(t *testing.T) {
	const key = "a key that is in flight"
	var b bytes.Buffer
	e := NewEncoder(&b, Msgpack, Limits{})
	if err := errors.Join(e.Answer(key, encoded(t, []any{1, "x"})), e.Flush()); err != nil {
		t.Fatal(err)
	}
	message := b.Bytes()
	r := readFunc(func(p []byte) (int, error) { return copy(p, message), nil })
	d := NewDecoder(r, DecoderConfig{})
	if n := testing.AllocsPerRun(1000, func() {
		if a, err := d.Answer(); err != nil || string(a.Key) != key {
			t.Fatal(a, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per answer", n)
	}
}

// TestAnswerNowReadsNothing: what came with one read is handed out without another one, and stays valid together.
func TestAnswerNowReadsNothing(t *testing.T) {
	for _, tt := range []struct {
		wire  Wire
		first string // of two reads: two answers and a half
		rest  string
	}{
		{Msgpack, "\x92\xa1a\xa3one" + "text" + "\x92\xa1b\xa3two" + "\x92\xa1c\xa5th", "ree"},
		{JSON, `["a","one"]` + "\ntext\n" + `["b","two"]` + "\n" + `["c","th`, `ree"]` + "\n"},
	} {
		t.Run(string(tt.wire), func(t *testing.T) {
			reads := []string{tt.first, tt.rest}
			d := NewDecoder(readFunc(func(p []byte) (int, error) {
				if len(reads) == 0 {
					return 0, io.EOF
				}
				n := copy(p, reads[0])
				reads = reads[1:]
				return n, nil
			}), DecoderConfig{Wire: tt.wire})
			if ok, err := d.AnswerNow(new(Answer)); ok || err != nil || len(reads) != 2 {
				t.Fatalf("before any read: %v, %v", ok, err)
			}
			var got []string
			var all []Answer
			a, err := d.Answer()
			for ok := err == nil; ok; ok, err = d.AnswerNow(&a) {
				all = append(all, a)
			}
			for _, a := range all { // only now: none has overwritten another
				got = append(got, fmt.Sprintf("%s = %s", a.Key, a.Value))
			}
			if want := []string{`a = "one"`, `b = "two"`}; err != nil || !slices.Equal(got, want) || len(reads) != 1 {
				t.Fatalf("got %q, %v; want %q", got, err, want)
			}
			if a, err := d.Answer(); err != nil || string(a.Key) != "c" || a.Value.String() != `"three"` {
				t.Errorf("third: %s = %s, %v", a.Key, a.Value, err)
			}
			if ok, err := d.AnswerNow(&a); ok || err != nil {
				t.Errorf("at the end: %v, %v", ok, err)
			}
			if _, err := d.Answer(); !errors.Is(err, io.EOF) {
				t.Errorf("end: %v", err)
			}
		})
	}
	d := NewDecoder(strings.NewReader("\x92\xa1k\x05\x92\x05"), DecoderConfig{})
	if _, err := d.Answer(); err != nil {
		t.Fatal(err)
	}
	if ok, err := d.AnswerNow(new(Answer)); ok || KindOf(err) != KindProtocol {
		t.Errorf("what is no answer: %v, %v", ok, err)
	}
}

// TestKeptValuesOfTheJSONWireStay: what is parsed later goes elsewhere.
func TestKeptValuesOfTheJSONWireStay(t *testing.T) {
	lines := strings.SplitAfter(`["a","t","one"]`+"\n"+`["b","t","two"]`+"\n", "\n")
	d := NewDecoder(readFunc(func(p []byte) (int, error) { // a line to a read
		n := copy(p, lines[0])
		lines = lines[1:]
		return n, nil
	}), DecoderConfig{Wire: JSON})
	first, err := d.Request()
	if err != nil {
		t.Fatal(err)
	}
	d.Keep()
	if _, err := d.Request(); err != nil {
		t.Fatal(err)
	}
	if got := first.Args.String(); got != `"one"` {
		t.Errorf("what was kept has become %s", got)
	}
}

// requests is some requests of all sizes.
func requests(tb testing.TB, wire Wire) []byte {
	tb.Helper()
	var b bytes.Buffer
	e := NewEncoder(&b, wire, Limits{})
	for _, options := range []any{nil, RequestOptions{All: true}, RequestOptions{Attempt: 2}, "odd"} {
		for _, args := range []any{nil, []int{2, 3}} {
			if err := e.RequestWith("k", encoded(tb, "add"), encoded(tb, args), encoded(tb, options)); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if err := e.Flush(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// W01, W07: requests that are cut anywhere are those before the cut, and then it is said what is missing.
func TestRequestsCutAtEveryOffset(t *testing.T) {
	for _, wire := range []Wire{Msgpack, JSON} {
		whole := requests(t, wire)
		all := events(NewDecoder(bytes.NewReader(whole), DecoderConfig{Wire: wire}), false)
		want := []string{
			`k: "add" null`, `k: "add" [2,3]`, `k: "add" null with {"all":true}`, `k: "add" [2,3] with {"all":true}`,
			`k: "add" null with {"attempt":2}`, `k: "add" [2,3] with {"attempt":2}`, `k: "add" null with "odd"`, `k: "add" [2,3] with "odd"`,
		}
		if !slices.Equal(all, want) {
			t.Fatalf("%s: %q", wire, all)
		}
		for cut := range whole {
			list := events(NewDecoder(iotest.OneByteReader(bytes.NewReader(whole[:cut])), DecoderConfig{Wire: wire}), false)
			if n := len(list); n > 0 && strings.HasPrefix(list[n-1], "protocol: ") {
				if wire == Msgpack && !strings.Contains(list[n-1], "ended inside a message") {
					t.Errorf("%s, cut at %d: %s", wire, cut, list[n-1])
				}
				list = list[:n-1]
			}
			if len(list) > len(all) || !slices.Equal(list, all[:len(list)]) {
				t.Errorf("%s, cut at %d: %q", wire, cut, list)
			}
		}
	}
}

// FuzzRequests: any bytes as requests, on both wires: never a panic, memory by the bytes received, and what is read and
// written again reads the same.
func FuzzRequests(f *testing.F) {
	for _, wire := range []Wire{Msgpack, JSON} {
		f.Add(requests(f, wire), wire == JSON)
		f.Add(stream(f, wire), wire == JSON)
	}
	for _, b := range bombs() {
		f.Add(append([]byte("\x94\xa1k\xa3add\xc0"), b[:min(len(b), 300)]...), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, json bool) {
		wire := Msgpack
		if json {
			wire = JSON
		}
		d := NewDecoder(bytes.NewReader(b), DecoderConfig{Wire: wire})
		plain := NewDecoder(bytes.NewReader(b), DecoderConfig{Wire: wire})
		plain.mostFlat = 0 // it scans them all
		for {
			r, err := d.Request()
			if scanned, failed := plain.Request(); !reflect.DeepEqual(r, scanned) || fmt.Sprint(err) != fmt.Sprint(failed) {
				t.Fatalf("at a glance: %v, %v\nscanned: %v, %v", r, err, scanned, failed)
			}
			if err != nil {
				break
			}
			var again bytes.Buffer
			e := NewEncoder(&again, Msgpack, Limits{})
			if err := errors.Join(e.RequestWith(r.Key, r.Target, r.Args, r.Options), e.Flush()); err != nil {
				t.Fatalf("%v cannot be written again: %v", r, err)
			}
			got, err := NewDecoder(&again, DecoderConfig{}).Request()
			if err != nil || got.Key != r.Key || !bytes.Equal(got.Target, r.Target) || !bytes.Equal(got.Args, r.Args) || !bytes.Equal(got.Options, r.Options) {
				t.Fatalf("%v reads again as %v, %v", r, got, err)
			}
		}
		if cap(d.buf) > smallBuffer+4*len(b) {
			t.Fatalf("a buffer of %d for %d bytes", cap(d.buf), len(b))
		}
	})
}

// FuzzDecoder: any bytes in any pieces, on both wires: never a panic, memory by the bytes received, and the pieces
// make no difference.
func FuzzDecoder(f *testing.F) {
	for _, wire := range []Wire{Msgpack, JSON} {
		f.Add(stream(f, wire), []byte{0, 3, 200}, wire == JSON)
	}
	for _, b := range bombs() {
		f.Add(append([]byte("x\x92\xa1k"), b[:min(len(b), 300)]...), []byte{1}, false)
	}
	f.Add([]byte(`x["k",["k",1]]`+"\n"+`["k",NaN]`), []byte{0}, true)
	f.Fuzz(func(t *testing.T, b, cuts []byte, json bool) {
		wire := Msgpack
		if json {
			wire = JSON
		}
		whole, text := read(bytes.NewReader(b), wire, "k")
		i, rest := 0, b
		pieces, pieceText := read(readFunc(func(p []byte) (int, error) {
			if len(rest) == 0 {
				return 0, io.EOF
			}
			n := len(p)
			if len(cuts) > 0 {
				n = min(n, 1+int(cuts[i%len(cuts)]))
				i++
			}
			n = copy(p[:n], rest)
			rest = rest[n:]
			return n, nil
		}), wire, "k")
		// That most messages are taken apart at a glance makes no difference, either.
		plain, told := reading(bytes.NewReader(b), wire, "k")
		plain.mostFlat = 0
		if list := events(plain, true); !slices.Equal(list, whole) || told.String() != text {
			t.Fatalf("at a glance: %q, text %q\nscanned: %q, text %q", whole, text, list, told)
		}
		// The bytes that an error shows are those that have come.
		same := slices.EqualFunc(whole, pieces, func(a, b string) bool {
			a, _, _ = strings.Cut(a, " (got ")
			b, _, _ = strings.Cut(b, " (got ")
			return a == b
		})
		if !same || text != pieceText {
			t.Fatalf("whole: %q, text %q\npieces: %q, text %q", whole, text, pieces, pieceText)
		}
	})
}

func TestKeepLeavesTheLastMessageAlone(t *testing.T) {
	for _, wire := range []Wire{Msgpack, JSON} {
		var in bytes.Buffer
		enc := NewEncoder(&in, wire, Limits{})
		for _, word := range []string{"one", "two", "six"} {
			raw, err := Encode(word)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(enc.Request("k", raw, raw), enc.Flush()); err != nil {
				t.Fatal(err)
			}
		}
		dec := NewDecoder(&in, DecoderConfig{Wire: wire})
		first, err := dec.Request()
		if err != nil {
			t.Fatal(err)
		}
		dec.Keep()
		for _, want := range []string{`"two"`, `"six"`} {
			if next, err := dec.Request(); err != nil || next.Args.String() != want {
				t.Errorf("%s: %s, %v; want %s", wire, next.Args, err, want)
			}
			if first.Args.String() != `"one"` || first.Target.String() != `"one"` {
				t.Errorf("%s: the first has become %s %s", wire, first.Target, first.Args)
			}
		}
	}
}
