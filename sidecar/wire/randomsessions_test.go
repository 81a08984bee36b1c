package wire

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
)

var (
	randomScripts = flag.Int("random-scripts", 20, "how many random scripts of several sessions are played")
	randomSeed    = flag.Uint64("random-seed", 1, "the seed of random scripts")
)

const (
	randomTurns    = 160
	randomSessions = 2
)

// randomTurn is what one of the sessions does next. A script has one text whose
// constants depend on a setting, which is switched, and one with the columns of a table
// that is altered: few enough for what one session leaves in the cache to be what the
// other asks for. mark tells its texts from those of other scripts.
func randomTurn(r *rand.Rand, c constant, mark string) []turn {
	session := r.IntN(randomSessions)
	say := func(s step) []turn { return []turn{{session: session, step: s}} }
	sql := []string{c.sql, c.sql, "SELECT * FROM grown WHERE id = 1"}[r.IntN(3)] + mark
	name := []string{"", "p"}[r.IntN(2)]
	set := "SET " + c.setting + " = " + []string{c.one, c.other}[r.IntN(2)]
	use := func(name string) step { return synced(msgBind(name), msgExecute("", 0)) }
	switch r.IntN(16) {
	case 0, 1:
		return say(query(set))
	case 2:
		return append(say(synced(msgClose('S', "setting"))), turn{session: session, step: synced(msgParse("setting", set), msgBind("setting"), msgExecute("", 0))})
	case 3:
		return append(append(say(query("BEGIN")), turn{session: session, step: query("SET LOCAL" + set[len("SET"):])}), turn{session: session, step: use("p")}, turn{session: session, step: query("ROLLBACK")})
	case 4:
		return []turn{{direct: "ANALYZE read"}}
	case 5:
		return []turn{{direct: []string{"ALTER TABLE grown ADD COLUMN IF NOT EXISTS w text DEFAULT 'w'", "ALTER TABLE grown DROP COLUMN IF EXISTS w",
			"ALTER TABLE grown ALTER v TYPE bigint", "ALTER TABLE grown ALTER v TYPE int"}[r.IntN(4)]}}
	case 6, 7, 8:
		if name != "" {
			return append(say(synced(msgClose('S', name))), turn{session: session, step: synced(msgParse(name, sql), msgDescribe('S', name))})
		}
		return say(synced(msgParse("", sql), msgDescribe('S', "")))
	case 9:
		return say(synced(msgDescribe('S', name)))
	case 10, 11, 12:
		again := turn{session: session, step: use(name)}
		return []turn{again, again, again}
	case 13:
		return say(query(sql))
	default:
		once := turn{session: session, step: synced(msgParse("", sql), msgBind(""), msgDescribe('P', ""), msgExecute("", 0))}
		return []turn{once, once}
	}
}

// Whatever two sessions prepare, describe, set and use in whatever
// order, while tables change under them, they are told what Postgres tells.
func TestRandomSessionsAreAnsweredAsPostgresDoes(t *testing.T) {
	t.Parallel()
	w := newTwins(t, constantsSchema+" CREATE TABLE grown (id int PRIMARY KEY, v int); INSERT INTO grown VALUES (1, 10), (2, 20);")
	for i := range *randomScripts {
		seed := *randomSeed + uint64(i)
		r := rand.New(rand.NewPCG(seed, 0))
		mark, c := fmt.Sprintf(" /* script %d */", i), constants[r.IntN(len(constants))]
		var turns []turn
		for len(turns) < randomTurns {
			turns = append(turns, randomTurn(r, c, mark)...)
		}
		if !t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { w.play(t, turns) }) {
			return // what follows would be about this one, too
		}
	}
	hits := w.side.count(HitL1)
	t.Logf("%d statements were hits", hits)
	if hits < uint64(*randomScripts) {
		t.Errorf("only %d statements were hits: this test shows little", hits)
	}
}
