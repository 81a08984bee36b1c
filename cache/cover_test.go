package cache_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache"
)

// What DependsOn leaves out of a load's statements is found, and nothing else is said.
func TestUncoveredDependenciesAreFound(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema+"ALTER TABLE public.books ADD FOREIGN KEY (author_id) REFERENCES public.authors (id);", nil)
	titles := func(ctx context.Context, author int64) (out []string, err error) {
		var name string
		if err := o.QueryRow(ctx, "SELECT name FROM public.authors WHERE id = $1", author).Scan(&name); err != nil {
			return nil, err
		}
		rows, err := o.Query(ctx, "SELECT title FROM public.books WHERE author_id = $1", author)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowTo[string])
	}
	for name, c := range map[string]struct {
		depends []cache.Dependency
		want    []string
	}{
		"all":              {[]cache.Dependency{cache.Row("public.authors", "id", 1), cache.Row("public.books", "author_id", 1)}, nil},
		"tables":           {[]cache.Dependency{cache.Table("public.authors"), cache.Table("public.books")}, nil},
		"a row, a table":   {[]cache.Dependency{cache.Row("public.authors", "id", 1), cache.Table("public.books")}, nil},
		"no books":         {[]cache.Dependency{cache.Row("public.authors", "id", 1)}, []string{"public.books"}},
		"no authors":       {[]cache.Dependency{cache.Table("public.books")}, []string{"public.authors"}},
		"another column":   {[]cache.Dependency{cache.Row("public.authors", "id", 1), cache.Row("public.books", "id", 1)}, []string{"rows that have other values or columns"}},
		"something beside": {[]cache.Dependency{cache.Row("public.authors", "id", 1), cache.Row("public.books", "author_id", 1), cache.Tag("rates")}, nil},
	} {
		p := cache.Policy[int64, []string]{DependsOn: func(int64, []string) []cache.Dependency { return c.depends }}
		if got, err := cache.Uncovered(t.Context(), o.DB, titles, p, 1); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
	all := func(ctx context.Context, _ int64) (n int, err error) {
		err = o.QueryRow(ctx, "SELECT count(*) FROM public.books").Scan(&n)
		return n, err
	}
	rows := cache.Policy[int64, int]{DependsOn: func(id int64, _ int) []cache.Dependency {
		return []cache.Dependency{cache.Row("public.books", "id", id)}
	}}
	if got, err := cache.Uncovered(t.Context(), o.DB, all, rows, 1); err != nil || !slices.Equal(got, []string{"public.books as a whole"}) {
		t.Errorf("%q, %v", got, err)
	}
	typo := cache.Policy[int64, int]{DependsOn: func(int64, int) []cache.Dependency { return []cache.Dependency{cache.Table("public.boks")} }}
	if _, err := cache.Uncovered(t.Context(), o.DB, all, typo, 1); err == nil {
		t.Error("a typo is no error")
	}
	clock := func(ctx context.Context, _ int64) (n int, err error) {
		return n, o.QueryRow(ctx, "SELECT extract(year FROM now())::int").Scan(&n)
	}
	if _, err := cache.Uncovered(t.Context(), o.DB, clock, rows, 1); err == nil {
		t.Error("what cannot be told is no error")
	}
	broken := errors.New("broken")
	if _, err := cache.Uncovered(t.Context(), o.DB, func(context.Context, int64) (int, error) { return 0, broken }, rows, 1); !errors.Is(err, broken) {
		t.Errorf("a load that fails: %v", err)
	}
}
