package cache

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/internal/world"
)

// masked shows others less than who loaded it.
type masked struct {
	ID    int
	Email string
}

func (m masked) MarshalJSON() ([]byte, error) { return []byte(`{"ID":1,"Email":"x***"}`), nil }

func (m *masked) UnmarshalJSON([]byte) error {
	*m = masked{1, "x***"}
	return nil
}

// panicking is a codec that panics.
type panicking struct{}

func (panicking) Append([]byte, number) ([]byte, error) { panic("no codec") }
func (panicking) Decode([]byte) (number, error)         { panic("no codec") }

// A type that JSON does not keep, or changes, works with Redis as without: its values
// stay in each process, and somebody can find out why.
func TestMemoryOnly(t *testing.T) {
	t.Parallel()
	type secret struct {
		Name     string
		password string
	}
	_, b, first, second := pair(t)
	keptInMemory(t, b, first, second, "unexported", Policy[int, secret]{}, secret{"a", "b"}, "JSON does not keep")
	type attributed struct{ Attributes map[string]any }
	keptInMemory(t, b, first, second, "any", Policy[int, attributed]{}, attributed{map[string]any{"a": 1}}, "JSON does not keep")
	keptInMemory(t, b, first, second, "masking", Policy[int, masked]{}, masked{1, "xaver@example.com"}, "does not come back")
	keptInMemory(t, b, first, second, "latin", Policy[int, string]{}, "caf\xe9", "does not come back")
	keptInMemory(t, b, first, second, "codec", Policy[int, number]{Codec: panicking{}}, number{Value: 7}, "Policy.Codec panicked")
}

// keptInMemory requires that a value is a hit here, and never seen elsewhere.
func keptInMemory[V any](t *testing.T, b *world.Bag, first, second *Cache, name string, p Policy[int, V], v V, why string) {
	t.Helper()
	p.DependsOn = numberOf[V]
	loads, before := 0, len(b.Snapshot())
	load := func(context.Context, int) (V, error) { loads++; return v, nil }
	f, g := Wrap(first.DB(), name, load, p), Wrap(second.DB(), name, load, p)
	for _, get := range []func(context.Context, int) (V, error){f, f, g, g} {
		got, err := get(t.Context(), 1)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, v) {
			t.Errorf("%s: got %v, loaded %v", name, got, v)
		}
	}
	if loads != 2 {
		t.Errorf("%s: %d loads in two processes", name, loads)
	}
	if got := first.Stats().Functions[name].MemoryOnly; !strings.Contains(got, why) {
		t.Errorf("%s: stays in memory because %q, want %q", name, got, why)
	}
	marked(t, b, first)
	marked(t, b, second)
	if n := len(b.Snapshot()) - before - 2; n != 0 {
		t.Errorf("%s: %d values are in the second tier, want none", name, n)
	}
}

// marked has a cache publish an entry of its own, and waits until that is in the bag: with it
// is all that the cache had to publish before, one after the other.
func marked(t *testing.T, b *world.Bag, c *Cache) {
	t.Helper()
	start, ok := c.engine.Begin()
	if !ok {
		t.Fatal("no head")
	}
	key := []byte(rand.Text())
	c.engine.Store(c.engine.NewEntry(engine.Loaded{Key: key, Start: start, End: start.At, Payload: &typed[int, int]{}}))
	world.Until(t, "the entry is in the bag", func() bool {
		for _, envelope := range b.Snapshot() {
			if bytes.Contains(envelope, key) {
				return true
			}
		}
		return false
	})
}

func TestWholeValuesAreShared(t *testing.T) {
	t.Parallel()
	w, b, first, second := pair(t)
	l := &loader{world: w}
	get(t, t.Context(), wrapNumber(first, l))
	b.AwaitSet(t)
	get(t, t.Context(), wrapNumber(second, l))
	if why := first.Stats().Functions["number"].MemoryOnly; why != "" || l.loads.Load() != 1 {
		t.Fatalf("%d loads; stays in memory because %q", l.loads.Load(), why)
	}
}

// A value that the codec refuses is one value, and not the function.
type picky struct{ jsonCodec[int] }

var errPicky = errors.New("not this one")

func (p picky) Append(dst []byte, v int) ([]byte, error) {
	if v == 13 {
		return nil, errPicky
	}
	return p.jsonCodec.Append(dst, v)
}

func TestValueThatTheCodecRefuses(t *testing.T) {
	t.Parallel()
	_, b, first, second := pair(t)
	loads := 0
	load := func(_ context.Context, k int) (int, error) { loads++; return k, nil }
	p := Policy[int, int]{DependsOn: numberOf[int], Codec: picky{}}
	f, g := Wrap(first.DB(), "picky", load, p), Wrap(second.DB(), "picky", load, p)
	for _, k := range []int{13, 13, 14} {
		if got, err := f(t.Context(), k); got != k || err != nil {
			t.Fatal(got, err)
		}
	}
	b.AwaitSet(t)
	for _, k := range []int{14, 13} {
		if got, err := g(t.Context(), k); got != k || err != nil {
			t.Fatal(got, err)
		}
	}
	if loads != 3 || first.Stats().Functions["picky"].MemoryOnly != "" {
		t.Fatalf("%d loads, %+v", loads, first.Stats().Functions)
	}
}
