package invalidation

import (
	"slices"
	"testing"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

func TestCommandsAreEvents(t *testing.T) {
	t.Parallel()
	const whole = fence.SchemaText
	db := newDatabase(t, shop, `
		CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM orders; CREATE UNIQUE INDEX ON totals (n);
		CREATE VIEW v AS SELECT 1 AS one; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
		CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
		CREATE TYPE mood AS ENUM ('sad')`)
	db.install("public.*")
	none := fence.RelationSchemaText(0) // no table has this one
	relation := func(name string) string { return fence.RelationSchemaText(db.oid(name)) }
	totals := db.oid("totals")
	cases := []struct {
		statement string
		want      []string // the distinct tags, sorted
	}{
		{"ALTER TABLE users ADD x int", []string{whole}},
		{"ALTER TABLE users DISABLE TRIGGER ALL", []string{whole}},
		{"ALTER TABLE users ENABLE ROW LEVEL SECURITY", []string{whole}},
		{"ALTER TABLE users FORCE ROW LEVEL SECURITY", []string{whole}},
		{"ALTER TABLE users OWNER TO pg_monitor", []string{whole}},
		{"ALTER VIEW v OWNER TO pg_monitor", []string{whole}},
		{"ALTER VIEW v SET (security_barrier)", []string{whole}},
		{"CREATE POLICY p ON users USING (true)", []string{whole}},
		{"CREATE OR REPLACE VIEW v AS SELECT 2 AS one", []string{whole}},
		{"CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'", []string{whole}},
		{"ALTER FUNCTION f() STABLE", []string{whole}},
		{"ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'", []string{whole}},
		{"GRANT SELECT ON users TO PUBLIC", []string{none}},
		{"GRANT SELECT (id) ON users TO PUBLIC", []string{none}},
		{"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO PUBLIC", []string{none}},
		{"REVOKE USAGE ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC", []string{none}},
		{"ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM PUBLIC", []string{none}},
		{"GRANT USAGE ON SCHEMA public TO PUBLIC", []string{whole}},
		{"GRANT EXECUTE ON FUNCTION f() TO PUBLIC", []string{whole}},
		{"REVOKE SELECT ON users FROM PUBLIC", []string{none, relation("users")}},
		{"REVOKE SELECT (name) ON users FROM PUBLIC", []string{none, whole}}, // nobody had it
		{"GRANT SELECT (name) ON users TO PUBLIC; REVOKE SELECT (name) ON users FROM PUBLIC", []string{none, relation("users")}},
		{"REVOKE SELECT ON parted_leaf, kid FROM PUBLIC", []string{none, relation("base"), relation("kid"), relation("parted"), relation("parted_leaf")}},
		{"REVOKE SELECT ON v FROM PUBLIC", []string{none, whole}},
		{"REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC", []string{whole}},
		{"DO $$ BEGIN BEGIN REVOKE SELECT ON users FROM PUBLIC; EXCEPTION WHEN OTHERS THEN NULL; END; END $$", []string{none, relation("users")}},
		{"CREATE SCHEMA s", []string{whole}},
		{"DROP VIEW v", []string{whole}},
		{"DROP FUNCTION f", []string{whole}},
		{"DROP TRIGGER zz_freshet_insert ON users", []string{whole}},
		{"CREATE TABLE fresh AS SELECT 1", []string{whole}},
		{"CREATE INDEX ON users (name)", []string{relation("users")}},
		{"CREATE INDEX ON parted_leaf (k)", []string{relation("parted")}},
		{"CREATE TRIGGER q AFTER INSERT ON kid EXECUTE FUNCTION quiet()", []string{relation("base")}},
		{"CREATE STATISTICS st ON id, email FROM users", []string{relation("users")}},
		{"COMMENT ON COLUMN users.name IS 'x'", []string{relation("users")}},
		{"COMMENT ON FUNCTION f() IS 'x'", nil},
		{"REFRESH MATERIALIZED VIEW totals", []string{fence.TableText(totals), fence.WholesaleText(totals), relation("totals")}},
		{"REFRESH MATERIALIZED VIEW CONCURRENTLY totals", []string{fence.TableText(totals), fence.WholesaleText(totals), relation("totals")}},
		{"SET LOCAL session_replication_role = replica; ALTER TABLE users ADD x int", []string{whole}},
		{"CREATE TEMP TABLE t (a int PRIMARY KEY, b text); CREATE INDEX ON t (b); ALTER TABLE t ADD c int; DROP TABLE t", nil},
		{"CREATE TEMP TABLE t (a int); CREATE TEMP TABLE IF NOT EXISTS t (a int); CREATE TEMP VIEW tv AS SELECT * FROM t; TRUNCATE t", nil},
		{"CREATE TABLE IF NOT EXISTS users (a int)", nil},
		{"ANALYZE users", nil},
	}
	for _, c := range cases {
		t.Run(c.statement, func(t *testing.T) {
			in := *db
			in.t = t
			got := slices.Concat(in.outboxTags(c.statement)...)
			slices.Sort(got)
			got = slices.Compact(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("tags %q, want %q", got, c.want)
			}
		})
	}
}

// DETACH CONCURRENTLY hides the rows in its first transaction and ends in its
// second; an open reader makes it wait in between.
func TestCase18DetachConcurrentlyIsAnEventWhenRowsVanish(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	db.run("DROP TABLE parted_high")
	db.install("public.*")
	before := db.value("SELECT count(*) FROM freshet.outbox")
	reader := db.connect()
	runOn(t, reader, "BEGIN", "SELECT FROM parted")
	detacher := db.connect()
	done := make(chan error, 1)
	go func() {
		_, err := detacher.Exec(t.Context(), "ALTER TABLE parted DETACH PARTITION parted_low CONCURRENTLY")
		done <- err
	}()
	servers.Eventually(t, "the rows vanish", func() bool { return db.value("SELECT count(*) FROM parted") == "0" })
	if db.value("SELECT count(*) FROM pg_inherits WHERE inhdetachpending") != "1" {
		t.Error("the command ended; nothing was tested")
	}
	if after := db.value("SELECT count(*) FROM freshet.outbox"); after == before {
		t.Error("rows vanished without an event")
	}
	runOn(t, reader, "COMMIT")
	if err := <-done; err != nil {
		t.Error(err)
	}
}
