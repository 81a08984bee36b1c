package wire

import (
	"bytes"
	"slices"
	"testing"
)

// The first reads of a group are answered from memory, also where a later one is in no cache. The
// later ones go to Postgres in one piece, wait for no look, and are kept.
func TestFirstReadsOfAGroupAreAnsweredFromMemory(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	c, direct := dialRaw(t, s.dsn()), dialRaw(t, bed.postgres.DSN(bed.database))
	s.learnExtended(c)
	ask := func(messages ...[]byte) (hits, misses, sent, looks uint64) {
		t.Helper()
		before, looksBefore := s.Report(), s.cache.Stats().Unproven
		got, want := maskTwins(c.ask(messages...)), maskTwins(direct.ask(messages...))
		if !bytes.Equal(got, want) {
			t.Errorf("%s\nPostgres says\n%s\nthe sidecar says\n%s", showSent(join(messages...)), show(want), show(got))
		}
		after, looksAfter := s.Report(), s.cache.Stats().Unproven
		return after.Queries["hit_l1"] - before.Queries["hit_l1"], after.Queries["miss"] - before.Queries["miss"],
			after.UpstreamQueries - before.UpstreamQueries, looksAfter - looksBefore
	}
	ask(read("1"), msgSync)
	ask(read("2"), msgSync)
	s.received()
	bind := func(id string) []byte { return join(msgBind("", id), msgExecute("", 0)) }
	for name, test := range map[string]struct {
		group        []byte
		hits, misses uint64 // both 0: not counted, as a shape may not be analysed yet
	}{
		"the last read is cold":             {join(read("1"), read("2"), read("3")), 2, 1},
		"a read in the middle is cold":      {join(read("1"), read("4"), read("2")), 1, 2},
		"the first read is cold":            {join(read("5"), read("1"), read("2")), 0, 3},
		"two Binds of one Parse":            {join(read("1"), bind("6")), 1, 1},
		"a Close and a Flush between reads": {join(read("2"), msgClose('P', ""), msgFlush, read("7")), 1, 1},
		"a Describe before the first read":  {join(msgParse("", readItem), msgDescribe('S', ""), read("1"), bind("9")), 0, 0},
		"the last read fails at its row":    {join(read("1"), msgParse("", "SELECT 1/(id-1) FROM item WHERE id = $1"), bind("1")), 0, 0},
	} {
		s.received() // or a read would wait for a look that covers what Postgres answered before
		hits, misses, sent, looks := ask(test.group, msgSync)
		if test.misses > 0 && (hits != test.hits || misses != test.misses || sent != test.misses || looks != 0) {
			t.Errorf("%s: %d hits, %d misses, %d statements sent, %d waits for a look; want %d, %d, %d, 0", name, hits, misses, sent, looks, test.hits, test.misses, test.misses)
		}
		ask(msgBind("", "2"), msgExecute("", 0), msgSync) // uses the unnamed statement that the group has left
	}
	s.received()
	if hits, _, sent, _ := ask(read("1"), read("3"), read("4"), read("5"), msgSync); hits != 4 || sent != 0 {
		t.Errorf("asked again, the reads that came behind hits give %d hits, and %d statements are sent, want 4 and 0", hits, sent)
	}
}

// A group is split only if it consists of reads. Other statements stay behind the reads of their group:
// some, as VACUUM, Postgres allows only at the beginning of a group, others control transactions.
func TestOnlyGroupsOfReadsAreSplit(t *testing.T) {
	do := func(sql string) []byte { return join(msgParse("", sql), msgBind(""), msgExecute("", 0)) }
	var steps []step
	for _, sql := range []string{"VACUUM item", "BEGIN", "COMMIT", "SET LOCAL work_mem = '1MB'", "UPDATE item SET name = name WHERE id = 1", "LOCK TABLE item",
		"SELECT pg_backend_pid() > 0", "SELECT id FROM item WHERE id = 2 FOR UPDATE", "SAVEPOINT a", "PREPARE TRANSACTION 'x'", "SELECT nothing"} {
		for range 2 {
			steps = append(steps, synced(read("1")), synced(read("1"), do(sql)), synced(read("1"), do(sql), read("2")), query("ROLLBACK"))
		}
	}
	compareCase(t, differential{name: "reads before other statements", hits: 10, steps: slices.Clip(steps)})
}
