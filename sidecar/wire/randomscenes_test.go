package wire

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/freshet/freshet/loadtest/servers"
)

// scenesSchema adds to constantsSchema a table whose columns come and go, a table of the same
// name in another schema, and a table of which a role may see only a part.
const scenesSchema = constantsSchema + `
CREATE TABLE grown (id int PRIMARY KEY, v int);
INSERT INTO grown VALUES (1, 10), (2, 20);
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.grown (id int PRIMARY KEY, v int);
INSERT INTO elsewhere.grown VALUES (1, 30);
CREATE TABLE public.noted (n int);
CREATE TABLE guarded (id int PRIMARY KEY, n int);
INSERT INTO guarded VALUES (1, 1), (2, 2);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY part ON guarded USING (n > 1);
GRANT USAGE ON SCHEMA elsewhere TO ` + sceneReader + `;
GRANT SELECT ON read, grown, guarded TO ` + sceneReader + `;
GRANT SELECT, INSERT ON noted TO ` + sceneReader + `;`

// sceneReader is the role that may see only a part. It is one that each server has: to make one would
// be noticed by the sidecars of all tests.
const sceneReader = servers.Follower

// scenery is shared by all scenes of one script. It offers only a few statements, so that each
// session asks for answers that another one has left in the cache.
type scenery struct {
	random *rand.Rand
	// constant is the statement whose constants depend on a setting.
	constant constant
	// mark is a comment at the end of each text, by which the texts of one script differ from
	// those of all others.
	mark string
	// scenes are those to choose from.
	scenes []scene
}

// scene makes a short sequence of turns that tries one thing. In its turns session 0 is the
// session that plays the scene, and session 1 the next one.
type scene struct {
	// weight is how often the scene is chosen, compared with the others.
	weight int
	turns  func(*scenery) []turn
}

// scenes are those of TestRandomSessionsAreAnsweredAsPostgresDoes. The scenes of two sessions are
// interleaved: one scene uses what another has prepared, when settings or tables have changed.
var scenes = []scene{
	{2, (*scenery).change},
	{3, (*scenery).heldBackBehindChange},
	{3, (*scenery).heldBackBehindTable},
	{3, (*scenery).preparedThenChanged},
	{2, (*scenery).sameElsewhere},
	{1, (*scenery).inBlock},
	{1, (*scenery).table},
	{1, (*scenery).prepare},
	{2, (*scenery).use},
	{2, (*scenery).once},
	{1, (*scenery).plain},
}

// scene returns the turns of a scene chosen by weight.
func (s *scenery) scene() []turn {
	all := 0
	for _, c := range s.scenes {
		all += c.weight
	}
	n := s.random.IntN(all)
	for _, c := range s.scenes {
		if n -= c.weight; n < 0 {
			return c.turns(s)
		}
	}
	return nil
}

// setters are the statements that change what other statements mean, by the names under which
// each session has prepared them.
func (s *scenery) setters() map[string]string {
	return map[string]string{
		"one":       "SET " + s.constant.setting + " = " + s.constant.one,
		"other":     "SET " + s.constant.setting + " = " + s.constant.other,
		"elsewhere": "SET search_path = elsewhere, public",
		"home":      "SET search_path = public",
		"reader":    "SET ROLE " + sceneReader,
		"self":      "SET ROLE NONE",
	}
}

// setterNames holds each name of setters as often as it is to be chosen.
var setterNames = []string{"one", "one", "one", "other", "other", "other", "elsewhere", "home", "home", "reader", "self", "self"}

// chosen returns a random one of from.
func chosen[T any](s *scenery, from ...T) T { return from[s.random.IntN(len(from))] }

// opening is the first turn of a session: it prepares the setters.
func (s *scenery) opening(session int) []turn {
	var parses [][]byte
	setters := s.setters()
	for _, name := range slices.Sorted(maps.Keys(setters)) {
		parses = append(parses, msgParse(name, setters[name]))
	}
	return []turn{{session: session, step: synced(parses...)}}
}

// setter executes a random setter by its name, which leaves the unnamed statement alone.
func (s *scenery) setter() step {
	return synced(msgBind(chosen(s, setterNames...)), msgExecute("", 0))
}

// sql returns a random statement: in half of all cases the one whose constants depend on a
// setting.
func (s *scenery) sql() string {
	return chosen(s, s.constant.sql, s.constant.sql, s.constant.sql, "SELECT * FROM grown WHERE id = 1", "SELECT * FROM grown WHERE id = 1",
		"SELECT id, current_schema FROM guarded ORDER BY id") + s.mark
}

// name returns the name of a prepared statement: the unnamed one, or p.
func (s *scenery) name() string { return chosen(s, "", "p") }

// parse prepares a statement, and has it described in most cases; always if its columns may
// change, as a client must know the columns of the rows that it reads.
func (s *scenery) parse(name, sql string) step {
	var messages [][]byte
	if name != "" {
		messages = append(messages, msgClose('S', name))
	}
	messages = append(messages, msgParse(name, sql))
	if described := s.random.IntN(4) > 0; described || strings.Contains(sql, "*") {
		messages = append(messages, msgDescribe('S', name))
	}
	return synced(messages...)
}

func parsedAndDescribed(sql string) step { return synced(msgParse("", sql), msgDescribe('S', "")) }

func used(name string) step { return synced(msgBind(name), msgExecute("", 0)) }

// ofOne returns turns of the session that plays the scene.
func ofOne(steps ...step) (turns []turn) {
	for _, step := range steps {
		turns = append(turns, turn{step: step})
	}
	return turns
}

// change changes a setting, the search_path or the role.
func (s *scenery) change() []turn {
	how := chosen(s, setterNames...)
	switch s.random.IntN(4) {
	case 0:
		return ofOne(query(s.setters()[how]))
	case 1: // parsed as the unnamed statement, which replaces the one before
		return ofOne(synced(msgParse("", s.setters()[how]), msgBind(""), msgExecute("", 0)))
	default:
		return ofOne(s.setter())
	}
}

// warm returns turns after which the description and the rows of a statement are cached.
func (s *scenery) warm(sql string) []turn {
	return ofOne(parsedAndDescribed(sql), used(""), parsedAndDescribed(sql), used(""), parsedAndDescribed(sql))
}

// heldBackBehindChange uses an unnamed statement under another setting than that of its Parse,
// which was answered from the cache and is held back.
func (s *scenery) heldBackBehindChange() []turn {
	turns := append(s.warm(s.sql()), ofOne(s.setter())...)
	if s.random.IntN(3) == 0 { // the setter and the use of the unnamed statement in one group
		use := join(msgBind(chosen(s, setterNames...)), msgExecute("", 0), msgBind(""), msgExecute("", 0))
		turns = append(turns, ofOne(synced(use))...)
	}
	return append(turns, ofOne(used(""), used(""))...)
}

// heldBackBehindTable uses an unnamed statement that was described from the cache, when its table
// has other columns by now. In between, another session may load rows with the new columns.
func (s *scenery) heldBackBehindTable() []turn {
	sql := "SELECT * FROM grown WHERE id = 1" + s.mark
	turns := append(s.warm(sql), s.table()...)
	for range s.random.IntN(3) {
		turns = append(turns, turn{session: 1, step: parsedAndDescribed(sql)}, turn{session: 1, step: used("")})
	}
	return append(turns, ofOne(used(""), used(""))...)
}

// preparedThenChanged prepares a statement under one setting and executes it under another. Then
// the next session asks for the same text under the second setting.
func (s *scenery) preparedThenChanged() []turn {
	sql, name, now := s.sql(), s.name(), s.setter()
	turns := ofOne(s.setter(), s.parse(name, sql), now, used(name), used(name))
	return append(turns, turn{session: 1, step: now}, turn{session: 1, step: s.parse("", sql)}, turn{session: 1, step: used("")})
}

// sameElsewhere has two sessions ask for the same text under the same settings, so that the second
// may be answered what the first has loaded.
func (s *scenery) sameElsewhere() []turn {
	sql, now := s.sql(), s.setter()
	return []turn{{step: now}, {session: 1, step: now}, {step: s.parse("", sql)}, {step: used("")}, {session: 1, step: s.parse("", sql)}, {session: 1, step: used("")}}
}

// inBlock sets a setting for one transaction only, and uses a statement in the transaction and
// behind it.
func (s *scenery) inBlock() []turn {
	local := "SET LOCAL" + s.setters()[chosen(s, setterNames...)][len("SET"):]
	middle := chosen(s, used("p"), s.parse("p", s.sql()), parsedAndDescribed(s.sql()), used(""))
	return ofOne(query("BEGIN"), query(local), middle, used("p"), query(chosen(s, "ROLLBACK", "COMMIT")), used("p"))
}

// written has a transaction read a table, write to it, and read its own write. It inserts, as
// sessions that insert wait for no lock of each other.
func (s *scenery) written(session int) (turns []turn) {
	read := chosen(s, query, func(sql string) step { return synced(once(sql)) })("SELECT count(*) FROM public.noted" + s.mark)
	for _, step := range []step{query("BEGIN"), query(relayedRead), read, query("INSERT INTO public.noted VALUES (1)"), read, read,
		query(chosen(s, "ROLLBACK", "COMMIT")), read} {
		turns = append(turns, turn{session: session, step: step})
	}
	return turns
}

// table changes a table, or has it analysed: Postgres then analyses the statements that read it
// anew, some with other columns.
func (s *scenery) table() []turn {
	return []turn{{direct: chosen(s, analyseReadSQL, "ANALYZE grown",
		"ALTER TABLE grown ADD COLUMN IF NOT EXISTS w text DEFAULT 'w'", "ALTER TABLE grown DROP COLUMN IF EXISTS w",
		"ALTER TABLE grown ALTER v TYPE bigint", "ALTER TABLE grown ALTER v TYPE int")}}
}

// prepare prepares a statement, and executes or describes it.
func (s *scenery) prepare() []turn {
	name := s.name()
	return ofOne(s.parse(name, s.sql()), chosen(s, used(name), synced(msgDescribe('S', name))))
}

// use executes a prepared statement three times.
func (s *scenery) use() []turn {
	again := used(s.name())
	return ofOne(again, again, again)
}

// once parses, describes and executes a statement in one group, twice.
func (s *scenery) once() []turn {
	once := synced(msgParse("", s.sql()), msgBind(""), msgDescribe('P', ""), msgExecute("", 0))
	return ofOne(once, once)
}

// plain sends a Query: a read, or an EXECUTE of the statement that a Parse has prepared.
func (s *scenery) plain() []turn {
	return ofOne(query(chosen(s, s.sql(), "EXECUTE p")))
}
