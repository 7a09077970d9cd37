package ipc

import (
	"bytes"

	"github.com/vmihailenco/msgpack/v5"
)

// Raw is one encoded msgpack value.
type Raw []byte

// Encode encodes v canonically.
func Encode(v any) (Raw, error) {
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.SetSortMapKeys(true)
	e.UseCompactInts(true)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Decode decodes into what v points to.
func (r Raw) Decode(v any) error { return msgpack.Unmarshal(r, v) }

// String shows the value as JSON.
func (r Raw) String() string { return "" }
