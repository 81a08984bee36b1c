package wire

import (
	"fmt"
	"slices"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

const constantsSchema = `
CREATE TABLE read (id int PRIMARY KEY, d date, ts timestamptz, i interval, k text, a text[], m money, b bytea, n int, x xml);
INSERT INTO read VALUES
	(1, '2024-01-02', '2024-01-02 00:00+00', '1 day', E'a\\b', '{NULL}', 1.50, '\xff', NULL, 'a'),
	(2, '2024-02-01', '2024-01-01 15:00+00', '2 days', E'a\\\\b', '{"NULL"}', 150, '\x5c3337', 1, '<a/>');
INSERT INTO read SELECT 3, d, ts, i, k, ARRAY['NULL'], m, b, 2, x FROM read WHERE id = 1;
CREATE TABLE set_by (setting text);
CREATE FUNCTION sets() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('DateStyle', 'ISO, DMY', false); RETURN NEW; END $$;
CREATE TRIGGER sets BEFORE INSERT ON set_by FOR EACH ROW EXECUTE FUNCTION sets();`

// constant is a statement whose meaning Postgres fixes when it parses or plans it,
// under a setting that has two values.
type constant struct{ setting, one, other, sql string }

var constants = []constant{
	{"DateStyle", "'ISO, MDY'", "'ISO, DMY'", "SELECT id FROM read WHERE d = '01/02/2024' ORDER BY id"},
	{"TimeZone", "'UTC'", "'Asia/Tokyo'", "SELECT id FROM read WHERE ts = '2024-01-02 00:00' ORDER BY id"},
	{"IntervalStyle", "'postgres'", "'sql_standard'", "SELECT id, '-1 2:03:04'::interval = i, i + '-1 2:03:04' FROM read ORDER BY id"},
	{"IntervalStyle", "'postgres'", "'iso_8601'", "SELECT id, make_interval(days => 3)::text FROM read ORDER BY id"},
	{"timezone_abbreviations", "'Default'", "'India'", "SELECT id FROM read WHERE ts < '2024-01-02 00:00 IST' ORDER BY id"},
	{"standard_conforming_strings", "on", "off", `SELECT id FROM read WHERE k = 'a\\b' ORDER BY id`},
	{"array_nulls", "on", "off", "SELECT id FROM read WHERE a = '{NULL}' ORDER BY id"},
	{"transform_null_equals", "off", "on", "SELECT id FROM read WHERE n = NULL ORDER BY id"},
	{"transform_null_equals", "off", "on", "SELECT id FROM read WHERE (NULL) = n ORDER BY id"},
	{"xmloption", "content", "document", "SELECT id, 'text'::xml FROM read ORDER BY id"},
	{"extra_float_digits", "1", "0", "SELECT id, 0.1::float4::float8::text FROM read ORDER BY id"},
	{"extra_float_digits", "1", "0", "SELECT id, sqrt(2)::text || 'x' FROM read ORDER BY id"},
	{"bytea_output", "'hex'", "'escape'", "SELECT id, decode('/w==', 'base64')::text FROM read ORDER BY id"},
	{"quote_all_identifiers", "off", "on", "SELECT id, quote_ident('abc') FROM read ORDER BY id"},
	{"escape_string_warning", "off", "on", `SELECT id, k = E'a\\b' FROM read ORDER BY id`},
}

// analyseReadSQL changes the row of the table read in pg_class, as ANALYZE does: no event trigger
// sees the change, and Postgres analyses the prepared statements that read the table anew.
const analyseReadSQL = "UPDATE pg_catalog.pg_class SET reltuples = reltuples + 1 WHERE oid = 'read'::regclass"

// Postgres keeps the constants of a prepared statement when the setting changes under which it read
// them, and reads them anew when the table changes. The session that has the statement is answered
// so, and its answers are given to no session that would get others from Postgres.
func TestConstantsAreThoseOfTheParse(t *testing.T) {
	t.Parallel()
	if playedPlain(t) {
		return
	}
	w := newTwins(t, constantsSchema, patient)
	w.elsewhere = w.side.bed.sidecar(patient)
	count := func(o Outcome) uint64 { return w.side.count(o) + w.elsewhere.count(o) }
	for i, c := range constants {
		for name := range c.scripts() {
			c.sql += " " // a text of its own: no earlier script has cached its answer
			t.Run(fmt.Sprintf("%d, %s, %s", i, c.setting, name), func(t *testing.T) {
				hits, misses := count(HitL1), count(Miss)
				w.play(t, c.scripts()[name])
				switch hits, misses = count(HitL1)-hits, count(Miss)-misses; {
				case c.setting == "xmloption": // the statement passes through: its words may be a document or not
				case c.setting == "standard_conforming_strings" && misses > 0: // a notice has kept the answers from being shared
				case hits == 0:
					t.Errorf("no hit and %d loads for the cache, want a hit: this script shows nothing", misses)
				}
			})
		}
	}
}

// A read of a table with row security has the sidecar discard Postgres' plans after a change of the
// schema. The session's other statements keep the constants that Postgres has read, whether they
// were executed or only parsed by then, and whether the settings have changed since or not.
func TestDiscardedPlansKeepTheirSettings(t *testing.T) {
	t.Parallel()
	if playedPlain(t) {
		return
	}
	w := newTwins(t, scenesSchema)
	use := func(name string) turn { return turn{step: synced(msgBind(name), msgExecute("", 0))} }
	for i, c := range constants {
		t.Run(fmt.Sprintf("%d, %s", i, c.setting), func(t *testing.T) {
			set := func(value string) turn { return turn{step: query("SET " + c.setting + " = " + value)} }
			// The second use loads an answer to keep, since the first has Postgres revalidate the
			// statement.
			discard := []turn{{direct: "ALTER TABLE grown ALTER v TYPE bigint"}, use("secured"), use("secured")}
			both := []turn{use("parsed"), use("executed")}
			before := w.side.count(Miss)
			w.play(t, slices.Concat([]turn{
				{step: synced(msgParse("secured", fmt.Sprintf("SELECT id FROM guarded ORDER BY id -- %d", i)))}, set(c.one),
				{step: synced(msgParse("parsed", c.sql), msgParse("executed", c.sql), msgBind("executed"), msgExecute("", 0))},
			}, discard, []turn{set(c.other)}, both, discard, both, []turn{set(c.one)}, both))
			if w.side.count(Miss) == before {
				t.Error("no answer of the table with row security was to be kept: this test shows nothing")
			}
		})
	}
}

// scripts are the ways in which a session parses the statement, has Postgres analyse it anew and
// uses it under one or the other value of the setting, with a second session beside it, by their
// names.
func (c constant) scripts() map[string][]turn {
	set := func(session int, value string) turn {
		return turn{session: session, step: query("SET " + c.setting + " = " + value)}
	}
	parse := func(session int, name string) turn {
		return turn{session: session, step: synced(msgParse(name, c.sql))}
	}
	use := func(session int, name string) turn {
		return turn{session: session, step: synced(msgBind(name), msgExecute("", 0))}
	}
	once := func(session int) turn {
		return turn{session: session, step: synced(msgParse("", c.sql), msgBind(""), msgDescribe('P', ""), msgExecute("", 0))}
	}
	described := func(session int) turn {
		return turn{session: session, step: synced(msgParse("", c.sql), msgDescribe('S', ""))}
	}
	thrice := func(t turn) []turn { return []turn{t, t, t} }
	script := func(parts ...any) (all []turn) {
		for _, part := range parts {
			switch part := part.(type) {
			case turn:
				all = append(all, part)
			case []turn:
				all = append(all, part...)
			}
		}
		return all
	}
	analyse := turn{direct: analyseReadSQL}
	setter := turn{step: synced(msgParse("set", "SET "+c.setting+" = "+c.other))}
	bind := func(sql string) []byte { return synced(msgParse("", sql), msgBind(""), msgExecute("", 0)).send }
	return map[string][]turn{
		"prepared under one value, executed under the other": script(
			set(0, c.one), parse(0, "p"), set(0, c.other), set(1, c.other), thrice(use(0, "p")), parse(1, "p"),
			thrice(use(1, "p")), thrice(use(0, "p")), once(1), once(0), thrice(once(1)), set(0, c.one), thrice(use(0, "p"))),
		"analysed anew under the other value": script(
			set(0, c.one), parse(0, "p"), thrice(use(0, "p")), set(0, c.other), analyse, use(0, "p"), set(0, c.one),
			thrice(use(0, "p")), set(1, c.one), thrice(once(1))),
		"analysed anew by EXECUTE": script(
			set(0, c.one), parse(0, "p"), thrice(use(0, "p")), set(0, c.other), analyse, turn{step: query("EXECUTE p")}, set(0, c.one),
			thrice(use(0, "p")), set(1, c.one), thrice(once(1))),
		"described under the other value": script(
			set(0, c.one), parse(0, "p"), thrice(use(0, "p")), set(0, c.other), analyse,
			turn{step: synced(msgDescribe('S', "p"))}, set(0, c.one), thrice(use(0, "p"))),
		"analysed anew at a use that the sidecar answers": script(
			set(0, c.one), parse(0, "p"), thrice(use(0, "p")), analyse, use(0, "p"), set(0, c.other), thrice(use(0, "p"))),
		"unnamed, analysed anew at a use that the sidecar answers": script(
			set(0, c.one), setter, parse(0, ""), thrice(use(0, "")), analyse, use(0, ""), use(0, "set"), thrice(use(0, ""))),
		"unnamed, parsed and used in the sidecar, used again under the other value": script(
			set(0, c.one), setter, thrice(described(0)), use(0, ""), set(0, c.one), parse(0, ""), use(0, ""), parse(0, "p"),
			described(0), use(0, ""), use(0, "set"), thrice(use(0, ""))),
		"analysed anew at a use in a block": script(
			set(0, c.one), setter, parse(0, "p"), thrice(use(0, "p")), analyse, turn{step: query("BEGIN")}, use(0, "p"), use(0, "set"),
			use(0, "p"), turn{step: query("ROLLBACK")}, use(0, "p"), use(0, "set"), thrice(use(0, "p"))),
		"parsed in a transaction under the other value": script(
			set(0, c.one), thrice(once(0)), turn{step: query("BEGIN")}, turn{step: query("SET LOCAL " + c.setting + " = " + c.other)},
			parse(0, "p"), use(0, "p"), turn{step: query("COMMIT")}, thrice(use(0, "p")), set(1, c.one), thrice(once(1)), thrice(use(0, "p"))),
		"unnamed, prepared under one value and executed under the other": script(
			set(0, c.one), thrice(parse(0, "")), thrice(use(0, "")), turn{step: step{bind("SET " + c.setting + " = " + c.other), "Z"}},
			parse(0, ""), thrice(use(0, ""))),
		"unnamed, parsed again under one value and executed under the other": script(
			set(0, c.one), setter, described(0), use(0, ""), described(0), use(0, ""), described(0), use(0, "set"), thrice(use(0, ""))),
		"prepared and used in one group": script(
			set(0, c.other), set(1, c.one), thrice(once(1)),
			turn{step: synced(msgParse("p", c.sql), msgBind("p"), msgExecute("", 0))}, set(0, c.one), thrice(use(0, "p")), thrice(once(1))),
	}
}

// A prepared statement whose constants no setting decides goes on hitting whatever its session does.
// One whose constants depend on DateStyle stops once its session has changed DateStyle, and goes on
// behind anything else.
func TestOnlyAChangedSettingStopsHitsOfConstants(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, constantsSchema)
	s := bed.sidecar()
	write, dated := msgQuery("UPDATE read SET n = 5 WHERE id = 3"), "SELECT id FROM read WHERE d = '01/02/2024'"
	for name, c := range map[string]struct {
		sql    string
		before [][]byte // sent one after the other, each with a use of the statement behind it
		misses bool
	}{
		"a parameter, behind SET":                {"SELECT id FROM read WHERE k <> $1", [][]byte{msgQuery("SET DateStyle = 'ISO, DMY'")}, false},
		"a parameter, in a transaction":          {"SELECT id FROM read WHERE k <> $1 AND k <> 'word'", [][]byte{msgQuery("BEGIN"), write, msgQuery("COMMIT")}, false},
		"a constant, behind a write":             {dated + " AND k <> $1", [][]byte{write}, false},
		"a constant, behind SET of another kind": {dated + " OR k <> $1", [][]byte{msgQuery("SET work_mem = '5MB'")}, false},
		"a constant, behind SET":                 {dated + " OR k < $1", [][]byte{msgQuery("SET DateStyle = 'ISO, YMD'")}, true},
		"a constant, in a transaction":           {dated + " OR k > $1", [][]byte{msgQuery("BEGIN"), msgQuery("SET LOCAL DateStyle = 'ISO, YMD'"), msgQuery("COMMIT")}, true},
		"a constant, in a transaction of writes": {dated + " OR k >= $1", [][]byte{msgQuery("BEGIN"), write, msgQuery("COMMIT")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			use := synced(msgBind("p", "none"), msgExecute("", 0)).send
			prepared := func() *rawClient {
				conn := dialRaw(t, s.dsn())
				conn.ask(write)
				s.allAnalysed()
				conn.ask(write) // analysed: the session knows that it changes no setting
				conn.ask(msgQuery("SELECT id FROM read WHERE k <> 'a'"))
				conn.ask(synced(msgParse("p", c.sql)).send) // its meaning is certain, behind the write too
				for _, message := range c.before {
					conn.ask(message)
					conn.ask(use)
				}
				return conn
			}
			hits := func(conn *rawClient) bool {
				before := s.count(HitL1)
				conn.ask(use)
				return s.count(HitL1) > before
			}
			if !c.misses {
				// If the verdict on a write comes too late, the session rightly doubts its parsed
				// statements for the rest of its life: then another session tries.
				servers.Eventually(t, "a hit", func() bool {
					conn := prepared()
					defer conn.conn.Close()
					for range 3 {
						if hits(conn) {
							return true
						}
					}
					return false
				})
				return
			}
			conn := prepared()
			before := s.Report().Bypasses[reasons.ParsedUnder]
			servers.Eventually(t, "a use to pass through for "+reasons.ParsedUnder, func() bool {
				if hits(conn) {
					t.Fatalf("a use was a hit, want it passed through for %s", reasons.ParsedUnder)
				}
				return s.Report().Bypasses[reasons.ParsedUnder] > before
			})
		})
	}
}
