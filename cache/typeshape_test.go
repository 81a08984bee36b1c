package cache

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

type base struct{ ID int }

type Base struct{ ID int }

type node struct {
	Name string
	Next *node
}

type loud struct{ X int }

func (loud) MarshalText() ([]byte, error) { return []byte("loud"), nil }

func TestWhatJSONLoses(t *testing.T) {
	t.Parallel()
	type whole struct {
		Base
		Name   string `json:"name,omitempty"`
		At     time.Time
		Tags   []string
		Counts map[string]int64
		Raw    json.RawMessage
		Next   *node
	}
	for _, good := range []any{whole{}, 1, "", []byte{}, map[int]string{}, time.Time{}, node{}, &whole{}} {
		if lost := lostInJSON(reflect.TypeOf(good), map[reflect.Type]bool{}); lost != "" {
			t.Errorf("%T: said to lose %s", good, lost)
		}
	}
	for _, bad := range []any{
		struct{ a int }{}, struct {
			A int `json:"-"`
		}{}, struct{ A any }{}, map[bool]int{}, complex(1, 1), []func(){},
		struct {
			time.Time
			Name string
		}{},
		struct {
			Base
			Id string
		}{},
		struct{ base }{}, loud{},
	} {
		if lost := lostInJSON(reflect.TypeOf(bad), map[reflect.Type]bool{}); lost == "" {
			t.Errorf("%T: said to lose nothing", bad)
		}
	}
}

func TestShapes(t *testing.T) {
	t.Parallel()
	type product struct{ A int }
	one := shapeOf(reflect.TypeFor[product]())
	two := func() string {
		type product struct{ A, B int }
		return shapeOf(reflect.TypeFor[product]())
	}()
	if one == two || !strings.HasPrefix(one, "cache.product#") {
		t.Fatalf("%s and %s", one, two)
	}
	first, again := shapeOf(reflect.TypeFor[node]()), shapeOf(reflect.TypeFor[node]())
	if first != again {
		t.Fatalf("a type has the shapes %s and %s", first, again)
	}
}

func TestMemoryOfValues(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	text := strings.Repeat("x", 1000)
	for name, c := range map[string]struct {
		value any
		want  int
	}{
		"string": {text, 16 + 1000},
		"bytes":  {make([]byte, 10, 100), 24 + 100},
		"struct": {node{Name: text}, 24 + 1000},
		"list":   {node{Next: &node{Name: text}}, 24 + 24 + 1000},
		"texts":  {[]string{text, text}, 24 + 2*(16+1000)},
		"map":    {map[string]int{text: 1}, 8 + 8 + 16 + 1000 + 8},
		"nil":    {(*node)(nil), 8},
	} {
		if got := memoryOf(reflect.ValueOf(c.value), most); got != c.want {
			t.Errorf("%s: %d bytes, want %d", name, got, c.want)
		}
	}
	if got := memoryOf(reflect.ValueOf(make([]string, 1000)), 100); got <= 100 {
		t.Errorf("%d bytes are not above the most", got)
	}
}

// What several pointers lead to is there once; a ring ends.
func TestMemoryBehindSharedPointers(t *testing.T) {
	t.Parallel()
	shared := &node{Name: strings.Repeat("x", 1000)}
	one := memoryOf(reflect.ValueOf([]*node{shared}), 1<<20)
	if got := memoryOf(reflect.ValueOf([]*node{shared, shared, shared}), 1<<20); got != one+2*8 {
		t.Errorf("three pointers to what takes %d bytes take %d", one, got)
	}
	ring := &node{}
	ring.Next = ring
	if got := memoryOf(reflect.ValueOf(ring), 1<<20); got != 8+24 {
		t.Errorf("a ring of one takes %d bytes", got)
	}
}

// A time points to its zone, which holds the whole history of a place, and which
// all times of that place share: a row of two timestamps was charged 8 kB.
func TestMemoryOfTimes(t *testing.T) {
	t.Parallel()
	there, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		A, B time.Time
		Name string
	}
	rows := make([]row, 100)
	for i := range rows {
		rows[i] = row{time.Now().In(there), time.Now().In(there), "x"}
	}
	if got, want := memoryOf(reflect.ValueOf(rows), 1<<20), 24+100*(2*24+16+1); got != want {
		t.Errorf("100 rows of two times take %d bytes, want %d", got, want)
	}
}
