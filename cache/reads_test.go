package cache_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/freshet/freshet/cache"
)

// Reads are counted by their outcomes as OnRead is told of them, statements by their
// kinds, and functions by what their loads took.
func TestReadsAreCounted(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	ctx := t.Context()
	name := func(id int) {
		t.Helper()
		if err := o.QueryRow(ctx, "SELECT name FROM public.authors WHERE id = $1 AND name <> 'nobody'", id).Scan(new(string)); err != nil {
			t.Fatal(err)
		}
	}
	name(1)
	name(1)
	name(1)
	if _, err := o.Exec(ctx, "UPDATE public.authors SET name = 'another' WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	name(1)
	if err := o.QueryRow(ctx, "SELECT count(*) FROM public.authors WHERE now() > '2020-01-01'").Scan(new(int)); err != nil {
		t.Fatal(err)
	}
	title := cache.Wrap(o.DB, "title", func(ctx context.Context, id int) (title string, err error) {
		if id < 0 {
			return "", errors.New("no such thing")
		}
		return title, o.QueryRow(ctx, "SELECT title FROM public.books WHERE id = $1", id).Scan(&title)
	})
	for _, id := range []int{1, 1, -1} {
		if _, err := title(ctx, id); (err != nil) != (id < 0) {
			t.Fatal(err)
		}
	}
	s := o.Stats()
	r := s.Reads
	// Loaded: the author twice, the function, and the statement of its load.
	if r.Hits != 3 || r.Loaded != 4 || r.Failed != 1 || r.Joined+r.Remote+r.Stale != 0 {
		t.Errorf("reads %+v", r)
	}
	if !maps.Equal(r.Misses, map[string]uint64{"cold": 3, "invalidated": 1}) || !maps.Equal(r.NotKept, map[string]uint64{"clock": 1}) {
		t.Errorf("misses %v, not kept %v", r.Misses, r.NotKept)
	}
	of := func(sql string) cache.StatementStats {
		at := slices.IndexFunc(s.Statements, func(one cache.StatementStats) bool { return one.SQL == sql })
		if at < 0 {
			t.Fatalf("%q is not among %+v", sql, s.Statements)
		}
		return s.Statements[at]
	}
	author := of("SELECT name FROM public.authors WHERE id = $1 AND name <> ?")
	if author.Hits != 2 || author.Loads != 2 || author.Loading <= 0 || author.Saved() != author.Loading || !slices.Equal(author.Tables, []string{"public.authors"}) {
		t.Errorf("%+v", author)
	}
	if clock := of("SELECT count(*) FROM public.authors WHERE now() > ?"); clock.Reason != "clock" || clock.Loads+clock.Hits != 0 {
		t.Errorf("%+v", clock)
	}
	if f := s.Functions["title"]; f.Hits != 1 || f.Loads != 2 || f.LoadErrors != 1 || f.Loading <= 0 || f.Saved() <= 0 {
		t.Errorf("%+v", f)
	}
}
