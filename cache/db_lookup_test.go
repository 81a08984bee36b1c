package cache_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
)

// A join depends on the rows that it leads to, and not on the whole table of those.
func TestJoinsDependOnTheirRows(t *testing.T) {
	t.Parallel()
	o := openBare(t, shopSchema, func(_ *pgxpool.Config, o *cache.Options) {
		o.Watch = []string{"public.authors(id)", "public.books(id, author_id)"}
	})
	read := func(book int) (name string) {
		t.Helper()
		err := o.QueryRow(t.Context(), "SELECT a.name FROM public.books b JOIN public.authors a ON a.id = b.author_id WHERE b.id = $1", book).Scan(&name)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	write := func(sql string) {
		t.Helper()
		if _, err := o.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for book := range 5 { // of authors 2 to 6: the first is loaded without a lookup
		read(book + 1)
	}
	hit := func() bool { // unless a look is late, on a busy machine
		write("UPDATE public.authors SET bio = 'new' WHERE id = 100")
		return o.hits(t, func() { read(5) }) == 1
	}
	for tries := 1; !hit(); tries++ {
		if tries == 3 {
			t.Fatal("no hit behind a write of another author")
		}
	}
	write("UPDATE public.authors SET name = 'renamed' WHERE id = 6")
	if got := read(5); got != "renamed" {
		t.Errorf("read %q", got)
	}
	write("UPDATE public.books SET author_id = 7 WHERE id = 5")
	if got := read(5); got != "author 7" {
		t.Errorf("read %q after the book changed hands", got)
	}
	write("UPDATE public.authors SET name = 'of the other hand' WHERE id = 7")
	if got := read(5); got != "of the other hand" {
		t.Errorf("read %q", got)
	}
}
