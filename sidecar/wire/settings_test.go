package wire

import (
	"fmt"
	"sync"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// TestSettingsThatChangeAnswers has sessions of two sidecars read under one value and
// then under the other, each what the other one has loaded. Two cases are played at once, and
// none waits for other tests, as the sidecars would meanwhile follow for nothing.
func TestSettingsThatChangeAnswers(t *testing.T) {
	t.Parallel()
	pg := servers.SharedPostgres(t)
	role := "settings_" + pg.CreateDatabase(t)
	bed := newTestbedOn(t, pg, testkit.SettingsSchema(role))
	sides := []*side{bed.sidecar(), bed.sidecar()}
	const atOnce = 2
	var all sync.WaitGroup
	for first := range atOnce {
		all.Go(func() {
			for i := first; i < len(testkit.SettingCases); i += atOnce {
				c := testkit.SettingCases[i]
				t.Run(fmt.Sprint(c.Setting, i), func(t *testing.T) { playSetting(t, bed, sides, c, role) })
			}
		})
	}
	all.Wait()
}

// playSetting has the sessions of a role read what the setting changes.
func playSetting(t *testing.T, bed *testbed, sides []*side, c testkit.SettingCase, role string) {
	t.Helper()
	set := func(value string) step {
		return query(c.Set(value, role))
	}
	var turns []turn
	play := func(session int, steps ...step) {
		for _, s := range steps {
			turns = append(turns, turn{session: session, step: s})
		}
	}
	// Whose analysis is not done yet would not be answered.
	simple, extended := query(c.SQL), synced(msgParse("", c.SQL), msgBind(""), msgDescribe('P', ""), msgExecute("", 0))
	play(0, set(c.One), simple, simple, simple, extended, extended, extended)
	play(1, set(c.Other), simple, simple, simple, extended, extended, extended)
	play(2, set(c.One), simple, simple, extended, set(c.Other), simple, simple, extended, extended)
	play(0, simple, extended, set(c.Other), simple, extended, set(c.One), simple, extended)
	compareSessions(t, bed, sides, turns)
}

// TestRandomIndexIsNobodyElses: what a session reads by an index that gives a part of
// what it finds, others are not answered.
func TestRandomIndexIsNobodyElses(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, `
CREATE TABLE tagged (id int PRIMARY KEY, tags int[]);
INSERT INTO tagged SELECT i, ARRAY[1, i % 7] FROM generate_series(1, 3000) i;
CREATE INDEX ON tagged USING gin (tags);
ANALYZE tagged;`)
	s := bed.sidecar()
	random, usual := s.connect(), s.connect()
	mustExec(t, random, "SET gin_fuzzy_search_limit = 100; SET enable_seqscan = off")
	count := "SELECT count(*) FROM tagged WHERE tags @> '{1}'"
	for range 5 {
		mustExec(t, random, count)
	}
	for range 3 {
		var n int
		if err := usual.QueryRow(t.Context(), count).Scan(&n); err != nil || n != 3000 {
			t.Errorf("%d rows, %v", n, err)
		}
	}
	if s.Report().Bypasses[reasons.Setting] == 0 {
		t.Errorf("no read passed through for %s: %v", reasons.Setting, s.Report().Bypasses)
	}
}

// TestSessionWithALibraryPassesThrough: what a library hooks into, nobody can tell.
func TestSessionWithALibraryPassesThrough(t *testing.T) {
	t.Parallel()
	bed := newRolesTestbed(t, itemSchema)
	s := bed.sidecar()
	loads, other := s.connect(), s.connect()
	s.warm(other)
	s.warm(loads)
	mustExec(t, loads, "LOAD 'auto_explain'")
	before := s.Report()
	for range 3 {
		if got := versionOf7(t, loads); got != 0 {
			t.Errorf("version %d", got)
		}
	}
	after := s.Report()
	if passed := after.Bypasses[reasons.Library] - before.Bypasses[reasons.Library]; passed != 3 {
		t.Errorf("%d of 3 reads passed through for %s: %v", passed, reasons.Library, after.Bypasses)
	}
	// Of a database's own, an ordinary role's session, too. This library is everywhere.
	bed.exec(fmt.Sprintf("CREATE ROLE %[1]s_reader LOGIN; GRANT SELECT ON item TO %[1]s_reader; ALTER DATABASE %[1]s SET session_preload_libraries = 'dict_snowball'", bed.database))
	preloaded := bed.connect(fmt.Sprintf("host=%s port=%d user=%s_reader dbname=%s", s.dir, testPort, bed.database, bed.database))
	servers.Eventually(t, "the reason", func() bool {
		versionOf7(t, preloaded)
		return s.Report().Bypasses[reasons.Library] > after.Bypasses[reasons.Library]
	})
	// What was kept before is distrusted once the ALTER is noticed, which may be now.
	servers.Eventually(t, "another session to be answered", func() bool {
		hits := s.count(HitL1)
		versionOf7(t, other)
		return s.count(HitL1) == hits+1
	})
}
