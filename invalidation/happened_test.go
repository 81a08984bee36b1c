package invalidation

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// What a follower has received of definitions, of what is watched and of purges is told with the
// names of tables, those that are gone included; what was there at first is not.
func TestWhatHappenedIsTold(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, "CREATE TABLE fruit (id int PRIMARY KEY, name text); CREATE TABLE gone (id int PRIMARY KEY)")
	db.install("public.*")
	f := db.follow(nil)
	f.confirmNow()
	last := uint64(0)
	since := func() string {
		var all []string
		for _, h := range f.Stats().Happened {
			if h.Number > last {
				all = append(all, fmt.Sprint(h.Kind, h.Tables))
				last = h.Number
			}
		}
		return strings.Join(all, " ")
	}
	if got := since(); got != "" {
		t.Errorf("at first %s", got)
	}
	for _, c := range []struct{ sql, want string }{
		{"INSERT INTO fruit VALUES (1, 'fig')", ""},
		{"ALTER TABLE fruit ADD COLUMN price int", "ddl[public.fruit]"},
		{"CREATE INDEX ON fruit (name)", "ddl[public.fruit]"},
		{"CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'", "ddl[]"},
		{"DROP TABLE gone", "ddl[public.gone]"},
		{"SELECT freshet.purge('public.fruit')", "purge[public.fruit]"},
	} {
		db.run(c.sql)
		f.confirmNow()
		told := ""
		servers.Eventually(t, c.sql, func() bool { // the keeper asks for the names
			told += since()
			return told == c.want
		})
	}
	db.run("CREATE TABLE more (id int PRIMARY KEY)")
	db.install("public.more")
	told := ""
	servers.Eventually(t, "the installation", func() bool {
		told += since()
		return strings.Contains(told, "install[public.more(id)]") && strings.Contains(told, "ddl[public.more]")
	})
	if err := PurgeAll(t.Context(), db.Conn); err != nil {
		t.Fatal(err)
	}
	f.confirmNow()
	told = ""
	servers.Eventually(t, "the purge of all", func() bool { // definitions whose names were asked for late may be told before and after the purge
		told += since()
		return strings.Contains(told, "purge[]")
	})
}

// A table that is dropped is named, also where an audit finds that it is gone before a look receives
// the event.
func TestDroppedTableIsNamedBehindAnAudit(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, "CREATE TABLE fruit (id int PRIMARY KEY); CREATE TABLE gone (id int PRIMARY KEY)")
	db.install("public.*")
	s := db.step()
	db.run("DROP TABLE gone")
	s.Suspect()
	if _, _, err := s.looker.auditAndLook(t.Context(), fence.Now()); err != nil {
		t.Fatal(err)
	}
	select {
	case c := <-s.changes:
		if got := fmt.Sprint(c.tables); got != "[public.gone]" {
			t.Errorf("it is about %s", got)
		}
	default:
		t.Error("no change is told")
	}
}

func TestOnlyTheLatestIsKept(t *testing.T) {
	t.Parallel()
	var c counters
	for i := range 2 * happenedMax {
		var names []string
		for k := range happenedTablesMax + 3 {
			names = append(names, fmt.Sprint("t", i, k))
		}
		c.happened(HappenedDDL, append(names, names...), time.Now())
	}
	if n := len(c.latest); n != happenedMax {
		t.Errorf("%d are kept", n)
	}
	if h := c.latest[0]; h.Number != happenedMax+1 || len(h.Tables) != happenedTablesMax || h.More != 3 {
		t.Errorf("the oldest: %+v", h)
	}
}
