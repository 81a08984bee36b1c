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
