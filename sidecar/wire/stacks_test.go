package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/loadtest/servers"
)

// stacksSchema holds the tables of the applications in stacks. Most of these tell Postgres who their
// user is: by the role, by settings that policies read, by the search_path or by a parameter.
const stacksSchema = `
CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE authenticator LOGIN NOINHERIT IN ROLE anon, authenticated; CREATE ROLE app LOGIN;
CREATE SCHEMA auth; GRANT USAGE ON SCHEMA auth, public TO PUBLIC;
CREATE FUNCTION auth.uid() RETURNS text STABLE LANGUAGE sql AS $$ SELECT coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''), nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub') $$;
CREATE TABLE plain (id int PRIMARY KEY, name text); INSERT INTO plain SELECT i, 'name ' || i FROM generate_series(1, 9) i;
CREATE TABLE todo (id int PRIMARY KEY, user_id text, title text); INSERT INTO todo SELECT i, (i % 2)::text, 'title ' || i FROM generate_series(1, 9) i;
CREATE TABLE account (id int PRIMARY KEY, tenant int, name text); INSERT INTO account SELECT i, i % 2, 'account ' || i FROM generate_series(1, 9) i;
CREATE TABLE post (id int PRIMARY KEY, tenant_id int, title text); INSERT INTO post SELECT i, i % 2, 'post ' || i FROM generate_series(1, 9) i;
CREATE TABLE project (id int PRIMARY KEY, "companyId" uuid, title text); INSERT INTO project SELECT i, ('00000000-0000-4000-8000-00000000000' || i % 2)::uuid, 'project ' || i FROM generate_series(1, 9) i;
CREATE SCHEMA tenant0; CREATE TABLE tenant0.item AS SELECT 3 AS id, 'of 0' AS name; CREATE SCHEMA tenant1; CREATE TABLE tenant1.item AS SELECT 3 AS id, 'of 1' AS name;
GRANT USAGE ON SCHEMA tenant0, tenant1 TO PUBLIC; GRANT SELECT ON tenant0.item, tenant1.item TO PUBLIC;
CREATE TABLE unfiltered AS TABLE todo;
ALTER TABLE post ENABLE ROW LEVEL SECURITY; ALTER TABLE project ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON post USING (tenant_id::text = current_setting('my.current_tenant'));
CREATE POLICY tenant ON project USING ("companyId" = current_setting('app.current_company_id', TRUE)::uuid);
CREATE POLICY bypass ON project USING (current_setting('app.bypass_rls', TRUE)::text = 'on');
ALTER TABLE todo ENABLE ROW LEVEL SECURITY; ALTER TABLE account ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON todo FOR ALL TO authenticated USING ((SELECT auth.uid()) = user_id);
CREATE POLICY tenant ON account USING (tenant = nullif(current_setting('app.current_tenant', true), '')::int);
GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;`

// postgrest is the statement that PostgREST sends for a GET of a row of a table.
func postgrest(table string) string {
	return `WITH pgrst_source AS ( SELECT "public"."` + table + `".* FROM "public"."` + table + `" WHERE "public"."` + table + `"."id" = $1 )
	SELECT null::bigint AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, coalesce(json_agg(_postgrest_t), '[]') AS body,
	nullif(current_setting('response.headers', true), '') AS response_headers, nullif(current_setting('response.status', true), '') AS response_status, '' AS response_inserted
	FROM ( SELECT * FROM pgrst_source ) _postgrest_t`
}

// appStatement is a statement of an application, with its parameters.
type appStatement struct {
	sql  string
	args []any
}

// springJDBC begins its transaction in the group of messages that the read comes in.
const springJDBC = "Spring over JDBC: autocommit off, read only"

// stacks are requests of applications, with one read each, for user 0 or 1.
var stacks = []struct {
	name, role string
	mode       pgx.QueryExecMode
	request    func(user int) []appStatement
}{
	{"PostgREST", "authenticator", pgx.QueryExecModeCacheStatement, func(user int) []appStatement { return asPostgREST(user, "anon", "plain") }},
	{"Supabase: PostgREST, policies with auth.uid()", "authenticator", pgx.QueryExecModeCacheStatement, func(user int) []appStatement { return asPostgREST(user, "authenticated", "todo") }},
	// Hasura sends a query as one statement outside of a transaction, with the user as a parameter.
	// It begins a transaction, with SET LOCAL "hasura.user", only for mutations.
	{"Hasura: a query", "app", pgx.QueryExecModeCacheStatement, func(user int) []appStatement {
		return []appStatement{{`SELECT coalesce(json_agg("root"), '[]') AS "root" FROM (SELECT row_to_json((SELECT "_e" FROM (SELECT "_root.base"."id" AS "id", "_root.base"."title" AS "title") AS "_e")) AS "root" FROM (SELECT * FROM "public"."unfiltered" WHERE (("public"."unfiltered"."user_id") = ($1::json->>'x-hasura-user-id')) AND ("public"."unfiltered"."id" = $2)) AS "_root.base") AS "_root"`,
			[]any{fmt.Sprintf(`{"x-hasura-role":"user","x-hasura-user-id":"%d"}`, user), 3}}}
	}},
	{"Rails: a limit for each transaction", "app", pgx.QueryExecModeExec, func(int) []appStatement {
		return []appStatement{{sql: "BEGIN"}, {sql: "SET LOCAL statement_timeout = 5000"}, {`SELECT "plain".* FROM "plain" WHERE "plain"."id" = $1 LIMIT $2`, []any{3, 1}}, {sql: "COMMIT"}}
	}},
	{"Rails: policies by tenant", "app", pgx.QueryExecModeExec, func(user int) []appStatement {
		return []appStatement{{sql: "BEGIN"}, {sql: fmt.Sprintf("SET LOCAL app.current_tenant = '%d'", user)}, {`SELECT "account".* FROM "account" WHERE "account"."id" = $1 LIMIT $2`, []any{3, 1}}, {sql: "COMMIT"}}
	}},
	{"policies by tenant, and a date that a setting may touch", "app", pgx.QueryExecModeCacheStatement, func(user int) []appStatement {
		return []appStatement{{sql: "BEGIN"}, {sql: fmt.Sprintf("SET LOCAL app.current_tenant = '%d'", user)}, {`SELECT name FROM account WHERE id = $1 AND DATE '2024-01-02' > '2024-01-01'`, []any{3}}, {sql: "COMMIT"}}
	}},
	{"Rails: a schema for each tenant", "app", pgx.QueryExecModeExec, func(user int) []appStatement {
		return []appStatement{{sql: fmt.Sprintf(`SET search_path TO "tenant%d", "public"`, user)}, {`SELECT "item".* FROM "item" WHERE "item"."id" = $1 LIMIT $2`, []any{3, 1}}, {sql: `SET search_path TO "public"`}}
	}},
	{"Laravel: policies by tenant, set for the session and reset", "app", pgx.QueryExecModeSimpleProtocol, func(user int) []appStatement {
		return []appStatement{{sql: fmt.Sprintf("SET my.current_tenant = '%d'", user)}, {sql: `select * from "post" where "id" = 3 limit 1`}, {sql: "RESET my.current_tenant"}}
	}},
	{"Django: ATOMIC_REQUESTS", "app", pgx.QueryExecModeSimpleProtocol, func(int) []appStatement {
		return []appStatement{{sql: "BEGIN"}, {sql: `SELECT "plain"."id", "plain"."name" FROM "plain" WHERE "plain"."id" = 3 LIMIT 21`}, {sql: "COMMIT"}}
	}},
	{"Prisma: an interactive transaction", "app", pgx.QueryExecModeCacheStatement, func(int) []appStatement {
		return []appStatement{{sql: "BEGIN"}, {`SELECT "public"."plain"."id", "public"."plain"."name" FROM "public"."plain" WHERE ("public"."plain"."id" = $1 AND 1=1) LIMIT $2 OFFSET $3`, []any{3, 1, 0}}, {sql: "COMMIT"}}
	}},
	{springJDBC, "app", pgx.QueryExecModeExec, func(int) []appStatement {
		return []appStatement{{sql: "BEGIN READ ONLY"}, {"select p1_0.id,p1_0.name from plain p1_0 where p1_0.id=$1", []any{3}}, {sql: "COMMIT"}}
	}},
	{"Prisma: an extension that sets the tenant, policies by tenant", "app", pgx.QueryExecModeCacheStatement, func(user int) []appStatement {
		return []appStatement{{sql: "BEGIN"}, {"SELECT set_config('app.current_company_id', $1, TRUE)", []any{fmt.Sprintf("00000000-0000-4000-8000-00000000000%d", user)}},
			{`SELECT "public"."project"."id", "public"."project"."title" FROM "public"."project" WHERE ("public"."project"."id" = $1 AND 1=1) LIMIT $2 OFFSET $3`, []any{3, 1, 0}}, {sql: "COMMIT"}}
	}},
}

// asPostgREST is a request of PostgREST for a user: a transaction that begins with one statement for
// all settings.
func asPostgREST(user int, role, table string) []appStatement {
	return []appStatement{
		{sql: "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"},
		{`select set_config('search_path', $1, true), set_config($2, $3, true), set_config('role', $4, true), set_config('request.jwt.claims', $5, true), set_config('request.method', $6, true), set_config('request.path', $7, true), set_config('request.headers', $8, true), set_config('request.cookies', $9, true)`,
			[]any{`"public", "public"`, "statement_timeout", "8s", role, fmt.Sprintf(`{"role":"%s","sub":"%d"}`, role, user), "GET", "/" + table, fmt.Sprintf(`{"user-agent":"client/%d"}`, user), "{}"}},
		{postgrest(table), []any{3}},
		{sql: "COMMIT"},
	}
}

// TestRequestsOfApplicationStacksBecomeHits: once the cache is warm, the read of each request of each
// application is a hit, for two users in turn, and each answer is the one of Postgres.
func TestRequestsOfApplicationStacksBecomeHits(t *testing.T) {
	t.Parallel()
	b := newTestbedOn(t, servers.StartPostgres(t, servers.PostgresOptions{}), stacksSchema)
	b.exec("GRANT SELECT ON pg_authid TO " + servers.Follower + "; GRANT USAGE ON SCHEMA auth TO " + servers.Follower)
	if _, err := invalidation.Install(t.Context(), b.direct, invalidation.Options{Watch: []string{"tenant0.*", "tenant1.*"}, FollowerRoles: []string{servers.Follower}}); err != nil {
		t.Fatal(err)
	}
	s := b.sidecar(patient)
	if err := s.analyzer.SetFunctions([]analysis.Function{{Signature: "auth.uid()", Settings: []string{"request.jwt.claims", "request.jwt.claim.sub"}}}); err != nil {
		t.Fatal(err)
	}
	b.exec("COMMENT ON TABLE plain IS 'a change of the schema, so that the declaration of auth.uid() counts'")
	s.received()
	for _, stack := range stacks {
		t.Run(stack.name, func(t *testing.T) {
			through, direct := b.connect(s.dsn()+" default_query_exec_mode=exec user="+stack.role), b.connect(b.postgres.DSN(b.database)+" default_query_exec_mode=exec user="+stack.role)
			play := func(conn *pgx.Conn, user int) (shown string) {
				t.Helper()
				request, group := stack.request(user), &pgx.Batch{}
				if stack.name == springJDBC {
					group.Queue(request[0].sql)
					request = request[1:]
				}
				for _, x := range request {
					if first := strings.ToUpper(strings.Fields(x.sql)[0]); first != "SELECT" && first != "WITH" {
						mustExec(t, conn, x.sql, pgx.QueryExecModeSimpleProtocol)
						continue
					}
					var values []string
					read := func(rows pgx.Rows) (err error) {
						values, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) { return fmt.Sprintf("%q", row.RawValues()), nil })
						return err
					}
					var err error
					if group.Len() == 1 {
						group.Queue(x.sql, x.args...).Query(read)
						err = conn.SendBatch(t.Context(), group).Close()
					} else {
						rows, _ := conn.Query(t.Context(), x.sql, append([]any{stack.mode}, x.args...)...)
						err = read(rows)
					}
					if err != nil {
						t.Fatalf("%s: %v", x.sql, err)
					}
					shown += fmt.Sprint(values)
				}
				return shown
			}
			const requests = 10
			becomesHits := func(when string) {
				t.Helper()
				servers.Eventually(t, "nothing but hits "+when, func() bool {
					hits, opened := s.count(HitL1), s.Report().TransactionsOpened
					for i := range requests {
						if got, want := play(through, i%2), play(direct, i%2); got != want {
							t.Fatalf("user %d is shown\n%s, want as by Postgres\n%s", i%2, got, want)
						}
					}
					t.Logf("%d of %d reads are hits. So far: %s", s.count(HitL1)-hits, requests, s.became())
					return s.count(HitL1)-hits == requests && s.Report().TransactionsOpened == opened
				})
			}
			becomesHits("at first")
			b.exec("COMMENT ON TABLE plain IS 'the schema has changed, and every statement is to be understood anew'")
			s.received()
			becomesHits("behind a change of the schema")
		})
	}
}
