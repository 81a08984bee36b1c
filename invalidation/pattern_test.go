package invalidation

import (
	"slices"
	"testing"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	cases := []struct {
		texts   []string
		table   relationName
		matches bool
		columns []string
	}{
		{[]string{"public.*"}, relationName{"public", "users"}, true, nil},
		{[]string{"public.*"}, relationName{"publicity", "users"}, false, nil},
		{[]string{"public.user"}, relationName{"public", "users"}, false, nil},
		{[]string{"public.user?"}, relationName{"public", "users"}, true, nil},
		{[]string{"*.u*s"}, relationName{"shop", "users"}, true, nil},
		{[]string{"public.a+"}, relationName{"public", "aa"}, false, nil},
		{[]string{" shop.users ( id , email ) "}, relationName{"shop", "users"}, true, []string{"id", "email"}},
		{[]string{"shop.users(id)", "shop.*"}, relationName{"shop", "users"}, true, []string{"id"}},
		{[]string{"shop.*", "shop.users(id)", "shop.users(email)"}, relationName{"shop", "users"}, true, []string{"email"}},
		{[]string{"shop.My Table"}, relationName{"shop", "My Table"}, true, nil},
	}
	for _, c := range cases {
		patterns, err := parsePatterns(c.texts)
		if err != nil {
			t.Errorf("%q: %v", c.texts, err)
			continue
		}
		p, ok := match(patterns, c.table)
		if ok != c.matches || !slices.Equal(p.columns, c.columns) {
			t.Errorf("%q on %s: %v with columns %q, want %v with %q", c.texts, c.table, ok, p.columns, c.matches, c.columns)
		}
	}
}

func TestPatternsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, texts := range [][]string{nil, {""}, {"users"}, {"a.b.c"}, {"a.b(c"}, {"a.b(c,,d)"}, {"a.b(c,c)"}, {".b"}, {"a."}} {
		if _, err := parsePatterns(texts); err == nil {
			t.Errorf("%q was accepted", texts)
		}
	}
}
