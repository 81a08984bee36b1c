package analysis

import "testing"

// The tests of this file go through what makes a statement cacheable or not, by
// the numbers of the list of cases in docs/protocol.md.

// wantVerdicts analyses each statement: tags, or "no: reason".
func (b *bench) wantVerdicts(t *testing.T, want map[string]string) {
	t.Helper()
	for sql, want := range want {
		v := b.analyze(t, request(sql))
		if got := b.show(v); got != want {
			t.Errorf("%s\n got  %s [%s]\n want %s", sql, got, v.Detail, want)
		}
	}
}

func TestCase01ClockAndRandomness(t *testing.T) {
	setup(t).wantVerdicts(t, map[string]string{
		`SELECT * FROM orders WHERE created_at > now()`:               "no: clock",
		`SELECT clock_timestamp(), id FROM users`:                     "no: clock",
		`SELECT statement_timestamp()`:                                "no: clock",
		`SELECT transaction_timestamp()`:                              "no: clock",
		`SELECT timeofday()`:                                          "no: clock",
		`SELECT random()`:                                             "no: volatile_function",
		`SELECT id FROM users ORDER BY random()`:                      "no: volatile_function",
		`SELECT gen_random_uuid()`:                                    "no: volatile_function",
		`SELECT * FROM v_now`:                                         "no: clock",
		`SELECT * FROM orders WHERE created_at > 'now'::timestamptz`:  "no: clock_literal",
		`SELECT id FROM users WHERE age(at) > interval '1 day'`:       "no: clock",
		`SELECT * FROM v_today WHERE id = $1`:                         "orders/id=$1",
		`SELECT id FROM orders WHERE created_at > $1::timestamptz`:    "orders",
		`SELECT id FROM users WHERE age(at, at) = interval '0'`:       "users",
		`SELECT pg_postmaster_start_time()`:                           "no: stable_function",
		`SELECT EXISTS (SELECT FROM orders WHERE created_at < now())`: "no: clock",
	})
}

func TestCase02StableFunctionsOfSettingsInTheKey(t *testing.T) {
	setup(t).wantVerdicts(t, map[string]string{
		`SELECT to_char(created_at, 'YYYY') FROM orders WHERE id = $1`:                         "orders/id=$1",
		`SELECT to_char(total, '999D99') FROM orders WHERE id = $1`:                            "orders/id=$1",
		`SELECT concat(id, name), concat_ws('-', id, at), format('%s', at) FROM users`:         "users",
		`SELECT to_json(r), row_to_json(r), to_jsonb(r.at) FROM users r WHERE id = $1`:         "users/id=$1",
		`SELECT jsonb_agg(o), json_agg(o.created_at) FROM orders o WHERE user_id = $1`:         "orders/user_id=$1",
		`SELECT json_build_object('a', at), jsonb_build_array(at) FROM users WHERE id = $1`:    "users/id=$1",
		`SELECT date_trunc('day', at), at::date, at::text FROM users WHERE id = $1`:            "users/id=$1",
		`SELECT at + interval '1 day', at AT TIME ZONE 'UTC' FROM users WHERE id = $1`:         "users/id=$1",
		`SELECT array_to_string(words, ','), string_agg(email, ',') FROM users GROUP BY 1`:     "users",
		`SELECT to_tsvector(email) @@ plainto_tsquery($2) FROM users WHERE id = $1`:            "users/id=$1",
		`SELECT extract(epoch FROM at), date_part('hour', at) FROM users WHERE id = $1`:        "users/id=$1",
		`SELECT has_table_privilege('users', 'SELECT')`:                                        "no: stable_function",
		`SELECT pg_get_viewdef('v_order'::regclass)`:                                           "no: stable_function",
		`SELECT obj_description(1, 'pg_class'), id FROM users`:                                 "no: stable_function",
		`SELECT current_setting('TimeZone'), id FROM users`:                                    "no: setting_dependent",
		`SELECT u.id, (SELECT jsonb_agg(o) FROM orders o WHERE o.user_id = u.id) FROM users u`: "orders users",
	})
}

func TestCase03UserFunctions(t *testing.T) {
	b := setup(t)
	b.exec(t, `
		CREATE FUNCTION reads() RETURNS int8 IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM users); END';
		CREATE FUNCTION says() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE $$x$$; RETURN 1; END';
		CREATE FUNCTION of_pair(pair) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1.a';
		CREATE CAST (pair AS int) WITH FUNCTION of_pair(pair);
		CREATE VIEW v_reads AS SELECT reads()`)
	b.wantVerdicts(t, map[string]string{
		`SELECT reads()`:                                      "no: user_function",
		`SELECT says(), id FROM users`:                        "no: user_function",
		`SELECT id FROM users WHERE f_imm(sm) = 3`:            "no: user_function",
		`SELECT * FROM f_sql($1)`:                             "no: user_function",
		`SELECT id FROM users ORDER BY f_plpgsql(sm)`:         "no: user_function",
		`SELECT a_sum(sm::int) FROM users`:                    "no: user_function",
		`SELECT a_sum(sm::int) OVER () FROM users`:            "no: user_function",
		`SELECT p::int FROM users`:                            "no: user_function",
		`SELECT * FROM v_reads`:                               "no: user_function",
		`SELECT id FROM users WHERE name OPERATOR(alt.=) 'x'`: "no: user_function",
	})
}

// A function is what its arguments resolve it to, not what it is called.
func TestCase04OverloadsAreJudgedByIdentity(t *testing.T) {
	b := setup(t)
	b.exec(t, `
		CREATE FUNCTION upper(int) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1::text';
		CREATE FUNCTION alt.lower(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';
		CREATE FUNCTION alt.now() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'`)
	b.wantVerdicts(t, map[string]string{
		`SELECT upper(email) FROM users WHERE id = $1`:   "users/id=$1",
		`SELECT upper(sm::int) FROM users WHERE id = $1`: "no: user_function",
		`SELECT lower(email) FROM users WHERE id = $1`:   "users/id=$1",
		`SELECT alt.lower(email) FROM users`:             "no: user_function",
		`SELECT alt.now(), id FROM users`:                "no: user_function",
		`SELECT age(at, at) FROM users WHERE id = $1`:    "users/id=$1",
		`SELECT age(at) FROM users WHERE id = $1`:        "no: clock",
	})
	hidden := request(`SELECT lower(email) FROM users WHERE id = $1`)
	hidden.SearchPath = []string{"alt", "pg_catalog", "public"}
	hidden.SQL = `SELECT lower(email) FROM public.users WHERE id = $1`
	if got := b.show(b.analyze(t, hidden)); got != "no: user_function" {
		t.Errorf("with a search path that hides the built-in function: %s", got)
	}
}

// Role, database and search path are in the key of every answer; the clock is not.
func TestCase05ValueFunctions(t *testing.T) {
	setup(t).wantVerdicts(t, map[string]string{
		`SELECT current_user`:                                          "",
		`SELECT * FROM docs WHERE owner = session_user`:                "no: row_security",
		`SELECT id FROM users WHERE name = user`:                       "users",
		`SELECT current_role, id FROM users`:                           "users",
		`SELECT current_schema, id FROM users`:                         "users",
		`SELECT current_schemas(true)`:                                 "no: stable_function",
		`SELECT current_catalog, id FROM users`:                        "users",
		`SELECT current_date, id FROM users`:                           "no: clock",
		`SELECT id FROM users WHERE born > CURRENT_DATE - 7`:           "no: clock",
		`SELECT current_time(2)`:                                       "no: clock",
		`SELECT localtime`:                                             "no: clock",
		`SELECT * FROM orders WHERE created_at < CURRENT_TIMESTAMP(0)`: "no: clock",
	})
}

func TestCase06SequencesAlsoBehindViews(t *testing.T) {
	b := setup(t)
	b.exec(t, `CREATE VIEW v_deep AS SELECT n FROM (SELECT n FROM v_next) x; CREATE VIEW v_current AS SELECT currval('numbers') AS n`)
	b.wantVerdicts(t, map[string]string{
		`SELECT nextval('numbers')`:                                 "no: sequence",
		`SELECT currval('numbers')`:                                 "no: sequence",
		`SELECT lastval()`:                                          "no: sequence",
		`SELECT setval('numbers', 7)`:                               "no: sequence",
		`SELECT * FROM v_next`:                                      "no: sequence",
		`SELECT * FROM v_deep`:                                      "no: sequence",
		`SELECT * FROM v_current`:                                   "no: sequence",
		`SELECT id, (SELECT n FROM v_deep) FROM users WHERE id = 1`: "no: sequence",
		`SELECT last_value FROM numbers`:                            "no: sequence",
	})
}

func TestCase08LocksAndInto(t *testing.T) {
	setup(t).wantVerdicts(t, map[string]string{
		`SELECT * FROM users WHERE id = $1 FOR UPDATE`:                "no: row_locks",
		`SELECT * FROM users WHERE id = $1 FOR NO KEY UPDATE`:         "no: row_locks",
		`SELECT * FROM users WHERE id = $1 FOR SHARE`:                 "no: row_locks",
		`SELECT * FROM users WHERE id = $1 FOR KEY SHARE SKIP LOCKED`: "no: row_locks",
		`SELECT * FROM users u JOIN orders o ON true FOR UPDATE OF o`: "no: row_locks",
		`SELECT * FROM (SELECT * FROM users FOR SHARE) u`:             "no: row_locks",
		`WITH u AS (SELECT * FROM users FOR UPDATE) SELECT * FROM u`:  "no: row_locks",
		`SELECT * INTO made FROM users`:                               "no: not_select",
		`SELECT * INTO TEMP made FROM users`:                          "no: not_select",
	})
}

func TestCase09WritesInSelects(t *testing.T) {
	setup(t).wantVerdicts(t, map[string]string{
		`WITH w AS (INSERT INTO users (id) VALUES (1) RETURNING *) SELECT * FROM w`:        "no: data_modifying_cte",
		`WITH w AS (UPDATE users SET name = 'x' RETURNING id) SELECT count(*) FROM orders`: "no: data_modifying_cte",
		`WITH a AS (SELECT 1), w AS (DELETE FROM users) SELECT * FROM a`:                   "no: data_modifying_cte",
		`EXPLAIN ANALYZE DELETE FROM users`:                                                "no: not_select",
		`EXPLAIN SELECT * FROM users`:                                                      "no: not_select",
	})
}

func TestCase16ViewsAreWhatTheyRead(t *testing.T) {
	b := setup(t)
	invoker := "WITH (security_invoker)"
	if majorVersion(b.conn.PgConn().ParameterStatus("server_version")) < 15 {
		invoker = "" // not yet known
	}
	b.exec(t, "CREATE VIEW v_invoker "+invoker+" AS SELECT * FROM users")
	b.exec(t, `
		CREATE VIEW v_outer AS SELECT i.id, b.total FROM v_invoker i JOIN v_barrier b ON b.user_id = i.id;
		CREATE VIEW v_union AS SELECT id::int8, status FROM orders UNION ALL SELECT id, email FROM users;
		CREATE RECURSIVE VIEW v_numbers (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM v_numbers WHERE n < 3`)
	b.wantVerdicts(t, map[string]string{
		`SELECT * FROM v_order WHERE uid = $1`:   "orders/user_id=$1 users/id=$1",
		`SELECT * FROM v_nested WHERE id = $1`:   "orders/id=$1 users/id=public.orders.user_id",
		`SELECT * FROM v_agg WHERE user_id = $1`: "orders/user_id=$1",
		`SELECT * FROM v_top WHERE user_id = $1`: "orders",
		`SELECT * FROM v_barrier WHERE id = $1`:  "orders/id=$1",
		`SELECT * FROM v_invoker WHERE id = $1`:  "users/id=$1",
		`SELECT * FROM v_outer WHERE id = $1`:    "orders/user_id=$1 users/id=$1",
		`SELECT * FROM v_union WHERE id = $1`:    "orders/id=$1 users/id=$1",
		`SELECT n FROM v_numbers`:                "",
	})
}

func TestCase17MaterializedViewsAreRefused(t *testing.T) {
	b := setup(t)
	b.exec(t, `CREATE VIEW v_mv AS SELECT count(*) FROM mv`)
	b.wantVerdicts(t, map[string]string{
		`SELECT * FROM mv WHERE id = $1`:                       "no: materialized_view",
		`SELECT * FROM v_mv`:                                   "no: materialized_view",
		`SELECT * FROM orders WHERE id IN (SELECT id FROM mv)`: "no: materialized_view",
	})
}

func TestCase25WhatChangesWithoutTriggers(t *testing.T) {
	b := setup(t)
	b.exec(t, `
		CREATE FOREIGN DATA WRAPPER nothing;
		CREATE SERVER far FOREIGN DATA WRAPPER nothing;
		CREATE FOREIGN TABLE abroad (id int) SERVER far`)
	b.wantVerdicts(t, map[string]string{
		`SELECT * FROM abroad`:                                  "no: foreign_table",
		`SELECT u.id FROM users u JOIN abroad a ON a.id = u.id`: "no: foreign_table",
		`SELECT relname FROM pg_class`:                          "no: catalog_table",
		`SELECT * FROM pg_stat_user_tables`:                     "no: catalog_table",
		`SELECT table_name FROM information_schema.tables`:      "no: catalog_table",
		`SELECT rolname FROM pg_roles`:                          "no: catalog_table",
		`SELECT * FROM users TABLESAMPLE system (50)`:           "no: tablesample",
		`SELECT ctid, id FROM users WHERE id = $1`:              "no: system_column",
		`SELECT id FROM users WHERE xmin = '5'::xid`:            "no: system_column",
		`SELECT tableoid, id FROM users`:                        "no: system_column",
		`SELECT id FROM users ORDER BY cmax::text`:              "no: system_column",
		`SELECT pg_relation_size('users')`:                      "no: volatile_function",
		`SELECT txid_current()`:                                 "no: stable_function",
	})
}

// What a type or a collation is called depends on definitions and on the search path alone, if
// the statement decides which it is. Any other value may be the type of somebody's temporary
// table.
func TestCase47NamesOfTypes(t *testing.T) {
	setup(t).wantVerdicts(t, map[string]string{
		`SELECT pg_typeof(id), pg_typeof(mood)::text, pg_typeof('x') FROM users WHERE id = $1`: "users/id=$1",
		`SELECT id FROM users WHERE id = $1 AND pg_typeof(mood) = 'integer'::regtype`:          "users/id=$1",
		`SELECT pg_collation_for(email), pg_encoding_to_char(6) FROM users WHERE id = $1`:      "users/id=$1",
		`SELECT pg_client_encoding()`:                                     "",
		`SELECT 'mood'::regtype`:                                          "no: unsafe_result_type",
		`SELECT 'integer'::regtype::text`:                                 "",
		`SELECT $1::regtype`:                                              "no: unsafe_result_type",
		`SELECT email::regtype FROM users`:                                "no: unsafe_cast",
		`SELECT sm::int::regtype FROM users`:                              "no: unsafe_result_type",
		`SELECT to_regtype('mood')`:                                       "no: stable_function",
		`SELECT format_type(sm::oid, NULL) FROM users`:                    "no: stable_function",
		`SELECT t FROM (SELECT pg_typeof(id) AS t FROM users OFFSET 0) s`: "no: unsafe_result_type",
		`SELECT array_agg(pg_typeof(id)) FROM users`:                      "no: unsafe_result_type",
	})
}
