package wire

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/loadtest/mutant"
	"github.com/freshet/freshet/loadtest/servers"
)

const catalogReadsSchema = itemSchema + `
CREATE SCHEMA app;
DO $$ BEGIN CREATE ROLE catalog_owner; EXCEPTION WHEN OTHERS THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE catalog_heir; EXCEPTION WHEN OTHERS THEN NULL; END $$;`

// catalogReads are statements by which drivers read catalogs: here about circle (718) and its array
// (719), types of Postgres' own that no table of the schema uses, and about two schemas.
var catalogReads = []step{
	query("SELECT TYPNAME FROM PG_TYPE WHERE OID=718"),
	query("SELECT oid, typname, oid::pg_catalog.regtype, typlen, typtype, typcategory, typdelim, typrelid FROM pg_catalog.pg_type WHERE oid OPERATOR(pg_catalog.=) 718::pg_catalog.regtype"),
	synced(msgParse("", "SELECT n.nspname, t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid WHERE t.oid = $1"), msgBind("", "718"), msgDescribe('P', ""), msgExecute("", 0)),
	synced(msgParse("", "SELECT e.typname FROM pg_catalog.pg_type t, pg_catalog.pg_type e WHERE t.oid = $1 AND t.typelem = e.oid"), msgBind("", "719"), msgDescribe('P', ""), msgExecute("", 0)),
	query("SELECT nspname FROM pg_namespace WHERE nspname = 'app'"),
	query("SELECT nspname FROM pg_namespace WHERE nspname = 'moved'"),
}

// Reads of catalogs about Postgres' own types are answered from the cache, and byte for byte as
// Postgres answers them, whatever other sessions define: also where no event reports a change.
func TestCase48CatalogsFollowDefinitions(t *testing.T) {
	t.Parallel()
	bed := newRolesTestbed(t, catalogReadsSchema)
	s := bed.sidecar()
	through, direct, other := dialRaw(t, s.dsn()), dialRaw(t, bed.postgres.DSN(bed.database)), bed.connect(bed.postgres.DSN(bed.database))
	same := func(why string, reads ...step) {
		t.Helper()
		wantSame(t, why, through, direct, reads...)
	}
	warm := func(why string) {
		t.Helper()
		servers.Eventually(t, "nothing but hits behind "+why, func() bool {
			before := s.count(HitL1)
			same("warm, "+why, catalogReads...)
			return s.count(HitL1)-before == uint64(len(catalogReads))
		})
	}
	owner := query("SELECT typowner::int8 FROM pg_type WHERE oid = 718")
	for _, ddl := range []string{
		"SELECT 1",
		"ALTER TYPE pg_catalog.circle RENAME TO ring",
		"CREATE TYPE app.circle AS ENUM ('x')",
		"ALTER TYPE pg_catalog.ring SET SCHEMA app",
		"ALTER SCHEMA app RENAME TO moved",
		"BEGIN; ALTER TYPE moved.ring RENAME TO round; ALTER TYPE moved.round SET SCHEMA pg_catalog; COMMIT",
		"DROP SCHEMA moved CASCADE; CREATE SCHEMA app",
		"ALTER TYPE pg_catalog.round RENAME TO circle",
		"ALTER TYPE pg_catalog.circle OWNER TO catalog_owner",
		"REASSIGN OWNED BY catalog_owner TO catalog_heir",
		"ALTER TYPE pg_catalog.circle OWNER TO " + superuser,
		"VACUUM FULL pg_type",
		"REINDEX TABLE pg_type",
	} {
		for range 2 {
			same("before "+ddl, owner)
		}
		mustExec(t, other, ddl, pgx.QueryExecModeSimpleProtocol)
		s.received()
		same(ddl, append(catalogReads, owner)...)
		warm(ddl)
	}

	// A session does not see what another session has defined and not committed, and sees what it has
	// defined itself.
	mustExec(t, other, "BEGIN; ALTER TYPE pg_catalog.circle RENAME TO ring; CREATE SCHEMA moved", pgx.QueryExecModeSimpleProtocol)
	same("not committed", catalogReads...)
	mustExec(t, other, "ROLLBACK", pgx.QueryExecModeSimpleProtocol)
	through.ask(msgQuery("BEGIN"))
	through.ask(msgQuery("CREATE SCHEMA moved"))
	if got := through.ask(catalogReads[5].send); !bytes.Contains(got, []byte("moved")) {
		t.Errorf("want the schema moved, which the session has made; it reads\n%s", show(got))
	}
	through.ask(msgQuery("ROLLBACK"))
	same("rolled back", catalogReads...)

	// Temporary types of other sessions come and go without events.
	for range 2 {
		session := bed.connect(bed.postgres.DSN(bed.database))
		mustExec(t, session, "CREATE TYPE pg_temp.passing AS ENUM ('x'); CREATE TEMP TABLE circle (id int)", pgx.QueryExecModeSimpleProtocol)
		var oid uint32
		if err := session.QueryRow(t.Context(), "SELECT 'pg_temp.passing'::regtype::oid").Scan(&oid); err != nil {
			t.Fatal(err)
		}
		temporary := []step{
			query(fmt.Sprintf("SELECT typname FROM pg_type WHERE oid = %d", oid)),
			synced(msgParse("", "SELECT typname FROM pg_type WHERE oid = $1"), msgBind("", fmt.Sprint(oid)), msgDescribe('P', ""), msgExecute("", 0)),
		}
		for range 4 {
			same("a temporary type", append(temporary, catalogReads...)...)
		}
		session.Close(t.Context())
		servers.Eventually(t, "the temporary type to go", func() bool {
			var there bool
			err := other.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_type WHERE oid = $1)", oid).Scan(&there)
			return err == nil && !there
		})
		same("a session has ended", append(temporary, catalogReads...)...)
	}
}

// miscatalogued are sidecars that keep answers of catalogs whose changes no event reports.
var miscatalogued = []mutant.Named{
	{Name: "any object is taken for one of the cluster", Edits: []mutant.Edit{{
		File: "invalidation/analysis/catalogreads.go", As: mutant.Condition, Old: "err == nil && oid < firstUserOID", New: "err == nil",
	}}},
	{Name: "owners are read from the cache", Edits: []mutant.Edit{{
		File: "invalidation/analysis/catalogreads.go", As: mutant.Condition, Old: "!r.leavesOwners()", New: "false",
	}}},
}

func TestPlantedMistakesOfCatalogsAreFound(t *testing.T) {
	t.Parallel()
	allFound(t, miscatalogued, "TestCase48CatalogsFollowDefinitions")
}

// Where event triggers are missing, reads of catalogs pass through.
func TestCatalogsPassThroughWithoutEvents(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	bed.exec(withoutEvents)
	s := bed.sidecar(lazy)
	c := dialRaw(t, s.dsn())
	s.learnExtended(c)
	servers.Eventually(t, "the verdict on a catalog", func() bool {
		before := s.Report().Bypasses[string(analysis.ReasonCatalogTable)]
		c.ask(catalogReads[0].send)
		return s.Report().Bypasses[string(analysis.ReasonCatalogTable)] > before
	})
	hits := s.count(HitL1)
	for range 5 {
		c.ask(catalogReads[0].send)
	}
	if n := s.count(HitL1) - hits; n != 0 {
		t.Errorf("%d hits of a read of a catalog, want none", n)
	}
}
