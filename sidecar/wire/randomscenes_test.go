package wire

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// scenesSchema is what the scenes are about besides the constants: a table whose columns
// come and go, one of the same name elsewhere, and one of which a role sees a part.
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
DO $$ BEGIN CREATE ROLE scenes_reader; EXCEPTION WHEN OTHERS THEN NULL; END $$;
GRANT USAGE ON SCHEMA elsewhere TO scenes_reader;
GRANT SELECT ON read, grown, guarded TO scenes_reader;
GRANT SELECT, INSERT ON noted TO scenes_reader;`

// scenery is what the scenes of one script have in common: one text whose constants
// depend on a setting, and few others, so that what one session leaves in the cache is
// what the other asks for. mark tells its texts from those of other scripts.
type scenery struct {
	random   *rand.Rand
	constant constant
	mark     string
	scenes   []scene
}

// scene makes a short sequence that has a sense of its own. Session 0 is the one whose
// scene it is, 1 is the next one.
type scene struct {
	weight int
	turns  func(*scenery) []turn
}

// scenes are played in between one another: what one prepares, another one uses under
// other settings, and behind other tables.
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

// setters are what changes the sense of statements, by the names under which each
// session has them prepared.
func (s *scenery) setters() map[string]string {
	return map[string]string{
		"one":       "SET " + s.constant.setting + " = " + s.constant.one,
		"other":     "SET " + s.constant.setting + " = " + s.constant.other,
		"elsewhere": "SET search_path = elsewhere, public",
		"home":      "SET search_path = public",
		"reader":    "SET ROLE scenes_reader",
		"self":      "SET ROLE NONE",
	}
}

// setterNames has each as often as it is to be chosen.
var setterNames = []string{"one", "one", "one", "other", "other", "other", "elsewhere", "home", "home", "reader", "self", "self"}

func chosen[T any](s *scenery, from ...T) T { return from[s.random.IntN(len(from))] }

// opening prepares the setters.
func (s *scenery) opening(session int) []turn {
	var parses [][]byte
	setters := s.setters()
	for _, name := range slices.Sorted(maps.Keys(setters)) {
		parses = append(parses, msgParse(name, setters[name]))
	}
	return []turn{{session: session, step: synced(parses...)}}
}

// setter is one that is executed by its name, so that the unnamed statement survives.
func (s *scenery) setter() step {
	return synced(msgBind(chosen(s, setterNames...)), msgExecute("", 0))
}

func (s *scenery) sql() string {
	return chosen(s, s.constant.sql, s.constant.sql, s.constant.sql, "SELECT * FROM grown WHERE id = 1", "SELECT * FROM grown WHERE id = 1",
		"SELECT id, current_schema FROM guarded ORDER BY id") + s.mark
}

func (s *scenery) name() string { return chosen(s, "", "p") }

// parse prepares a statement, and has it described mostly; always, if its columns may
// change, as who reads rows has to know their form.
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

// ofOne are turns of the session whose scene it is.
func ofOne(steps ...step) (turns []turn) {
	for _, step := range steps {
		turns = append(turns, turn{step: step})
	}
	return turns
}

func (s *scenery) change() []turn {
	how := chosen(s, setterNames...)
	switch s.random.IntN(4) {
	case 0:
		return ofOne(query(s.setters()[how]))
	case 1: // parsed anew, in place of the unnamed statement
		return ofOne(synced(msgParse("", s.setters()[how]), msgBind(""), msgExecute("", 0)))
	default:
		return ofOne(s.setter())
	}
}

// warm are turns behind which the description and the rows of a statement are cached.
func (s *scenery) warm(sql string) []turn {
	return ofOne(parsedAndDescribed(sql), used(""), parsedAndDescribed(sql), used(""), parsedAndDescribed(sql))
}

// heldBackBehindChange: the Parse of the unnamed statement is answered from the cache, and
// the statement is used when another setting holds.
func (s *scenery) heldBackBehindChange() []turn {
	turns := append(s.warm(s.sql()), ofOne(s.setter())...)
	if s.random.IntN(3) == 0 { // with what uses it, in one group
		use := join(msgBind(chosen(s, setterNames...)), msgExecute("", 0), msgBind(""), msgExecute("", 0))
		turns = append(turns, ofOne(synced(use))...)
	}
	return append(turns, ofOne(used(""), used(""))...)
}

// heldBackBehindTable: the description of the unnamed statement is answered from the
// cache, and the statement is used when the table has other columns, of which another
// session has rows.
func (s *scenery) heldBackBehindTable() []turn {
	sql := "SELECT * FROM grown WHERE id = 1" + s.mark
	turns := append(s.warm(sql), s.table()...)
	for range s.random.IntN(3) {
		turns = append(turns, turn{session: 1, step: parsedAndDescribed(sql)}, turn{session: 1, step: used("")})
	}
	return append(turns, ofOne(used(""), used(""))...)
}

// preparedThenChanged: a statement is prepared under one setting, and executed under
// another, in which the next session asks for the same.
func (s *scenery) preparedThenChanged() []turn {
	sql, name, now := s.sql(), s.name(), s.setter()
	turns := ofOne(s.setter(), s.parse(name, sql), now, used(name), used(name))
	return append(turns, turn{session: 1, step: now}, turn{session: 1, step: s.parse("", sql)}, turn{session: 1, step: used("")})
}

// sameElsewhere: two sessions come to have the same settings, and the same statement.
func (s *scenery) sameElsewhere() []turn {
	sql, now := s.sql(), s.setter()
	return []turn{{step: now}, {session: 1, step: now}, {step: s.parse("", sql)}, {step: used("")}, {session: 1, step: s.parse("", sql)}, {session: 1, step: used("")}}
}

// inBlock: a setting holds for one transaction only.
func (s *scenery) inBlock() []turn {
	local := "SET LOCAL" + s.setters()[chosen(s, setterNames...)][len("SET"):]
	middle := chosen(s, used("p"), s.parse("p", s.sql()), parsedAndDescribed(s.sql()), used(""))
	return ofOne(query("BEGIN"), query(local), middle, used("p"), query(chosen(s, "ROLLBACK", "COMMIT")), used("p"))
}

// written: a transaction reads, and reads again what it has written. Nobody waits for who
// inserts.
func (s *scenery) written(session int) (turns []turn) {
	read := chosen(s, query, func(sql string) step { return synced(once(sql)) })("SELECT count(*) FROM public.noted" + s.mark)
	for _, step := range []step{query("BEGIN"), query(relayedRead), read, query("INSERT INTO public.noted VALUES (1)"), read, read,
		query(chosen(s, "ROLLBACK", "COMMIT")), read} {
		turns = append(turns, turn{session: session, step: step})
	}
	return turns
}

// table has Postgres analyse statements anew, some of which have other columns then.
func (s *scenery) table() []turn {
	return []turn{{direct: chosen(s, analyseReadSQL, "ANALYZE grown",
		"ALTER TABLE grown ADD COLUMN IF NOT EXISTS w text DEFAULT 'w'", "ALTER TABLE grown DROP COLUMN IF EXISTS w",
		"ALTER TABLE grown ALTER v TYPE bigint", "ALTER TABLE grown ALTER v TYPE int")}}
}

func (s *scenery) prepare() []turn {
	name := s.name()
	return ofOne(s.parse(name, s.sql()), chosen(s, used(name), synced(msgDescribe('S', name))))
}

func (s *scenery) use() []turn {
	again := used(s.name())
	return ofOne(again, again, again)
}

func (s *scenery) once() []turn {
	once := synced(msgParse("", s.sql()), msgBind(""), msgDescribe('P', ""), msgExecute("", 0))
	return ofOne(once, once)
}

// plain asks by a simple Query, or executes by one what the protocol prepared.
func (s *scenery) plain() []turn {
	return ofOne(query(chosen(s, s.sql(), "EXECUTE p")))
}
