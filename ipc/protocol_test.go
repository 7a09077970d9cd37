package ipc

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// page is PROTOCOL.md.
func page(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Each line of the transcripts is what the encoder writes and what the decoder reads.
func TestProtocolTranscripts(t *testing.T) {
	lines := regexp.MustCompile(`(?m)^([→←]) ((?:[0-9a-f]{2} )+) *(\[.*\])$`).FindAllStringSubmatch(page(t), -1)
	if len(lines) < 8 {
		t.Fatalf("PROTOCOL.md has %d lines of transcripts", len(lines))
	}
	for _, line := range lines {
		want, err := hex.DecodeString(strings.ReplaceAll(line[2], " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		e := NewEncoder(&got, Msgpack, Limits{})
		if line[1] == "→" {
			r, err := NewDecoder(strings.NewReader(line[3]), DecoderConfig{Wire: JSON}).Request()
			if err != nil {
				t.Fatalf("%s: %v", line[0], err)
			}
			err = e.RequestWith(r.Key, r.Target, r.Args, r.Options)
			if err != nil {
				t.Fatal(err)
			}
			again, err := NewDecoder(bytes.NewReader(want), DecoderConfig{}).Request()
			if err != nil || again.Key != r.Key || !bytes.Equal(again.Target, r.Target) || !bytes.Equal(again.Args, r.Args) || !bytes.Equal(again.Options, r.Options) {
				t.Errorf("%s reads as %v, %v", line[0], again, err)
			}
		} else {
			a, err := NewDecoder(strings.NewReader(line[3]), DecoderConfig{Wire: JSON}).Answer()
			if err != nil {
				t.Fatalf("%s: %v", line[0], err)
			}
			if a.Err != nil {
				err = e.Failure(string(a.Key), a.Err)
			} else {
				err = e.Answer(string(a.Key), a.Value)
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := NewDecoder(bytes.NewReader(want), DecoderConfig{}).Answer()
			if err != nil || string(again.Key) != string(a.Key) || !bytes.Equal(again.Value, a.Value) || (again.Err == nil) != (a.Err == nil) {
				t.Errorf("%s reads as %v, %v", line[0], again, err)
			}
		}
		if err := e.Flush(); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s is written as % x, %v", line[0], got.Bytes(), err)
		}
	}
}

// The worker at the top of the page does what the page says.
func TestProtocolWorkerInTenLines(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("skipped: no python3 here, and the worker of PROTOCOL.md is in Python")
	}
	_, rest, _ := strings.Cut(page(t), "```python\n")
	code, _, found := strings.Cut(rest, "```")
	if n := strings.Count(code, "\n"); !found || n > 10 {
		t.Fatalf("the worker has %d lines", n)
	}
	file := filepath.Join(t.TempDir(), "worker.py")
	if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, file)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e := NewEncoder(stdin, JSON, Limits{})
	d := NewDecoder(stdout, DecoderConfig{Wire: JSON})
	for _, tt := range []struct {
		key          string
		target, args any
		value, fault string
	}{
		{KeyHello, KeyHello, Greeting{Protocol: 1, Wire: JSON, Group: "main", Worker: 1, Of: 4}, "", "KeyError: '__HELLO'"},
		{"k1", "add", []int{2, 3}, "5", ""},
		{"ü \"\n", "upper", []string{"alba ü"}, `"ALBA Ü"`, ""},
		{"none", "upper", nil, "", "TypeError"},
		{"odd", []int{1}, nil, "", "TypeError"},
		{"big", "add", []uint64{1 << 63, 1}, "9223372036854775809", ""},
	} {
		args := encoded(t, tt.args)
		if err := e.Request(tt.key, encoded(t, tt.target), args); err != nil {
			t.Fatal(err)
		}
		if err := e.Flush(); err != nil {
			t.Fatal(err)
		}
		a, err := d.Answer() // one at a time: it must have flushed
		if err != nil || string(a.Key) != tt.key {
			t.Fatalf("%s: %v, %v", tt.key, a, err)
		}
		if tt.fault != "" && (a.Err == nil || !strings.Contains(a.Err.Error(), tt.fault)) || tt.fault == "" && a.Value.String() != tt.value {
			t.Errorf("%s = %s, %v, want %s%s", tt.key, a.Value, a.Err, tt.value, tt.fault)
		}
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("at the end of stdin: %v", err)
	}
}

// What the page quotes of the decoder is what the decoder says, and the page quotes it all.
func TestProtocolErrorTexts(t *testing.T) {
	text := page(t)
	for _, tt := range []struct {
		wire Wire
		in   string
		want string
	}{
		{Msgpack, "\x93\xa1k\x01\x02", "has a value and an error, so it echoes requests: is it cat?"},
		{Msgpack, "\x92\x01", "a message must be an array whose first item is a string"},
		{Msgpack, "\x92\xa1k\xc1", "a malformed message of key"},
		{JSON, `["k",1]["k",2]` + "\n", "a line that begins like an answer must be one"},
		{Msgpack, "\x93\xa1k\xc0\x05", `the error of key "k" must be a string or a map`},
		{Msgpack, "\x92\xa1\xff\x05", "a key is not valid UTF-8"},
		{Msgpack, "\x92\xda\x02\x01", "at most 512 are allowed"},
		{Msgpack, "\x92\xa1k\xc4\x67" + strings.Repeat("x", 47), "the input ended inside a message: got 52 of at least 108 bytes"},
	} {
		_, err := NewDecoder(strings.NewReader(tt.in), DecoderConfig{Wire: tt.wire}).Answer()
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.in, err, tt.want)
		}
		if !strings.Contains(text, tt.want) {
			t.Errorf("PROTOCOL.md does not have %q", tt.want)
		}
	}
	_, err := NewDecoder(strings.NewReader(`["k"]`), DecoderConfig{}).Request()
	if want := "this is JSON: set MASTER_WIRE=json to read it"; err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(text, want) {
		t.Errorf("JSON on the msgpack wire: %v, want %q, also in PROTOCOL.md", err, want)
	}
}
