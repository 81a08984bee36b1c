package wire

import (
	"fmt"
	"sync"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// TestSettingsThatChangeAnswersSeparateThem has sessions of two sidecars read the same statement under
// two values of a setting, for each setting of testkit.SettingCases. Each session must get the answer
// of Postgres, also where another session has loaded the answer under the other value. The cases are
// no parallel subtests, which would wait for other tests while both sidecars go on following: two
// goroutines play them.
func TestSettingsThatChangeAnswersSeparateThem(t *testing.T) {
	t.Parallel()
	pg := servers.SharedPostgresOfRoles(t)
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

// playSetting plays one case: three sessions change the setting and read a statement whose answer it
// changes.
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
	// Each is read several times, as reads pass through until the statement is analysed.
	simple, extended := query(c.SQL), synced(msgParse("", c.SQL), msgBind(""), msgDescribe('P', ""), msgExecute("", 0))
	play(0, set(c.One), simple, simple, simple, extended, extended, extended)
	play(1, set(c.Other), simple, simple, simple, extended, extended, extended)
	play(2, set(c.One), simple, simple, extended, set(c.Other), simple, simple, extended, extended)
	play(0, simple, extended, set(c.Other), simple, extended, set(c.One), simple, extended)
	compareSessions(t, bed, sides, turns)
}

// TestAnswerOfAFuzzyIndexIsNotShared: under gin_fuzzy_search_limit, an index returns a random part of
// the rows that it finds. A session with this setting passes through, so that no other session is
// given such a part.
func TestAnswerOfAFuzzyIndexIsNotShared(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, `
CREATE TABLE tagged (id int PRIMARY KEY, tags int[]);
INSERT INTO tagged SELECT i, ARRAY[1, i % 7] FROM generate_series(1, 3000) i;
CREATE INDEX ON tagged USING gin (tags);
ANALYZE tagged;`)
	s := bed.sidecar()
	fuzzy, usual := s.connect(), s.connect()
	mustExec(t, fuzzy, "SET gin_fuzzy_search_limit = 100; SET enable_seqscan = off")
	count := "SELECT count(*) FROM tagged WHERE tags @> '{1}'"
	for range 5 {
		mustExec(t, fuzzy, count)
	}
	for range 3 {
		var n int
		if err := usual.QueryRow(t.Context(), count).Scan(&n); err != nil || n != 3000 {
			t.Errorf("another session counts %d rows, %v, want 3000", n, err)
		}
	}
	if s.Report().Bypasses[reasons.Setting] == 0 {
		t.Errorf("no read passed through for %s: %v", reasons.Setting, s.Report().Bypasses)
	}
}

// TestSessionWithALibraryPassesThrough: a library that a session has loaded may change any answer, so
// that the session's reads pass through. Other sessions are still served.
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
			t.Errorf("read version %d, want 0", got)
		}
	}
	after := s.Report()
	if passed := after.Bypasses[reasons.Library] - before.Bypasses[reasons.Library]; passed != 3 {
		t.Errorf("%d of 3 reads passed through for %s: %v", passed, reasons.Library, after.Bypasses)
	}
	// The same holds for a library that the database has each session load, also where the session's
	// role is no superuser. dict_snowball comes with each installation of Postgres.
	bed.exec(fmt.Sprintf("CREATE ROLE %[1]s_reader LOGIN; GRANT SELECT ON item TO %[1]s_reader; ALTER DATABASE %[1]s SET session_preload_libraries = 'dict_snowball'", bed.database))
	preloaded := bed.connect(fmt.Sprintf("host=%s port=%d user=%s_reader dbname=%s", s.dir, testPort, bed.database, bed.database))
	servers.Eventually(t, "a read to pass through for "+reasons.Library, func() bool {
		versionOf7(t, preloaded)
		return s.Report().Bypasses[reasons.Library] > after.Bypasses[reasons.Library]
	})
	// The ALTER DATABASE ends older entries when the sidecar notices it, which may be only now.
	servers.Eventually(t, "a hit of the session without a library", func() bool {
		hits := s.count(HitL1)
		versionOf7(t, other)
		return s.count(HitL1) == hits+1
	})
}
