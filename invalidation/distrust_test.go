package invalidation

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

// What is distrusted is known to every follower and to those that come later, as an ordinary
// role, until somebody purges it, in whatever way.
func TestDistrustedIsRememberedUntilAPurge(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, `CREATE TABLE fruit (id int PRIMARY KEY); CREATE TABLE nut (id int PRIMARY KEY)`)
	db.install("public.*")
	// watch returns a follower, and what reads what it was told last.
	watch := func() (*followed, func() string) {
		var mu sync.Mutex
		told := "nothing"
		f := db.follow(func(o *FollowerOptions) {
			o.OnDistrusted = func(list []Distrusted) {
				mu.Lock()
				defer mu.Unlock()
				var ids []string
				for _, d := range list {
					ids = append(ids, d.Shape)
				}
				told = fmt.Sprint(ids)
			}
		})
		return f, func() string {
			mu.Lock()
			defer mu.Unlock()
			return told
		}
	}
	f, told := watch()
	want := func(when, shapes string) {
		t.Helper()
		f.confirmNow()
		if got := told(); got != shapes {
			t.Errorf("%s: told of %s, want %s", when, got, shapes)
		}
		if _, later := watch(); later() != shapes {
			t.Errorf("%s: who comes later is told of %s, want %s", when, later(), shapes)
		}
	}
	want("at first", "[]")
	finder := db.connect()
	if _, err := finder.Exec(t.Context(), "SET ROLE "+servers.Follower); err != nil {
		t.Fatal(err)
	}
	distrust := func(shape string, roots ...uint32) {
		t.Helper()
		if err := Distrust(t.Context(), finder, Distrusted{Shape: shape, Roots: roots}); err != nil {
			t.Fatal(err)
		}
	}
	fruit, nut := db.oid("fruit"), db.oid("nut")
	distrust("0a", fruit)
	distrust("0b", nut)
	distrust("0b", fruit, nut) // it is found again, by others' rights
	want("found", "[0a 0b]")
	if err := EndTables(t.Context(), finder, []uint32{fruit, nut}); err != nil {
		t.Fatal(err)
	}
	want("what nobody asked for", "[0a 0b]")
	db.run("SELECT freshet.purge('nut')")
	want("purged from within the database", "[0a]")
	if _, err := Purge(t.Context(), finder, []string{"public.fruit"}); err != nil {
		t.Fatal(err)
	}
	want("purged by name", "[]")
	db.run(fmt.Sprintf("INSERT INTO freshet.distrusted SELECT 'x' || i, '{%d}' FROM generate_series(1, %d) i", fruit, distrustedMax-1))
	distrust("0a", fruit)
	distrust("0b", fruit)
	distrust("0a", fruit)
	f.confirmNow()
	if got := told(); !strings.HasPrefix(got, "[0a all x1 ") {
		t.Errorf("too many: told of %.40s", got)
	}
	db.run("SELECT freshet.purge('fruit')")
	want("of too many one table is purged", "[all]")
	if err := PurgeAll(t.Context(), finder); err != nil {
		t.Fatal(err)
	}
	want("all is purged", "[]")
}
