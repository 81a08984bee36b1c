package invalidation

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// While suspended nothing is followed, by nobody, and nothing of ours happens at DDL
// or writes; installers leave it alone. Resume waits for those who may have changed
// something meanwhile, watches the tables as they are then, and trusts nothing older.
func TestSuspendAndResume(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(nil)
	installing := db.follow(watching("public.*"))
	f.confirmNow()
	entry := f.load(db.spell("users/id=2", "users/*")...)
	untagged := f.load("of a library")

	for range 2 {
		if err := Suspend(t.Context(), db.Conn); err != nil {
			t.Fatal(err)
		}
	}
	// The next look finds out: this is no matter of time.
	suspendedAt := fence.Now()
	if err := f.Confirm(t.Context(), suspendedAt); err == nil {
		t.Error("a look that began after suspending counts")
	}
	servers.Eventually(t, "both say so", func() bool {
		return strings.Contains(f.Stats().LastError, "freshet resume") && strings.Contains(installing.Stats().LastError, "freshet resume")
	})
	if _, err := Install(t.Context(), db.Conn, Options{Watch: []string{"public.*"}}); !errors.Is(err, errSuspended) {
		t.Errorf("install says %v", err)
	}
	if tables := f.State().Tables(); len(tables) > 0 {
		t.Errorf("watched while suspended: %v", tables)
	}
	db.run("ALTER TABLE users RENAME email TO mail", "UPDATE users SET mail = 'new' WHERE id = 1", "ALTER TABLE orders DROP COLUMN user_id CASCADE", "DELETE FROM orders")
	if n := db.value("SELECT count(*) FROM pg_event_trigger"); n != "0" {
		t.Errorf("%s event triggers are left", n)
	}
	late := db.connect()
	runOn(t, late, "BEGIN", "UPDATE users SET name = 'late' WHERE id = 2")

	resumed := make(chan error, 1)
	resumer := db.connect()
	go func() {
		_, err := Resume(context.Background(), resumer)
		resumed <- err
	}()
	servers.Eventually(t, "resume waits for the transaction", func() bool {
		if len(resumed) > 0 {
			t.Fatalf("resume did not wait: %v", <-resumed)
		}
		return strings.Contains(db.value("SELECT max(query) FROM pg_stat_activity WHERE pid = $1::int", int(resumer.PgConn().PID())), "unnest($1::text[]) n WHERE")
	})
	if err := f.Confirm(t.Context(), fence.Now()); err == nil {
		t.Error("a look counts while resume waits")
	}
	runOn(t, late, "COMMIT")
	if err := <-resumed; err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "the follower is back", func() bool { return f.Confirm(t.Context(), fence.Now()) == nil })
	f.wantAdmitted(entry, false, "an entry from before, whose change nobody recorded")
	f.wantAdmitted(untagged, false, "an entry from before that names no table")
	servers.Eventually(t, "the table is watched, by the renamed column too", func() bool {
		return slices.Equal(f.columns("public.users"), []string{"id", "mail"}) && db.state().Problems() == nil
	})
	again := f.load(db.spell("users/id=2", "users/*")...)
	f.wantAdmitted(again, true, "an entry from after")
	db.run("UPDATE users SET name = 'newer' WHERE id = 2")
	f.confirmNow()
	f.wantAdmitted(again, false, "an entry that was changed after")
}

// Who did not look while it was suspended finds the trim mark.
func TestResumeIsNoticedByWhoWasAway(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	s := db.step()
	entry := s.load(db.spell("users/id=1", "users/*")...)
	if err := Suspend(t.Context(), db.Conn); err != nil {
		t.Fatal(err)
	}
	db.run("UPDATE users SET name = 'unrecorded' WHERE id = 1")
	if _, err := Resume(t.Context(), db.Conn); err != nil {
		t.Fatal(err)
	}
	s.wantReset(resetTrimmed)
	s.wantAdmitted(entry, false, "an entry from before")
}
