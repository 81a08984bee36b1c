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

// What is watched stays so. What queries are likely to look up by is added where nothing was watched,
// or some of it is gone and may have another name, unless the pattern names columns.
func TestColumnsThatAreChosen(t *testing.T) {
	t.Parallel()
	root := candidate{
		catalogRelation: catalogRelation{Schema: "public", Name: "users"},
		Columns:         []candidateColumn{{"id", true}, {"mail", true}, {"note", false}, {"extra", false}},
	}
	for _, c := range []struct {
		what    string
		pattern string
		watched []string
		lost    bool
		want    []string
	}{
		{"nothing watched", "public.*", nil, false, []string{"id", "mail"}},
		{"another choice watched", "public.*", []string{"note"}, false, []string{"note"}},
		{"of what is watched, one is gone", "public.*", []string{"note", "id"}, true, []string{"note", "id", "mail"}},
		{"all that was watched is gone", "public.*", []string{}, true, []string{"id", "mail"}},
		{"a table of which no column is watched", "public.*", []string{}, false, []string{}},
		{"named, and one watched is gone", "public.users(extra)", []string{"note"}, true, []string{"note", "extra"}},
	} {
		patterns, err := parsePatterns([]string{c.pattern})
		if err != nil {
			t.Fatal(err)
		}
		columns, reason := chooseColumns(patterns, root, []candidate{root}, c.watched, c.lost)
		if reason != "" || !slices.Equal(columns, c.want) {
			t.Errorf("%s: %q are chosen (%s), want %q", c.what, columns, reason, c.want)
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
