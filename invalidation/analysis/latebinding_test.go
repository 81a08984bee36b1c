package analysis

import (
	"fmt"
	"strings"
	"testing"
)

// lateSchema makes types that code of users hangs on, all of which reads the table
// said, and the same types without.
const lateSchema = `
	CREATE TABLE said (t text);
	INSERT INTO said VALUES ('old');
	CREATE FUNCTION says_old() RETURNS bool STABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT t = ''old'' FROM public.said); END';

	-- Casts.
	CREATE TYPE tag AS ENUM ('a', 'b');
	CREATE FUNCTION tag_json(tag) RETURNS json LANGUAGE sql AS 'SELECT to_json(t) FROM public.said';
	CREATE FUNCTION tag_text(tag) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT t FROM public.said); END';
	CREATE CAST (tag AS json) WITH FUNCTION tag_json(tag);
	CREATE CAST (tag AS text) WITH FUNCTION tag_text(tag);
	CREATE TYPE tags AS ENUM ('a', 'b');
	CREATE FUNCTION tags_text(tags[]) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT t FROM public.said); END';
	CREATE CAST (tags[] AS text) WITH FUNCTION tags_text(tags[]);
	CREATE TYPE tagged AS (x int, e tag);
	CREATE TYPE worded AS (x int);
	CREATE FUNCTION worded_text(worded) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT t FROM public.said); END';
	CREATE CAST (worded AS text) WITH FUNCTION worded_text(worded);
	CREATE DOMAIN tag_domain AS tag;

	-- Operator classes.
	CREATE TYPE size AS ENUM ('s', 'm', 'l');
	CREATE FUNCTION size_cmp(size, size) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN CASE WHEN public.says_old() THEN enum_cmp($1, $2) ELSE - enum_cmp($1, $2) END; END';
	CREATE FUNCTION size_lt(size, size) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN public.size_cmp($1, $2) < 0; END';
	CREATE FUNCTION size_le(size, size) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN public.size_cmp($1, $2) <= 0; END';
	CREATE FUNCTION size_eq(size, size) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN enum_eq($1, $2) = public.says_old(); END';
	CREATE FUNCTION size_ge(size, size) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN public.size_cmp($1, $2) >= 0; END';
	CREATE FUNCTION size_gt(size, size) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN public.size_cmp($1, $2) > 0; END';
	CREATE FUNCTION size_hash(size) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN CASE WHEN public.says_old() THEN 1 ELSE 2 END; END';
	CREATE OPERATOR <^ (FUNCTION = size_lt, LEFTARG = size, RIGHTARG = size);
	CREATE OPERATOR <=^ (FUNCTION = size_le, LEFTARG = size, RIGHTARG = size);
	CREATE OPERATOR =^ (FUNCTION = size_eq, LEFTARG = size, RIGHTARG = size);
	CREATE OPERATOR >=^ (FUNCTION = size_ge, LEFTARG = size, RIGHTARG = size);
	CREATE OPERATOR >^ (FUNCTION = size_gt, LEFTARG = size, RIGHTARG = size);
	CREATE OPERATOR CLASS size_ops DEFAULT FOR TYPE size USING btree AS
		OPERATOR 1 <^, OPERATOR 2 <=^, OPERATOR 3 =^, OPERATOR 4 >=^, OPERATOR 5 >^, FUNCTION 1 size_cmp(size, size);
	CREATE OPERATOR CLASS size_hash_ops DEFAULT FOR TYPE size USING hash AS OPERATOR 1 =^, FUNCTION 1 size_hash(size);
	CREATE TYPE sized AS (x int, s size);
	-- A type of Postgres' own that has no operator class.
	CREATE FUNCTION point_cmp(point, point) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN CASE WHEN public.says_old() THEN 1 ELSE -1 END; END';
	CREATE OPERATOR CLASS point_ops DEFAULT FOR TYPE point USING btree AS OPERATOR 3 ~=, FUNCTION 1 point_cmp(point, point);

	-- Ranges.
	CREATE FUNCTION back_cmp(int, int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN CASE WHEN public.says_old() THEN btint4cmp($1, $2) ELSE 0 END; END';
	CREATE OPERATOR CLASS back_ops FOR TYPE int USING btree AS
		OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 back_cmp(int, int);
	CREATE TYPE span AS RANGE (subtype = int, subtype_opclass = back_ops);

	CREATE TYPE whole;
	CREATE FUNCTION whole_canonical(whole) RETURNS whole IMMUTABLE STRICT LANGUAGE internal AS 'int4range_canonical';
	CREATE TYPE whole AS RANGE (subtype = int, canonical = whole_canonical);
	CREATE OR REPLACE FUNCTION whole_canonical(whole) RETURNS whole IMMUTABLE STRICT LANGUAGE plpgsql AS
		'BEGIN RETURN CASE WHEN public.says_old() THEN $1 ELSE ''empty'' END; END';

	CREATE TYPE sized_range AS RANGE (subtype = sized);

	-- A type of Postgres' own with a cast of somebody's.
	CREATE FUNCTION macaddr_text(macaddr) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT t FROM public.said); END';
	CREATE CAST (macaddr AS text) WITH FUNCTION macaddr_text(macaddr);

	-- Domains.
	CREATE DOMAIN small AS int CHECK (VALUE < 5 OR public.says_old());
	CREATE TYPE smalls AS (x small);

	CREATE TYPE plain AS ENUM ('a', 'b');
	CREATE TYPE plains AS (x int, e plain);
	CREATE DOMAIN plain_domain AS plain;
	CREATE TYPE plain_range AS RANGE (subtype = float8, subtype_diff = float8mi);

	CREATE TABLE things (id int, e tag, es tag[], g tags[], p tagged, w worded, d tag_domain, s size, ss size[], z sized,
		pt point, mac macaddr, r span, u span, rs span[], wr whole, m small, ms small[], i int, f float8, body text);
	INSERT INTO things VALUES (1, 'a', '{a}', '{a}', '(1,a)', '(1)', 'a', 's', '{s,m,l}', '(1,s)', '(1,2)', '08:00:2b:01:02:03', '[1,5)', '[3,9)', '{"[1,5)"}', '[1,5]', 1, '{1}', 7, 1.5, 'the words');
	CREATE TABLE plain_things (id int, e plain, es plain[], p plains, d plain_domain, r plain_range, n int4range, word text, body text);
	INSERT INTO plain_things VALUES (1, 'a', '{a,b}', '(1,a)', 'b', '[1,5)', '[1,5)', 'x', 'the words')`

func setupLate(t *testing.T, functions ...Function) *bench {
	t.Helper()
	b := setup(t)
	b.exec(t, lateSchema)
	b.watch = readWatch(t, b.conn, map[string][]string{"public.things": {"id"}, "public.plain_things": {"id"}, "public.said": {}})
	b.analyzer = b.newAnalyzer(t, functions...)
	return b
}

// answer is what Postgres says to a query, an error included.
func (b *bench) answer(t *testing.T, sql string) string {
	t.Helper()
	results, err := b.conn.PgConn().Exec(t.Context(), sql).ReadAll()
	if err != nil {
		return err.Error()
	}
	var rows []string
	for _, r := range results[0].Rows {
		rows = append(rows, fmt.Sprintf("%q", r))
	}
	return strings.Join(rows, " ")
}

// late are expressions over things that call code of users which no tree shows.
var late = []string{
	// Casts to json.
	"to_json(e)", "to_jsonb(e)", "to_json(es)", "to_json(p)", "to_json(d)", "array_to_json(es)", "row_to_json(p)",
	"json_agg(e)", "jsonb_agg(e)", "json_agg(e) OVER ()", "json_object_agg(1, e)", "jsonb_object_agg(1, e)",
	"json_build_array(e)", "jsonb_build_array(VARIADIC es)", "json_build_object('e', e)", "jsonb_build_object(1, p)",
	"json_agg(things)", "row_to_json(things)", "to_jsonb(things)", "row_to_json(ROW(e, 1))", "to_json(ROW(1, ROW(e)))", "to_json(ARRAY[p])",
	"(SELECT row_to_json(q) FROM (SELECT things.e) q)", "(SELECT json_agg(q) FROM (SELECT h.e FROM things h) q)",
	"(WITH q AS (SELECT e FROM things) SELECT json_agg(q) FROM q)", "(SELECT json_agg(q) FROM things h, unnest(h.es) q)",
	"(SELECT row_to_json(q) FROM (SELECT 1) a(x) JOIN (SELECT things.e AS y) b ON true, LATERAL (SELECT a, b) q)", "(SELECT to_json(q) FROM (SELECT 1 AS x) a FULL JOIN (SELECT e, 1 AS x FROM things) b USING (x), LATERAL (VALUES (a, b)) q)",
	"to_json(ARRAY(SELECT things.e))", "to_json(coalesce(e, 'b'))", "to_json(CASE WHEN id = 1 THEN e END)", "to_json((p).e)", "to_json(es[1])",
	"to_json(max(e))", "to_json('a'::tag)", "to_json((SELECT e FROM things))",
	// Casts to text, in SQL functions of Postgres.
	"'x' || e", "e || 'x'", "'x'::text || w", "w || 'x'::text", "d || 'x'", "'x' || coalesce(e, 'b')",
	"quote_literal(e)", "quote_nullable(e)", "quote_literal(w)", "quote_nullable(g)", "quote_literal(ARRAY(SELECT 'a'::tags))", "quote_literal(d)",
	"'x' || mac", "quote_literal(mac)",
	"string_agg(quote_literal(e), ',') OVER ()",
	// Operators of the elements, and of the columns.
	"ss = '{s,m,l}'", "ss < '{m}'", "ARRAY[s] @> ARRAY[s]", "ARRAY[s] <@ ARRAY[s]", "ARRAY[s] && ARRAY[s]", "array_position(ss, 'm')", "array_positions(ss, 'm')",
	"array_remove(ss, 's')", "array_replace(ss, 's', 'm')", "(SELECT max(x) FROM (VALUES (things.ss), ('{m}')) v(x))", "greatest(ss, '{m}')", "least(s, 'm'::size)", "greatest(z, ROW(1, 'm')::sized)",
	"width_bucket('m'::size, ss)", "z = ROW(1, 's')::sized", "z < ROW(1, 'm')::sized", "z = ANY (ARRAY[z])", "ROW(1, z) < ROW(1, ROW(1, 'm')::sized)",
	"z IN (SELECT z FROM things)", "nullif(z, ROW(1, 's')::sized)", "z IS DISTINCT FROM ROW(1, 's')::sized",
	"hash_array(ss)", "hash_record(z)", "btarraycmp(ss, '{m}')",
	"(SELECT string_agg(x::text, ',') FROM (SELECT unnest('{\"(1,s)\",\"(1,l)\",\"(1,m)\"}'::sized[]) AS x ORDER BY 1) y)",
	"(SELECT count(*) FROM (SELECT DISTINCT unnest('{\"(1,s)\",\"(1,s)\"}'::sized[])) y)",
	"(SELECT count(*) FROM (SELECT things.z UNION SELECT things.z) y)", "(SELECT max(n) FROM (SELECT count(*) AS n FROM (VALUES (things.ss), (things.ss)) v(x) GROUP BY x) y)",
	"(SELECT rank() OVER (ORDER BY x) FROM (VALUES (things.ss), ('{m}')) v(x) ORDER BY x::text LIMIT 1)", "(SELECT percentile_disc(0) WITHIN GROUP (ORDER BY x) FROM (VALUES (things.z), (ROW(1, 'm')::sized)) v(x))",
	"(SELECT string_agg(x::text, ',' ORDER BY x) FROM (VALUES (things.ss), ('{m}')) v(x))", "(SELECT percentile_disc(0) WITHIN GROUP (ORDER BY x) FROM (VALUES (things.ss), ('{m}')) v(x))",
	"ARRAY[pt] < ARRAY[point '(3,4)']", "greatest(pt, point '(3,4)')", "ROW(ROW(pt)) < ROW(ROW(point '(3,4)'))",
	// Ranges.
	"r @> 3", "3 <@ r", "r = u", "r && r", "r < u", "r * u", "r + u", "range_merge(r, u)", "rs = ARRAY[u]", "range_agg(r) = range_agg(u)",
	"'[1,5)'::span", "('[' || id || ',5)')::text::span", "'{\"[1,5)\"}'::span[]", "multirange(r) + multirange(u)", "('[\"(1,s)\",\"(1,m)\"' || substr(']', id, 1))::sized_range", "max(r::text)::span", "greatest(r, u)", "wr + wr", "wr * '[2,3]'", "'[1,5]'::whole", "range_merge(wr, wr)",
	// Domains.
	"'{7}'::small[]", "i::small", "ARRAY[i]::small[]", "'(7)'::smalls", "ROW(i)::smalls", "('(' || i || ')')::smalls", "'7'::small",
}

// plainly are expressions over plain_things that call nothing of the kind, or over
// things by functions that do not.
var plainly = []string{
	"row_to_json(t)", "to_json(t)", "json_agg(t)", "jsonb_agg(t)", "to_json(t.e)", "jsonb_build_object('e', t.e, 'es', t.es)", "array_to_json(t.es)",
	"to_json(t.d)", "to_json(t.r)", "json_object_agg(t.e, t.p)", "row_to_json(ROW(t.e, t.es))", "(SELECT row_to_json(q) FROM (SELECT t.e, t.n) q)",
	"'x' || t.e", "t.e || 'x'", "quote_literal(t.e)", "quote_nullable(t.es)", "'x' || t.d", "t.id || '/' || t.e",
	"t.es = '{a}'", "t.es @> '{a}'", "array_position(t.es, 'b')", "max(t.es)", "max(t.e)", "greatest(t.e, 'b')", "t.p = ROW(1, 'a')::plains",
	"t.r @> 3.0::float8", "t.r * '[2,9)'", "range_agg(t.r)", "t.n @> 3", "'[1,5)'::plain_range", "t.body::plain_range", "'{a}'::plain[]", "ROW(t.e) = ROW(t.e)",
	"(SELECT max(n) FROM (SELECT count(*) AS n FROM (VALUES (t.p), (t.p)) v(x) GROUP BY x) y)", "width_bucket(2, ARRAY[1, 3])",
	"to_tsvector('english', t.body)", "to_tsvector(t.body)", "convert_to(t.body, 'LATIN1')",
	"(SELECT e FROM things)", "(SELECT concat(e, es, p) FROM things)", "(SELECT format('%s', e) FROM things)", "(SELECT array_to_string(es, ',') FROM things)",
	"(SELECT e = 'a' FROM things)", "(SELECT max(e) FROM things)", "(SELECT es FROM things)", "(SELECT es = '{a}' FROM things)", "(SELECT array_agg(e) FROM things)",
	"(SELECT s FROM things)", "(SELECT to_json(s) FROM things)", "(SELECT to_json(ss) FROM things)", "(SELECT r FROM things)", "(SELECT upper(r) FROM things)",
	"(SELECT m FROM things)", "(SELECT ms FROM things)", "(SELECT to_json(ms) FROM things)", "(SELECT to_json(id) FROM things WHERE e = 'a')",
	"(SELECT count(*) FROM (SELECT DISTINCT e FROM things) y)",
}

// What a function of users says that nothing in the tree names: where the answer
// follows it, it may not be kept.
func TestCase45LateBinding(t *testing.T) {
	b := setupLate(t)
	query := func(e string) string { return "SELECT " + e + " FROM things WHERE id = 1" }
	before, verdicts := map[string]string{}, map[string]*Verdict{}
	for _, e := range late {
		before[e], verdicts[e] = b.answer(t, query(e)), b.analyze(t, request(query(e)))
	}
	b.exec(t, "UPDATE said SET t = 'new'")
	for _, e := range late {
		v, after := verdicts[e], b.answer(t, query(e))
		if v.Cacheable {
			t.Errorf("%s: kept with tags %s; the answer %s became %s", e, b.show(v), before[e], after)
		} else if v.Reason != ReasonUserFunction && v.Reason != ReasonUnsafeCast {
			t.Errorf("%s: refused as %s [%s]", e, v.Reason, v.Detail)
		}
		if before[e] == after {
			t.Errorf("%s shows nothing: the answer stays %s", e, after)
		}
	}
}

// What a client binds is read by the functions of its type, when it is bound.
func TestCase45Parameters(t *testing.T) {
	b := setupLate(t)
	for name, want := range map[string]string{
		"span": "no: user_function", "span[]": "no: user_function", "span_multirange": "no: user_function", "whole": "no: user_function",
		"sized_range": "no: user_function", "small": "no: unsafe_cast", "small[]": "no: unsafe_cast", "smalls": "no: unsafe_cast", "smalls[]": "no: unsafe_cast",
		"tag": "things", "tag[]": "things", "tagged": "things", "size": "things", "sized": "things",
		"plain": "things", "plains": "things", "plain_range": "things", "int4range": "things",
	} {
		var oid uint32
		if err := b.conn.QueryRow(t.Context(), `SELECT $1::text::regtype::oid`, name).Scan(&oid); err != nil {
			t.Fatal(err)
		}
		v := b.analyze(t, request(`SELECT id FROM things WHERE $1 IS NOT NULL`, oid))
		if got := b.show(v); got != want {
			t.Errorf("a parameter of type %s: got %s [%s], want %s", name, got, v.Detail, want)
		}
	}
}

func TestCase45PlainTypesAreCached(t *testing.T) {
	b := setupLate(t)
	before := map[string]string{}
	query := func(e string) string { return "SELECT " + e + " FROM plain_things t WHERE t.id = 1" }
	for _, e := range plainly {
		before[e] = b.answer(t, query(e))
	}
	b.exec(t, "UPDATE said SET t = 'new'")
	for _, e := range plainly {
		if v := b.analyze(t, request(query(e))); !v.Cacheable {
			t.Errorf("%s: refused as %s [%s]", e, v.Reason, v.Detail)
		}
		if after := b.answer(t, query(e)); before[e] != after {
			t.Errorf("%s: the answer %s became %s", e, before[e], after)
		}
	}
}

// Parsers and dictionaries of text search are functions of users too, and so are
// conversions of encodings. They can only be written in C; these are Postgres' own
// under other names.
func TestCase45TextSearchAndEncodings(t *testing.T) {
	b := setupLate(t)
	b.exec(t, `
		CREATE FUNCTION my_init(internal) RETURNS internal LANGUAGE internal AS 'dsimple_init';
		CREATE FUNCTION my_lexize(internal, internal, internal, internal) RETURNS internal LANGUAGE internal AS 'dsimple_lexize';
		CREATE TEXT SEARCH TEMPLATE my_template (INIT = my_init, LEXIZE = my_lexize);
		CREATE TEXT SEARCH DICTIONARY my_dictionary (TEMPLATE = my_template);
		CREATE TEXT SEARCH CONFIGURATION copied_first (COPY = english)`)
	// A dictionary that no configuration has is called by name alone.
	b.wantVerdicts(t, map[string]string{
		`SELECT to_tsvector(body) FROM things WHERE id = 1`:                "things/id='1'",
		`SELECT ts_lexize('my_dictionary', body) FROM things WHERE id = 1`: "no: user_function",
		`SELECT ts_lexize('simple', body) FROM things WHERE id = 1`:        "no: user_function",
	})
	b.exec(t, `
		CREATE TEXT SEARCH CONFIGURATION mine (COPY = english);
		ALTER TEXT SEARCH CONFIGURATION mine ALTER MAPPING FOR word WITH my_dictionary;
		CREATE TEXT SEARCH CONFIGURATION copied (COPY = english);
		ALTER TEXT SEARCH CONFIGURATION copied ALTER MAPPING FOR word WITH simple;
		CREATE TEXT SEARCH CONFIGURATION indirect (COPY = english);
		CREATE TEXT SEARCH DICTIONARY my_thesaurus (TEMPLATE = thesaurus, DictFile = thesaurus_sample, Dictionary = my_dictionary);
		ALTER TEXT SEARCH CONFIGURATION indirect ALTER MAPPING FOR word WITH my_thesaurus, simple`)
	b.analyzer.Forget()
	for configuration, want := range map[string]string{
		"pg_catalog.english": "things/id='1'", "public.copied": "things/id='1'",
		"public.mine": "no: user_function", "": "no: user_function",
	} {
		r := request(`SELECT to_tsvector(body) FROM things WHERE id = 1`)
		if configuration != "" {
			r.Settings = map[string]string{"default_text_search_config": configuration}
		}
		if got := b.show(b.analyze(t, r)); got != want {
			t.Errorf("by default %q: got %s, want %s", configuration, got, want)
		}
	}
	b.wantVerdicts(t, map[string]string{
		`SELECT to_tsvector('mine', body) FROM things WHERE id = 1`:                               "no: user_function",
		`SELECT to_tsvector('indirect', body) FROM things WHERE id = 1`:                           "no: user_function",
		`SELECT body FROM things WHERE id = 1 AND to_tsvector(body) @@ 'word'`:                    "no: user_function",
		`SELECT to_tsvector(body::regconfig, body) FROM things WHERE id = 1`:                      "no: user_function",
		`SELECT plainto_tsquery('mine', $1), websearch_to_tsquery('mine', $1)`:                    "no: user_function",
		`SELECT ts_headline('mine', body, 'word') FROM things WHERE id = 1`:                       "no: user_function",
		`SELECT ts_lexize('my_dictionary', body) FROM things WHERE id = 1`:                        "no: user_function",
		`SELECT to_tsvector('copied', body) FROM things WHERE id = 1`:                             "things/id='1'",
		`SELECT ts_headline('english', body, to_tsquery('english', $1)) FROM things WHERE id = 1`: "things/id='1'",
		`SELECT convert_to(body, 'LATIN1') FROM things WHERE id = 1`:                              "things/id='1'",
	})
	b.exec(t, `
		CREATE FUNCTION my_conversion(int, int, cstring, internal, int, bool) RETURNS int LANGUAGE c STRICT AS '$libdir/utf8_and_iso8859_1', 'utf8_to_iso8859_1';
		CREATE DEFAULT CONVERSION my_latin FOR 'UTF8' TO 'LATIN1' FROM my_conversion`)
	b.analyzer = b.newAnalyzer(t, Function{Signature: "public.my_init(internal)"}, Function{Signature: "public.my_lexize(internal, internal, internal, internal)"})
	b.wantVerdicts(t, map[string]string{
		`SELECT convert_to(body, 'LATIN1') FROM things WHERE id = 1`: "no: user_function",
		`SELECT to_tsvector(body) FROM things WHERE id = 1`:          "things/id='1'",
	})
}

// Which rows are found can depend on functions of users that no statement names: those
// that order an index, or tell one partition from another.
func TestCase45IndexesAndPartitions(t *testing.T) {
	b := setupLate(t)
	b.exec(t, `
		CREATE TABLE ordered (id int, x int);
		INSERT INTO ordered SELECT n, n FROM generate_series(1, 9) n;
		CREATE INDEX ON ordered (x back_ops);
		CREATE FUNCTION place(int, int8) RETURNS int8 IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN CASE WHEN public.says_old() THEN $1 ELSE $1 + 1 END; END';
		CREATE OPERATOR CLASS place_ops FOR TYPE int USING hash AS OPERATOR 1 =, FUNCTION 2 place(int, int8);
		CREATE TABLE placed (id int, x int) PARTITION BY LIST (id);
		CREATE TABLE placed_1 PARTITION OF placed FOR VALUES IN (1) PARTITION BY HASH (x place_ops);
		CREATE TABLE placed_1_0 PARTITION OF placed_1 FOR VALUES WITH (modulus 2, remainder 0);
		CREATE TABLE placed_1_1 PARTITION OF placed_1 FOR VALUES WITH (modulus 2, remainder 1);
		INSERT INTO placed VALUES (1, 7);
		CREATE INDEX ON plain_things (word text_pattern_ops);
		SET enable_seqscan = off`)
	b.watch = readWatch(t, b.conn, map[string][]string{"public.ordered": {"id", "x"}, "public.placed": {"id", "x"}, "public.plain_things": {"id"}, "public.said": {}})
	statements := []string{`SELECT id FROM ordered WHERE x = 7`, `SELECT id FROM placed WHERE x = 7`}
	var before []string
	for _, sql := range statements {
		before = append(before, b.answer(t, sql))
		b.wantVerdicts(t, map[string]string{sql: "no: user_function"})
	}
	b.exec(t, "UPDATE said SET t = 'new'")
	for i, sql := range statements {
		if after := b.answer(t, sql); after == before[i] {
			t.Errorf("%s shows nothing: the answer stays %s", sql, after)
		}
	}
	b.wantVerdicts(t, map[string]string{`SELECT id FROM plain_things WHERE id = 1 AND word = 'x'`: "plain_things/id='1'"})
	// A function that reads the table whose partitions it tells apart.
	b.analyzer = b.newAnalyzer(t,
		Function{Signature: "public.place(int, int8)", Tables: []string{"public.placed", "public.said"}}, Function{Signature: "public.back_cmp(int, int)", Tables: []string{"public.said"}})
	b.wantVerdicts(t, map[string]string{statements[0]: "ordered/x='7' said", statements[1]: "placed said"})
}

// What an operator vouches for may be found at run time; the tables it reads are
// among those of the answer. A record that a declared function returns holds what
// its columns say.
func TestCase45DeclaredFunctions(t *testing.T) {
	b := setupLate(t,
		Function{Signature: "public.tag_json(public.tag)", Tables: []string{"public.said"}},
		Function{Signature: "public.gives()"}, Function{Signature: "public.gives_any()"})
	b.exec(t, `
		CREATE FUNCTION gives(OUT i int, OUT e tags[]) STABLE LANGUAGE sql AS $$SELECT 1, '{a}'::tags[]$$;
		CREATE FUNCTION gives_any() RETURNS record STABLE LANGUAGE sql AS $$SELECT 1, '{a}'::tags[]$$;
		CREATE FUNCTION tags_json(tags[]) RETURNS json LANGUAGE sql AS 'SELECT to_json(t) FROM public.said';
		CREATE CAST (tags[] AS json) WITH FUNCTION tags_json(tags[])`)
	b.analyzer.Forget()
	b.wantVerdicts(t, map[string]string{
		`SELECT to_json(e) FROM things WHERE id = 1`:                   "no: user_function",
		`SELECT g FROM gives() g`:                                      "",
		`SELECT row_to_json(g) FROM gives() g`:                         "no: user_function",
		`SELECT row_to_json(g) FROM gives_any() AS g(i int, e tags[])`: "no: user_function",
	})
	b.exec(t, `DROP CAST (tag AS text)`)
	b.analyzer.Forget()
	b.wantVerdicts(t, map[string]string{
		`SELECT to_json(e) FROM things WHERE id = 1`: "said things/id='1'",
	})
}

// What a type leads to is read again when the schema has changed.
func TestForgetRereadsWhatTypesLeadTo(t *testing.T) {
	b := setup(t)
	const sql = `SELECT to_json(mood), greatest(mood, 'ok') FROM users WHERE id = 1`
	b.wantVerdicts(t, map[string]string{sql: `users/id='1'`})
	b.exec(t, `CREATE FUNCTION mood_json(mood) RETURNS json LANGUAGE sql AS 'SELECT ''1''::json'; CREATE CAST (mood AS json) WITH FUNCTION mood_json(mood)`)
	b.analyzer.Forget()
	b.wantVerdicts(t, map[string]string{sql: `no: user_function`})
	b.exec(t, `DROP CAST (mood AS json); CREATE FUNCTION mood_cmp(mood, mood) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT enum_cmp($1, $2)';
		CREATE OPERATOR CLASS mood_ops DEFAULT FOR TYPE mood USING btree AS FUNCTION 1 mood_cmp(mood, mood)`)
	b.analyzer.Forget()
	b.wantVerdicts(t, map[string]string{sql: `no: user_function`})
	b.exec(t, `DROP OPERATOR CLASS mood_ops USING btree`)
	b.analyzer.Forget()
	b.wantVerdicts(t, map[string]string{sql: `users/id='1'`})
}
