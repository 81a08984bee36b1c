package invalidation

import (
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

func (f *followed) columns(table string) []string {
	t, _ := f.State().ByName(table)
	return t.Columns
}

// watching makes a follower that installs, as a superuser.
func watching(patterns ...string) func(*FollowerOptions) {
	return func(o *FollowerOptions) {
		o.Watch = patterns
		o.ConnConfig.User = superuser
	}
}

// watchingWithoutRights makes a follower that would install if it had the right to.
func watchingWithoutRights(patterns ...string) func(*FollowerOptions) {
	return func(o *FollowerOptions) { o.Watch = patterns }
}

// A column that is asked for is watched after the hand-over, and what was watched
// before stays so all the while: a writer that began earlier is waited for, and
// its event has the new tags.
func TestLearnAddsAColumn(t *testing.T) {
	t.Parallel()
	_, db := startServer(t, nil) // where no roles of other tests have everything reset
	f := db.follow(watching("public.*"))
	older := db.connect()
	runOn(t, older, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT FROM plain")

	f.Learn(db.oid("users"), "name")
	servers.Eventually(t, "users.name is watched", func() bool { return slices.Contains(f.columns("public.users"), "name") })
	if got := f.columns("public.users"); !slices.Equal(got, []string{"id", "email", "name"}) {
		t.Errorf("watched columns %q, want the old ones and the new", got)
	}
	f.confirmNow()
	state := f.State()
	if label := fence.LabelAt(f.fence.Head()); !label.Lower.Includes(state.Since()) {
		t.Error("a label taken now does not include the hand-over")
	}
	byName, byID := f.load(db.spell("users/name=A", "users/*")...), f.load(db.spell("users/id=2", "users/*")...)
	runOn(t, older, "UPDATE users SET email = 'late' WHERE id = 1", "COMMIT")
	f.confirmNow()
	f.wantAdmitted(byName, false, "a row of that name was written by a transaction with an older snapshot")
	f.wantAdmitted(byID, true, "another row")
	if problems := f.State().Problems(); len(problems) > 0 {
		t.Errorf("problems after the hand-over: %q", problems)
	}
}

// A tree is handed over as a whole: its partitions get the triggers too.
func TestLearnOnPartitions(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(watching("public.*"))
	f.Learn(db.oid("parted"), "k")
	servers.Eventually(t, "parted.k is watched", func() bool { return slices.Contains(f.columns("public.parted_leaf"), "k") })
	f.confirmNow()
	entry := f.load(db.spell("parted/k=eleven", "parted/*")...)
	db.run("DELETE FROM parted_leaf WHERE id = 11")
	f.confirmNow()
	f.wantAdmitted(entry, false, "the row was deleted from its leaf")
}

// Only where the choice of columns is ours, and only what can be watched.
func TestLearnRefuses(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop, `CREATE TABLE odd (id int PRIMARY KEY, "a.b(c)" int, d date, x text);
		CREATE TABLE full_up (a int PRIMARY KEY, b int, c int, d int, e int, f int, g int, h int, i int, j int, k int, l int, m int)`)
	db.install("public.*", "public.orders(id)", "public.full_up(a,b,c,d,e,f,g,h,i,j,k,l)")
	f := db.follow(watching("public.*", "public.orders(id)"))
	for _, l := range []lesson{
		{db.oid("orders"), "note"},     // the operator chose
		{db.oid("odd"), "d"},           // a date
		{db.oid("odd"), "gone"},        // no such column
		{db.oid("full_up"), "m"},       // too many
		{db.oid("parted_leaf"), "k"},   // no root
		{db.oid("users_pkey"), "name"}, // no table
	} {
		f.Learn(l.root, l.column)
	}
	f.Learn(db.oid("odd"), "a.b(c)") // behind the others in the keeper's queue
	servers.Eventually(t, "the last one is watched", func() bool { return slices.Contains(f.columns("public.odd"), "a.b(c)") })
	for table, want := range map[string][]string{
		"public.orders": {"id"}, "public.odd": {"id", "a.b(c)"}, "public.parted": {"id"}, "public.users": {"id", "email"},
	} {
		if got := f.columns(table); !slices.Equal(got, want) {
			t.Errorf("%s: watched columns %q, want %q", table, got, want)
		}
	}
	if got := f.columns("public.full_up"); len(got) != columnsLearnedMax {
		t.Errorf("full_up: %d columns are watched, want %d", len(got), columnsLearnedMax)
	}
}

// A follower that installs nothing, or may not, adds nothing and goes on.
func TestLearnWithoutInstalling(t *testing.T) {
	db := newWatched(t, shop)
	f := db.follow(nil)
	f.Learn(db.oid("users"), "name")
	weak := db.follow(watchingWithoutRights("public.*"))
	weak.Learn(db.oid("users"), "name")
	servers.Eventually(t, "the lesson was refused", func() bool {
		return strings.Contains(weak.Stats().LastError, "--watch 'public.users(email,id,name)'")
	})
	weak.confirmNow()
	f.confirmNow()
	if got := f.columns("public.users"); !slices.Equal(got, []string{"id", "email"}) {
		t.Errorf("watched columns %q, want the old ones", got)
	}
}
