package cache

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

type compound struct {
	a, b string
	n    int
	id   [2]uint8
	on   bool
	f    float64
}

func encode(v any) []byte { return appendKey(nil, reflect.ValueOf(v)) }

func TestDifferentKeysAreDifferentBytes(t *testing.T) {
	t.Parallel()
	keys := []compound{
		{}, {a: "x"}, {b: "x"}, {a: "xy"}, {a: "x", b: "y"}, {a: "\x00"}, {b: "\x00"}, {a: "\x01x"},
		{n: 1}, {n: -1}, {id: [2]uint8{1, 0}}, {id: [2]uint8{0, 1}}, {on: true}, {f: 1}, {f: -1},
	}
	for i, a := range keys {
		for j, b := range keys {
			if bytes.Equal(encode(a), encode(b)) != (i == j) {
				t.Errorf("%+v and %+v", a, b)
			}
		}
	}
	for _, pair := range [][2]any{{int64(-1), int64(1)}, {uint64(1 << 63), uint64(0)}, {"a", "b"}, {complex(1, 2), complex(2, 1)}} {
		if bytes.Equal(encode(pair[0]), encode(pair[1])) {
			t.Errorf("%v and %v", pair[0], pair[1])
		}
	}
}

func TestKeysThatEndWithTheProcessAreRefused(t *testing.T) {
	t.Parallel()
	for _, good := range []any{compound{}, 1, "", [2]string{}} {
		if err := keyable(reflect.TypeOf(good)); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []any{new(int), time.Time{}, [1]*int{}, struct{ x any }{}, make(chan int)} {
		if keyable(reflect.TypeOf(bad)) == nil {
			t.Errorf("%T is taken for a key", bad)
		}
	}
}
