package wire

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/loadtest/mutant"
	"github.com/freshet/freshet/loadtest/servers"
)

// passingTables are permanent tables. passingObjects are temporary objects of a session, and what
// depends on them: columns and a partition of those tables, a table and a view. All of them go when
// the session ends.
const (
	passingTables = itemSchema + `
CREATE TABLE by_type (id int PRIMARY KEY); CREATE TABLE by_domain (id int PRIMARY KEY); CREATE TABLE by_collation (id int PRIMARY KEY);
CREATE TABLE by_function (id int PRIMARY KEY); CREATE TABLE by_part (id int) PARTITION BY LIST (id);
CREATE TABLE by_part_1 PARTITION OF by_part FOR VALUES IN (1);
INSERT INTO by_type VALUES (1); INSERT INTO by_domain VALUES (1); INSERT INTO by_collation VALUES (1); INSERT INTO by_function VALUES (1); INSERT INTO by_part VALUES (1);`
	passingObjects = `
CREATE TYPE pg_temp.mood AS ENUM ('low', 'high'); CREATE TYPE pg_temp.pair AS (a int, b int); CREATE DOMAIN feeling AS pg_temp.mood;
CREATE COLLATION pg_temp.plain (LOCALE = 'C'); CREATE FUNCTION pg_temp.twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
ALTER TABLE by_type ADD COLUMN m pg_temp.mood DEFAULT 'low'; ALTER TABLE by_domain ADD COLUMN m feeling DEFAULT 'low';
ALTER TABLE by_collation ADD COLUMN m text COLLATE pg_temp.plain DEFAULT 'x';
ALTER TABLE by_function ADD COLUMN m int GENERATED ALWAYS AS (pg_temp.twice(id)) STORED;
CREATE TABLE by_part_2 PARTITION OF by_part FOR VALUES IN (2) PARTITION BY LIST (pg_temp.twice(id));
CREATE TABLE by_part_4 PARTITION OF by_part_2 DEFAULT; INSERT INTO by_part VALUES (2);
CREATE TABLE typed OF pg_temp.pair; INSERT INTO typed VALUES (1, 2);
CREATE VIEW named AS SELECT id, 'low'::pg_temp.mood::text AS m FROM item WHERE id = 7;`
)

// passingReads lose a column, a row, their table or their view when passingObjects go.
var passingReads = []step{
	query("SELECT * FROM by_type"), query("SELECT * FROM by_domain"), query("SELECT * FROM by_collation"), query("SELECT * FROM by_function"),
	query("SELECT id FROM by_part ORDER BY id"), query("SELECT a FROM typed"), query("SELECT id FROM named"),
}

// When the temporary objects of a session go, what depends on them goes too, and no event reports
// it. So nothing that depends on a temporary object is answered from the cache.
func TestNothingOutlivesTemporaryObjects(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, passingTables)
	s := bed.sidecar(patient)
	through, direct := dialRaw(t, s.dsn()), dialRaw(t, bed.postgres.DSN(bed.database))
	same := func(why string, reads ...step) {
		t.Helper()
		wantSame(t, why, through, direct, reads...)
	}
	// settled waits until done counts each of the reads.
	settled := func(why string, done func() uint64, reads ...step) {
		t.Helper()
		servers.Eventually(t, why, func() bool {
			before := done()
			same(why, reads...)
			return done()-before == uint64(len(reads))
		})
	}
	hits := func() uint64 { return s.count(HitL1) }
	before := passingReads[:5] // whose tables are there before passingObjects, and behind them
	settled("nothing but hits before", hits, before...)

	maker := bed.connect(bed.postgres.DSN(bed.database))
	mustExec(t, maker, passingObjects, pgx.QueryExecModeSimpleProtocol)
	if _, err := invalidation.Install(context.Background(), bed.direct, invalidation.Options{Watch: []string{"public.*"}, FollowerRoles: []string{servers.Follower}}); err != nil {
		t.Fatal(err)
	}
	s.received()
	same("behind passingObjects", passingReads...)
	settled("verdicts on what depends on temporary objects", func() uint64 {
		return hits() + s.Report().Bypasses[string(analysis.ReasonTemporaryTable)]
	}, passingReads...)

	if err := maker.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "the temporary objects to go", func() bool {
		var there bool
		err := bed.direct.QueryRow(context.Background(), "SELECT EXISTS (SELECT FROM pg_type WHERE typname IN ('mood', 'pair'))").Scan(&there)
		return err == nil && !there
	})
	s.received()
	same("the session has ended", passingReads...)
	bed.exec("CREATE TABLE defined_later ()") // and so all is judged anew
	s.received()
	settled("nothing but hits behind", hits, before...)
}

// outliving are planted mistakes: sidecars that keep answers which depend on temporary objects.
var outliving = []mutant.Named{
	{Name: "what depends on temporary objects is cached", Edits: []mutant.Edit{{
		File: "invalidation/analysis/passing.go", As: mutant.Condition, Old: "!c.passing[o]", New: "true",
	}}},
	{Name: "only what has a temporary type itself is left out", Edits: []mutant.Edit{{
		File: "invalidation/analysis/passing.go", As: mutant.Switching,
		Old: "conn.Query(ctx, passingSQL,",
		New: "conn.Query(ctx, map[bool]string{false: passingSQL, true: `" + directSQL + "`}[mutantIs(\"only what has a temporary type itself is left out\")],",
	}}},
}

// directSQL takes the place of passingSQL in a mutant: it finds what depends on a temporary type
// directly, and nothing else.
const directSQL = `
	SELECT w.catalog, w.oid FROM ROWS FROM (pg_catalog.unnest($1::oid[]), pg_catalog.unnest($2::oid[])) w(catalog, oid)
	JOIN pg_catalog.pg_depend d ON d.classid = w.catalog AND d.objid = w.oid AND d.refclassid = 1247
	JOIN pg_catalog.pg_type t ON t.oid = d.refobjid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
	WHERE pg_catalog.starts_with(n.nspname::text, 'pg_temp_')`

// TestNothingOutlivesTemporaryObjects fails with each mistake of outliving.
func TestPlantedCachingOfTemporaryObjectsIsFound(t *testing.T) {
	t.Parallel()
	allFound(t, outliving, "TestNothingOutlivesTemporaryObjects")
}
