package invalidation

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

// touched are the tags that the newest event moved.
func (db *database) touched() []string {
	db.t.Helper()
	var tags []string
	if err := db.QueryRow(db.t.Context(), "SELECT tags FROM freshet.outbox ORDER BY xid DESC, written DESC LIMIT 1").Scan(&tags); err != nil {
		db.t.Fatal(err)
	}
	slices.Sort(tags)
	return tags
}

// Whoever may connect moves tags of the application's own, within a transaction
// that makes them true. This test makes a role; see TestOrdinaryRoleNeedsNoRights.
func TestTouch(t *testing.T) {
	db := newRolesDatabase(t, salesSchema)
	db.install("public.*")
	db.run("TRUNCATE freshet.outbox", "DROP ROLE IF EXISTS toucher", "CREATE ROLE toucher", "SET ROLE toucher",
		"BEGIN; SELECT freshet.touch('lost'); ROLLBACK",
		"SELECT freshet.touch(VARIADIC '{}'::text[])", "SELECT freshet.touch(NULL)")
	db.run("RESET ROLE")
	if n := db.value("SELECT count(*) FROM freshet.outbox"); n != "0" {
		t.Fatalf("%s events of what was rolled back or names nothing", n)
	}
	long := strings.Repeat("é", 40)
	for _, c := range []struct {
		names, want []string
	}{
		{[]string{"prices", "rates", "prices"}, []string{fence.OwnText("prices"), fence.OwnText("rates")}},
		{[]string{long}, []string{fence.OwnText(long)}},
		{[]string{"42", "42/*", "schema", "own/x"}, []string{"own/42", "own/42/*", "own/own/x", "own/schema"}}, // never tags of tables
		{[]string{"*"}, []string{fence.OwnWholesaleText}},
		{strings.Split(strings.Repeat("x,", touchNamesMax)+"y", ","), []string{fence.OwnText("x"), fence.OwnText("y")}},
		{manyNames(touchNamesMax + 1), []string{fence.OwnWholesaleText}},
	} {
		db.run("SET ROLE toucher")
		if _, err := db.Exec(t.Context(), "SELECT freshet.touch(VARIADIC $1)", c.names); err != nil {
			t.Fatal(err)
		}
		db.run("RESET ROLE")
		if got := db.touched(); !slices.Equal(got, c.want) {
			t.Errorf("%d names moved %q, want %q", len(c.names), got, c.want)
		}
	}
	// What marks a purge or a removal is nobody's to say, alone or among others.
	db.run("TRUNCATE freshet.outbox", "SET ROLE toucher")
	for _, names := range [][]string{{"freshet/purge"}, {"freshet/released/16384"}, {"freshet/"}, {"prices", "freshet/anything"}} {
		if _, err := db.Exec(t.Context(), "SELECT freshet.touch(VARIADIC $1)", names); sqlState(err) != "42939" {
			t.Errorf("touch of %q: %v, want 42939", names, err)
		}
	}
	db.run("RESET ROLE")
	if n := db.value("SELECT count(*) FROM freshet.outbox"); n != "0" {
		t.Errorf("%s events of names that are refused", n)
	}
	// What cannot be recorded must not be taken for done.
	err := pgx.BeginTxFunc(t.Context(), db.Conn, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "SELECT freshet.touch('prices')")
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "freshet cannot record a change") {
		t.Fatalf("in a read-only transaction: %v", err)
	}
	db.run("DROP ROLE toucher")
}

func manyNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = strings.Repeat("n", i+1)
	}
	return names
}

// A follower hears of it, and what depends on the name alone ends.
func TestTouchReachesAFollower(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, salesSchema)
	db.install("public.*")
	f := db.follow(nil)
	prices, rates := f.load(fence.OwnText("prices")), f.load(fence.OwnText("rates"))
	db.run("SELECT freshet.touch('prices')")
	f.confirmNow()
	f.wantAdmitted(prices, false, "what depends on the name")
	f.wantAdmitted(rates, true, "what depends on another name")
}
