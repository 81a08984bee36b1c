package rules

import (
	"testing"
	"time"
)

func TestStrictestRuleHolds(t *testing.T) {
	t.Parallel()
	const orders = "SELECT * FROM shop.orders WHERE id = ?"
	s := NewSet([]Rule{
		{Table: "shop.*", Terms: Terms{Staleness: 500 * time.Millisecond, TTL: time.Minute}},
		{Table: "shop.orders", Terms: Terms{TTL: time.Hour, EntryMax: 100}},
		{ID: ShapeID(orders), Terms: Terms{EntryMax: 200}},
		{Table: "shop.sessions", Terms: Terms{Never: true}},
		{Text: "SELECT … FROM  shop.carts ...", Terms: Terms{Never: true}},
	})
	for _, c := range []struct {
		text   string
		tables []string
		want   Terms
	}{
		{orders, []string{"shop.orders"}, Terms{Staleness: 500 * time.Millisecond, TTL: time.Minute, EntryMax: 100}},
		{"SELECT 1 FROM shop.items, shop.sessions", []string{"shop.items", "shop.sessions"}, Terms{Never: true, Staleness: 500 * time.Millisecond, TTL: time.Minute}},
		{"SELECT a,\n b FROM shop.carts WHERE c = ?", []string{"other.carts"}, Terms{Never: true}},
		{"SELECT 1 FROM public.orders", []string{"public.orders"}, Terms{}},
		{"  SELECT *  FROM shop.orders\nWHERE id = ?", nil, Terms{EntryMax: 200}},
	} {
		got := s.For(c.text, c.tables)
		if got.Terms != c.want || !got.Of(s) || got.Of(nil) {
			t.Errorf("%s: %+v, want %+v", c.text, got, c.want)
		}
	}
	var none *Set
	if j := none.For(orders, nil); j.Terms != (Terms{}) || !j.Of(nil) || NewSet(nil) != nil {
		t.Errorf("without rules there are terms: %+v", j)
	}
	if (*Judged)(nil).Of(nil) {
		t.Error("what was not judged is judged")
	}
}

// TestOutOfDate: every table has to have a rule that accepts, or the shape itself; the
// shortest of all that match counts.
func TestOutOfDate(t *testing.T) {
	t.Parallel()
	const both = "SELECT 1 FROM shop.a, shop.b"
	a, b := Rule{Table: "shop.a", OutOfDate: 30}, Rule{Table: "*.b", OutOfDate: 20}
	for _, c := range []struct {
		rules  []Rule
		tables []string
		want   time.Duration
	}{
		{[]Rule{a}, []string{"shop.a"}, 30},
		{[]Rule{a}, []string{"shop.a", "shop.b"}, 0},
		{[]Rule{a, b}, []string{"shop.a", "shop.b"}, 20},
		{[]Rule{a, b}, nil, 0},
		{[]Rule{{Text: "SELECT … FROM …", OutOfDate: 40}}, []string{"shop.a", "shop.b"}, 40},
		{[]Rule{{ID: ShapeID(both), OutOfDate: 40}, a}, []string{"shop.a", "shop.b"}, 30},
		{[]Rule{{ID: ShapeID("SELECT ?"), OutOfDate: 40}, {Table: "shop.*", Terms: Terms{TTL: 5}}}, []string{"shop.a"}, 0},
	} {
		s := NewSet(c.rules)
		if got := s.For(both, c.tables).OutOfDate; got != c.want || !s.Accepts() {
			t.Errorf("%+v of %v: %v, want %v", c.rules, c.tables, got, c.want)
		}
	}
	if (*Set)(nil).Accepts() || NewSet([]Rule{{Table: "a.b", Terms: Terms{Never: true}}}).Accepts() {
		t.Error("rules accept what they do not speak of")
	}
}

func TestLike(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"…", "", true}, {"a…", "ab", true}, {"…b", "ab", true}, {"…a", "ab", false},
		{"a…c…e", "abcde", true}, {"a…e…c", "abcde", false}, {"ab…ba", "aba", false}, {"a...a", "aa", true}, {"…x…", "axb", true},
	} {
		if got := like(c.pattern, c.text); got != c.want {
			t.Errorf("%q like %q: %v", c.text, c.pattern, got)
		}
	}
}

func TestShapeID(t *testing.T) {
	t.Parallel()
	id := ShapeID("SELECT ?")
	if !IsShapeID(id) || ShapeID("SELECT  ?") != id || ShapeID("select ?") == id {
		t.Errorf("%q names a shape", id)
	}
	for _, text := range []string{"", "9f31c2a", "9f31c2aag", "9f31c2aa00"} {
		if IsShapeID(text) {
			t.Errorf("%q counts as the name of a shape", text)
		}
	}
}
