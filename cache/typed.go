package cache

import (
	"encoding/json"
	"errors"
	"sync/atomic"
)

// Codec turns values into bytes for the second tier and back. What it decodes
// must equal what it encoded. Its methods may be called concurrently.
type Codec[V any] interface {
	// Append appends the bytes of v to dst.
	Append(dst []byte, v V) ([]byte, error)
	// Decode reads what Append wrote. It may keep src. It must report an error for
	// bytes that it does not know.
	Decode(src []byte) (V, error)
}

// jsonCodec is the default.
type jsonCodec[V any] struct{}

func (jsonCodec[V]) Append(dst []byte, v V) ([]byte, error) {
	text, err := json.Marshal(v)
	return append(dst, text...), err
}

func (jsonCodec[V]) Decode(src []byte) (v V, err error) {
	err = json.Unmarshal(src, &v)
	return v, err
}

// decodeInto is Decode to a place of the caller's, which holds nothing yet.
func (jsonCodec[V]) decodeInto(src []byte, v *V) error { return json.Unmarshal(src, v) }

// typed is the payload of a wrapped function: a value, or the knowledge that
// there is none.
type typed[K comparable, V any] struct {
	of    *wrapped[K, V]
	key   K
	value V
	found bool
	size  int
	// fingerprint is that of the value when it was kept, where changes are watched for.
	fingerprint uint64
	// asked counts the hits, for functions that are kept warm.
	asked atomic.Uint64
}

const (
	typedAbsent = 0
	typedFound  = 1
)

var errTypedBytes = errors.New("decode cached value: malformed bytes")

func (p *typed[K, V]) Size() int { return p.size }

func (p *typed[K, V]) AppendBinary(dst []byte) ([]byte, error) {
	if !p.found {
		return append(dst, typedAbsent), nil
	}
	return p.of.encode(append(dst, typedFound), p.value)
}

// answer is what the payload says to a caller.
func (p *typed[K, V]) answer() (V, error) {
	if !p.found {
		return p.value, p.of.policy.NotFound
	}
	return p.value, nil
}
