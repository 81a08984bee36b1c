package description

import (
	"slices"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/digest"
)

// column is what a RowDescription says of one, of a table's column or of none, in text or
// in binary.
func column(name string, table, typ, format byte) []byte {
	return slices.Concat([]byte(name), []byte{0},
		[]byte{0, 0, 0, table, 0, 1}, []byte{0, 0, 0, typ, 0, 4, 255, 255, 255, 255}, []byte{0, format})
}

func rows(columns ...[]byte) []byte {
	return slices.Concat(append([][]byte{{0, byte(len(columns))}}, columns...)...)
}

// TestDescriptionsOfRows: columns are the same by name and type, whatever table they are
// of, and in whatever format they come.
func TestDescriptionsOfRows(t *testing.T) {
	t.Parallel()
	one := OfRows('T', rows(column("a", 7, 23, 0)))
	for name, c := range map[string]struct {
		body []byte
		same bool
	}{
		"of another table":  {rows(column("a", 8, 23, 0)), true},
		"in binary":         {rows(column("a", 7, 23, 1)), true},
		"by another name":   {rows(column("b", 7, 23, 0)), false},
		"of another type":   {rows(column("a", 7, 25, 0)), false},
		"with another":      {rows(column("a", 7, 23, 0), column("a", 7, 23, 0)), false},
		"none":              {rows(), false},
		"cut off":           {rows(column("a", 7, 23, 0))[:9], false},
		"without a number":  {nil, false},
		"more than it says": {append(rows(column("a", 7, 23, 0)), 1), true},
	} {
		if same := OfRows('T', c.body) == one; same != c.same {
			t.Errorf("%s: the same: %v", name, same)
		}
	}
	none, again := OfRows('n', nil), OfRows('n', nil)
	if none != again || none == OfRows('T', rows()) {
		t.Error("no rows are like rows without columns, or not like themselves")
	}
	broken := rows(column("a", 7, 23, 0))[:9]
	if first, second := OfRows('T', broken), OfRows('T', broken); first == second {
		t.Error("what is not understood is like itself")
	}
}

// TestDescriptionIsRepeated: what Postgres says again of a portal's columns is known, without
// an allocation; anything else is not, and what is cut off never.
func TestDescriptionIsRepeated(t *testing.T) {
	said := rows(column("a", 7, 23, 0), column("b", 7, 25, 0))
	known := Heard('T', said, nil)
	for name, c := range map[string]struct {
		of       *Description
		kind     byte
		body     []byte
		repeated bool
	}{
		"the same":            {known, 'T', said, true},
		"in binary":           {known, 'T', rows(column("a", 7, 23, 1), column("b", 7, 25, 1)), true},
		"by another name":     {known, 'T', rows(column("c", 7, 23, 0), column("b", 7, 25, 0)), false},
		"of another type":     {known, 'T', rows(column("a", 7, 23, 0), column("b", 7, 23, 0)), false},
		"fewer":               {known, 'T', rows(column("a", 7, 23, 0)), false},
		"none":                {known, 'n', nil, false},
		"none again":          {Heard('n', nil, nil), 'n', nil, true},
		"cut off alike":       {Heard('T', said[:20], nil), 'T', said[:20], false},
		"of another Postgres": {known.As(false), 'T', said, false},
		"of nothing":          {nil, 'T', said, false},
	} {
		if repeated := c.of.Repeats(c.kind, c.body); repeated != c.repeated {
			t.Errorf("%s: repeated: %v", name, repeated)
		}
	}
	if n := testing.AllocsPerRun(100, func() { known.Repeats('T', said) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestDescriptionsAgree: who was told of the columns alone may have been told any
// parameters.
func TestDescriptionsAgree(t *testing.T) {
	t.Parallel()
	columns, others := digest.Of([]byte("a")), digest.Of([]byte("b"))
	types := []byte{0, 1, 0, 0, 0, 23}
	alone, whole := New(columns, nil, true), New(columns, types, false)
	if !alone.Agrees(whole) || !whole.Agrees(alone) || !whole.Agrees(whole.As(true)) {
		t.Error("descriptions of one statement do not agree")
	}
	for name, other := range map[string]*Description{
		"other columns":        New(others, types, false),
		"another parameter":    New(columns, []byte{0, 1, 0, 0, 0, 25}, false),
		"no parameter":         New(columns, []byte{0, 0}, false),
		"parameters cut short": New(columns, []byte{0, 1, 0}, false),
	} {
		if whole.Agrees(other) || other.Agrees(whole) || whole.Key() == other.Key() {
			t.Errorf("%s: it is taken for the same", name)
		}
	}
	if whole.Key() == alone.Key() || whole.Key() != whole.As(true).Key() || (*Description)(nil).Key() != (digest.Digest{}) {
		t.Error("a key does not stand for what was told")
	}
}
