package wire

import (
	"fmt"
	"strings"
	"testing"
)

// kind is a built-in type with two of its values, a and b, and bad, a text that is no value of it.
type kind struct {
	name      string // as in pg_type
	a, b, bad string
}

// kinds are all built-in types that a column can have.
var kinds = []kind{
	{"bool", "t", "f", "perhaps"},
	{"bytea", `\x00ff10`, `\x`, `\xzz`},
	{"char", "x", "", "\\400"},
	{"name", "a name", "Überlänge", strings.Repeat("n", 80)},
	{"int8", "9223372036854775807", "-1", "9223372036854775808"},
	{"int2", "32767", "-32768", "32768"},
	{"int4", "2147483647", "0", "4.5"},
	{"text", "text with 'quotes' and \\", "", "\\000"},
	{"oid", "4294967295", "0", "-4294967296"},
	{"tid", "(4294967295,65535)", "(0,1)", "(1)"},
	{"xid", "4294967295", "3", "x"},
	{"xid8", "18446744073709551615", "3", "x"},
	{"cid", "4294967295", "0", "x"},
	{"int2vector", "1 2 3", "", "1 x"},
	{"oidvector", "1 2 4294967295", "", "1 x"},
	{"regproc", "now", "1299", "nothing_of_that_name"},
	{"regprocedure", "abs(integer)", "sum(bigint)", "abs(nothing)"},
	{"regoper", "|/", "||/", "+"},
	{"regoperator", "+(integer,integer)", "-(NONE,integer)", "+(nothing)"},
	{"regclass", "pg_type", "0", "no such table"},
	{"regcollation", "\"C\"", "\"POSIX\"", "nowhere"},
	{"regtype", "int[]", "timestamp with time zone", "notype"},
	{"regrole", "postgres", "-", "nobody at all"},
	{"regnamespace", "pg_catalog", "public", "noschema"},
	{"regconfig", "english", "simple", "klingon"},
	{"regdictionary", "english_stem", "simple", "klingon"},
	{"json", `{"b": 1,  "a": [true, null, "\u00e4"]}`, "17", "{"},
	{"jsonb", `{"b": 1, "a": [true, null, "\u00e4"], "b": 2}`, "-0.50", "{'a': 1}"},
	{"jsonpath", "$.a[*] ? (@ > 1)", "$", "$.["},
	{"xml", "<a b=\"c\">d</a>", "text", "<a>"},
	{"point", "(1.5,-2)", "(Infinity,NaN)", "(1)"},
	{"line", "{1,-1,0}", "{0,2,5}", "{0,0,1}"},
	{"lseg", "[(0,0),(1,1)]", "[(1,2),(3,4)]", "[(0,0)]"},
	{"box", "(3,4),(1,2)", "(0,0),(0,0)", "(1)"},
	{"path", "[(0,0),(1,1),(2,0)]", "((0,0),(1,1))", "[]"},
	{"polygon", "((0,0),(1,1),(2,0))", "((1,1))", "(1"},
	{"circle", "<(1,2),3>", "<(0,0),0>", "<(1,2),-3>"},
	{"float4", "3.4028235e+38", "-0", "1e50"},
	{"float8", "0.1", "NaN", "1e400"},
	{"money", "$1,234,567.89", "-$0.01", "1e30"},
	{"macaddr", "08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff", "08:00"},
	{"macaddr8", "08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03", "08"},
	{"inet", "192.168.0.1/24", "::ffff:1.2.3.4", "300.0.0.1"},
	{"cidr", "10.1.0.0/16", "2001:db8::/32", "10.1.2.3/16"},
	{"aclitem", "postgres=arwdDxt/postgres", "=r/postgres", "x"},
	{"bpchar", "ab  ", "", "\\000"},
	{"varchar", "varying", "", "\\000"},
	{"date", "2024-02-29", "-infinity", "2023-02-29"},
	{"time", "24:00:00", "04:05:06.789", "25:00"},
	{"timetz", "04:05:06.789-08", "00:00:00+00", "04:05:06 Nowhere/Town"},
	{"timestamp", "2024-02-29 12:34:56.789", "infinity", "2024-13-01"},
	{"timestamptz", "2024-02-29 12:34:56.789+02", "0044-03-15 12:00:00+00 BC", "2024-01-01 00:00:00 Nowhere/Town"},
	{"interval", "1 year 2 mons -3 days 04:05:06.789", "0", "1 parsec"},
	{"bit", "1", "0", "2"},
	{"varbit", "10110", "", "12"},
	{"numeric", "12345678901234567890.0123456789", "NaN", "1.2.3"},
	{"refcursor", "a cursor", "", "\\000"},
	{"uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000", "a0eebc99"},
	{"pg_lsn", "16/B374D848", "0/0", "16"},
	{"pg_snapshot", "10:20:10,14,15", "1:1:", "20:10:"},
	{"txid_snapshot", "10:20:10,14,15", "1:1:", "20:10:"},
	{"tsvector", "a:1A fat:2B,4C cat:5", "", ":1"},
	{"tsquery", "fat & (rat | !cat) <2> dog", "a:*AB", "& a"},
	{"int4range", "[1,5)", "empty", "[5,1)"},
	{"int8range", "(,9223372036854775806]", "[1,1]", "[1"},
	{"numrange", "[1.5,2.50)", "(,)", "[a,b]"},
	{"daterange", "[2024-01-01,2024-02-01)", "(,2024-01-01]", "[2024-02-30,]"},
	{"tsrange", "[\"2024-01-01 00:00:00\",\"2024-01-02 00:00:00\")", "empty", "[x,y]"},
	{"tstzrange", "[\"2024-01-01 00:00:00+00\",infinity)", "(,)", "[x,y]"},
	{"int4multirange", "{[1,3),[5,7)}", "{}", "{1}"},
	{"int8multirange", "{[1,3),(,0)}", "{}", "{1}"},
	{"nummultirange", "{[1.5,2.5],(3,)}", "{}", "{[a,b]}"},
	{"datemultirange", "{[2024-01-01,2024-01-03),[2024-02-01,2024-02-02)}", "{}", "{[x,]}"},
	{"tsmultirange", "{[\"2024-01-01 00:00:00\",\"2024-01-02 00:00:00\")}", "{}", "{[x,]}"},
	{"tstzmultirange", "{[\"2024-01-01 00:00:00+00\",\"2024-01-02 00:00:00+00\")}", "{}", "{[x,]}"},
}

// kindsElsewhere are the built-in types that no column of the corpus has, and why.
var kindsElsewhere = map[string]string{
	"pg_node_tree":          "has no input",
	"gtsvector":             "has no input",
	"pg_ndistinct":          "has no input",
	"pg_dependencies":       "has no input",
	"pg_mcv_list":           "has no input",
	"pg_brin_bloom_summary": "has no input", "pg_brin_minmax_multi_summary": "has no input",
}

// kindReads and kindWrites are templates of the statements for each type: T stands for the type, C
// for a column of it, A and B for values of it, and X for a text that is no value of it. It may
// depend on the type whether a read can be cached.
var kindReads = []string{
	`SELECT A::T`,
	`SELECT id, C FROM kinds ORDER BY id`,
	`SELECT C FROM kinds WHERE id = 2`,
	`SELECT C::text, C IS NULL FROM kinds ORDER BY id`,
	`SELECT id FROM kinds WHERE C = A::T ORDER BY id`,
	`SELECT count(C), min(C), max(C) FROM kinds`,
	`SELECT array_agg(C ORDER BY id) FROM kinds`,
	`SELECT coalesce(C, B), nullif(C, A) FROM kinds ORDER BY id`,
	`SELECT to_json(C) FROM kinds ORDER BY id`,
	`SELECT pg_typeof(C), pg_column_size(C) FROM kinds WHERE id < 3 ORDER BY id`,
	`SELECT ROW(id, C) FROM kinds ORDER BY id`,
	`SELECT DISTINCT C FROM kinds ORDER BY C`,
	`SELECT C FROM kinds WHERE id < 3 UNION ALL SELECT B::T`,
	`SELECT C, lag(C) OVER (ORDER BY id) FROM kinds ORDER BY id`,
	`SELECT X::T`,
	`SELECT CASE WHEN id = 1 THEN C END, C IS DISTINCT FROM B FROM kinds ORDER BY id`,
	`SELECT ARRAY[A, B, NULL]::T[]`,
	"SELECT id, C FROM kinds WHERE C = $1 ORDER BY id;\n\\bind A\n\\bind B\n\\bind \\N\n\\bind X",
	"SELECT $1::T;\n\\bind A\n\\bind B\n\\bind X",
	`SELECT a.id, b.id FROM kinds a LEFT JOIN kinds b ON a.C = b.C ORDER BY a.id, b.id`,
	`SELECT id FROM kinds WHERE C > B::T OR C <= A::T ORDER BY C DESC NULLS LAST, id`,
	`SELECT (SELECT C FROM kinds k WHERE k.id = i.id), i.id FROM item i WHERE id < 4 ORDER BY id`,
}

var kindWrites = []string{
	`INSERT INTO written (id, C) VALUES (1, A), (2, B), (3, NULL) RETURNING id, C`,
	`UPDATE written SET C = B WHERE id = 1 RETURNING C`,
	`SELECT id, C FROM written ORDER BY id`,
	`INSERT INTO written (id, C) VALUES (4, X)`,
	"INSERT INTO written (id, C) VALUES ($1, $2) RETURNING *;\n\\bind 5 | A\n\\bind 6 | \\N\n\\bind 7 | X",
	`COPY (SELECT id, C FROM kinds ORDER BY id) TO STDOUT`,
	`COPY (SELECT id, C FROM kinds ORDER BY id) TO STDOUT (FORMAT binary)`,
	`DELETE FROM written WHERE id = 2 RETURNING id, C`,
	`DELETE FROM written`,
}

// kindsPerPage is for how many types rows can be written, and left dead, until a page of the table
// written is full. Up to then rows lie in the order in which they were written. Afterwards Postgres
// may reuse the place of dead rows, as soon as no snapshot needs them, which differs between the
// servers.
const kindsPerPage = 4

// column is the name of the column of a type.
func column(k kind) string { return "c_" + k.name }

// typeName is the type as SQL names it.
func typeName(k kind) string {
	if k.name == "char" {
		return `"char"`
	}
	return k.name
}

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// kindsSchema makes two tables with a column of each type: kinds, which kindReads read and nobody
// changes, and written, which kindWrites change.
func kindsSchema() string {
	var columns, a, b []string
	for _, k := range kinds {
		columns = append(columns, column(k)+" "+typeName(k))
		a, b = append(a, literal(k.a)), append(b, literal(k.b))
	}
	body := "(id int PRIMARY KEY, " + strings.Join(columns, ", ") + ");\n"
	return "CREATE TABLE kinds " + body + "CREATE TABLE written " + body +
		"INSERT INTO kinds VALUES (1, " + strings.Join(a, ", ") + "), (2, " + strings.Join(b, ", ") + ");\nINSERT INTO kinds VALUES (3);\n"
}

// kindsScripts are two scripts, of the reads and of the writes of all types. To the modes that send
// values as text (oracleMode.text), types differ in the statements' texts alone, and these the mode
// simple compares for all types. So each of those modes plays one part of a script only. Each part
// of the reads has some statements of each type and of each template. All writes of a type are in
// one part, since they build on one another.
func kindsScripts(t *testing.T) []*corpusScript {
	t.Helper()
	var scripts []*corpusScript
	for _, part := range []struct {
		name      string
		templates []string
		hitsMin   uint64
	}{{"types, read", kindReads, 2500}, {"types, written", kindWrites, 0}} {
		var text strings.Builder
		var parts []int
		for i, k := range kinds {
			if part.name == "types, written" && i%kindsPerPage == 0 {
				fmt.Fprintln(&text, "TRUNCATE written;")
				parts = append(parts, 0)
			}
			for j, template := range part.templates {
				fmt.Fprintln(&text, instance(template, k))
				if part.name == "types, written" {
					j = 0
				}
				parts = append(parts, 1+(i+j)%textModes)
			}
		}
		script, err := parseScript(part.name, []byte(text.String()))
		if err != nil {
			t.Fatal(err)
		}
		if len(script.statements) != len(parts) {
			t.Fatalf("%s: the script has %d statements, want %d", part.name, len(script.statements), len(parts))
		}
		for i := range script.statements {
			script.statements[i].part = parts[i]
		}
		script.hitsMin, script.reads = part.hitsMin, part.hitsMin > 0
		scripts = append(scripts, script)
	}
	return scripts
}

// instance is a template filled for a type: in the statement values are literals, in the lines \bind
// behind it they are as they are.
func instance(template string, k kind) string {
	sql, bindings, _ := strings.Cut(template, ";\n")
	return fill(sql, typeName(k), column(k), literal(k.a), literal(k.b), literal(k.bad)) + ";\n" +
		fill(bindings, "", "", k.a, k.b, k.bad)
}

// fill replaces the words T, C, A, B and X, but not the N of \N.
func fill(text, t, c, a, b, x string) string {
	words := map[string]string{"T": t, "C": c, "A": a, "B": b, "X": x}
	var out strings.Builder
	for i := 0; i < len(text); {
		n := 0
		for i+n < len(text) && isLetter(text[i+n]) {
			n++
		}
		switch word, known := words[text[i:i+n]]; {
		case n == 0:
			out.WriteByte(text[i])
			n = 1
		case known && (i == 0 || text[i-1] != '\\'):
			out.WriteString(word)
		default:
			out.WriteString(text[i : i+n])
		}
		i += n
	}
	return out.String()
}

func isLetter(b byte) bool { return b == '_' || 'a' <= b|0x20 && b|0x20 <= 'z' }
