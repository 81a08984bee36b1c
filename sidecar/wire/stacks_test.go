package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/loadtest/servers"
)

// stacksSchema is of applications that name their user to Postgres: to policies, or alone.
const stacksSchema = `
CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE authenticator LOGIN NOINHERIT IN ROLE anon, authenticated; CREATE ROLE app LOGIN;
CREATE SCHEMA auth; GRANT USAGE ON SCHEMA auth, public TO PUBLIC;
CREATE FUNCTION auth.uid() RETURNS text STABLE LANGUAGE sql AS $$ SELECT coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''), nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub') $$;
CREATE TABLE plain (id int PRIMARY KEY, name text); INSERT INTO plain SELECT i, 'name ' || i FROM generate_series(1, 9) i;
CREATE TABLE todo (id int PRIMARY KEY, user_id text, title text); INSERT INTO todo SELECT i, (i % 2)::text, 'title ' || i FROM generate_series(1, 9) i;
CREATE TABLE account (id int PRIMARY KEY, tenant int, name text); INSERT INTO account SELECT i, i % 2, 'account ' || i FROM generate_series(1, 9) i;
ALTER TABLE todo ENABLE ROW LEVEL SECURITY; ALTER TABLE account ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON todo FOR ALL TO authenticated USING ((SELECT auth.uid()) = user_id);
CREATE POLICY tenant ON account USING (tenant = nullif(current_setting('app.current_tenant', true), '')::int);
GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;`

// postgrest is the statement that PostgREST makes of a GET of a table.
func postgrest(table string) string {
	return `WITH pgrst_source AS ( SELECT "public"."` + table + `".* FROM "public"."` + table + `" WHERE "public"."` + table + `"."id" = $1 )
	SELECT null::bigint AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, coalesce(json_agg(_postgrest_t), '[]') AS body,
	nullif(current_setting('response.headers', true), '') AS response_headers, nullif(current_setting('response.status', true), '') AS response_status, '' AS response_inserted
	FROM ( SELECT * FROM pgrst_source ) _postgrest_t`
}

// said is a statement of an application, with its parameters.
type said struct {
	sql  string
	args []any
}

// stacks are the requests of applications, each with one read, for one of two users.
var stacks = []struct {
	name, role string
	mode       pgx.QueryExecMode
	request    func(user int) []said
}{
	{"PostgREST", "authenticator", pgx.QueryExecModeCacheStatement, func(user int) []said { return asPostgREST(user, "anon", "plain") }},
	{"Supabase: PostgREST, policies with auth.uid()", "authenticator", pgx.QueryExecModeCacheStatement, func(user int) []said { return asPostgREST(user, "authenticated", "todo") }},
	{"Hasura", "app", pgx.QueryExecModeCacheStatement, func(user int) []said {
		return []said{{sql: "BEGIN"}, {sql: fmt.Sprintf(`SET LOCAL "hasura.user" = '{"x-hasura-role":"user","x-hasura-user-id":"%d"}'`, user)},
			{`SELECT coalesce(json_agg(row_to_json(x)), '[]') AS root FROM (SELECT id, name FROM plain WHERE id = $1) x`, []any{3}}, {sql: "COMMIT"}}
	}},
	{"Rails: a limit for each transaction", "app", pgx.QueryExecModeExec, func(int) []said {
		return []said{{sql: "BEGIN"}, {sql: "SET LOCAL statement_timeout = 5000"}, {`SELECT "plain".* FROM "plain" WHERE "plain"."id" = $1 LIMIT $2`, []any{3, 1}}, {sql: "COMMIT"}}
	}},
	{"Rails: policies by tenant", "app", pgx.QueryExecModeExec, func(user int) []said {
		return []said{{sql: "BEGIN"}, {sql: fmt.Sprintf("SET LOCAL app.current_tenant = '%d'", user)}, {`SELECT "account".* FROM "account" WHERE "account"."id" = $1 LIMIT $2`, []any{3, 1}}, {sql: "COMMIT"}}
	}},
	{"Laravel: policies by tenant, set for the session", "app", pgx.QueryExecModeSimpleProtocol, func(user int) []said {
		return []said{{sql: fmt.Sprintf("SET app.current_tenant = '%d'", user)}, {sql: `select * from "account" where "id" = 3 limit 1`}}
	}},
	{"Django: ATOMIC_REQUESTS", "app", pgx.QueryExecModeSimpleProtocol, func(int) []said {
		return []said{{sql: "BEGIN"}, {sql: `SELECT "plain"."id", "plain"."name" FROM "plain" WHERE "plain"."id" = 3 LIMIT 21`}, {sql: "COMMIT"}}
	}},
	{"Prisma: interactive transactions, policies by tenant", "app", pgx.QueryExecModeCacheStatement, func(user int) []said {
		return []said{{sql: "BEGIN"}, {"SELECT set_config('app.current_tenant', $1, TRUE)", []any{fmt.Sprint(user)}},
			{`SELECT "public"."account"."id", "public"."account"."name" FROM "public"."account" WHERE ("public"."account"."id" = $1 AND 1=1) LIMIT $2 OFFSET $3`, []any{3, 1, 0}}, {sql: "COMMIT"}}
	}},
}

func asPostgREST(user int, role, table string) []said {
	return []said{
		{sql: "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"},
		{`select set_config('search_path', $1, true), set_config($2, $3, true), set_config('role', $4, true), set_config('request.jwt.claims', $5, true), set_config('request.method', $6, true), set_config('request.path', $7, true), set_config('request.headers', $8, true), set_config('request.cookies', $9, true)`,
			[]any{`"public", "public"`, "statement_timeout", "8s", role, fmt.Sprintf(`{"role":"%s","sub":"%d"}`, role, user), "GET", "/" + table, fmt.Sprintf(`{"user-agent":"client/%d"}`, user), "{}"}},
		{postgrest(table), []any{3}},
		{sql: "COMMIT"},
	}
}

// TestApplicationStacks: once warm, each request of each application is a hit, for two users
// in turn, and each is shown what Postgres shows.
func TestApplicationStacks(t *testing.T) {
	t.Parallel()
	b := newTestbedOn(t, servers.StartPostgres(t, servers.PostgresOptions{}), stacksSchema)
	b.exec("GRANT SELECT ON pg_authid TO " + servers.Follower + "; GRANT USAGE ON SCHEMA auth TO " + servers.Follower)
	s := b.sidecar(patient)
	if err := s.analyzer.SetFunctions([]analysis.Function{{Signature: "auth.uid()", Settings: []string{"request.jwt.claims", "request.jwt.claim.sub"}}}); err != nil {
		t.Fatal(err)
	}
	b.exec("COMMENT ON TABLE plain IS 'what is declared counts from now on'")
	s.received()
	for _, stack := range stacks {
		t.Run(stack.name, func(t *testing.T) {
			through, direct := b.connect(s.dsn()+" user="+stack.role), b.connect(b.postgres.DSN(b.database)+" user="+stack.role)
			play := func(conn *pgx.Conn, user int) (shown string) {
				t.Helper()
				for _, x := range stack.request(user) {
					if first := strings.ToUpper(strings.Fields(x.sql)[0]); first != "SELECT" && first != "WITH" {
						mustExec(t, conn, x.sql, pgx.QueryExecModeSimpleProtocol)
						continue
					}
					rows, _ := conn.Query(t.Context(), x.sql, append([]any{stack.mode}, x.args...)...)
					values, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) { return fmt.Sprintf("%q", row.RawValues()), nil })
					if err != nil {
						t.Fatalf("%s: %v", x.sql, err)
					}
					shown += fmt.Sprint(values)
				}
				return shown
			}
			const requests = 10
			servers.Eventually(t, "nothing but hits", func() bool {
				hits, opened := s.count(HitL1), s.Report().TransactionsOpened
				for i := range requests {
					if got, want := play(through, i%2), play(direct, i%2); got != want {
						t.Fatalf("user %d is shown\n%s, by Postgres\n%s", i%2, got, want)
					}
				}
				t.Logf("%d of %d reads are hits; passed through so far: %v", s.count(HitL1)-hits, requests, s.Report().Bypasses)
				return s.count(HitL1)-hits == requests && s.Report().TransactionsOpened == opened
			})
		})
	}
}
