package analysis

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// What sessions make in their temporary schemas goes when they end, with DISCARD, or ON COMMIT,
// and with it goes what depends on it, though that be permanent: a column of a temporary type, a
// table OF one, a view that names it, a policy. Of all these Postgres fires no event trigger, and
// of what somebody drops or alters in a temporary schema our triggers report nothing:
//
//  1. somebody gives a table a column of a type in pg_temp, which is reported;
//  2. a reader has SELECT * of the table loaded, behind that;
//  3. the session that made the type ends: the column is gone, and no event says so;
//  4. the answer of 2 would be served with the column, for ever.
//
// So nothing is cached that depends on a temporary object, at whatever distance. That something
// begins to depend on one is a definition of the permanent object, which is reported. What goes
// with a temporary schema Postgres finds in pg_depend, and so it is found here: from what a
// statement mentions, to what that depends on. (TestNothingOutlivesTemporaryObjects)

// object is a row of a catalog.
type object struct{ catalog, oid uint32 }

// Catalogs of what statements mention.
const (
	relationCatalog  = 1259
	functionCatalog  = 1255
	typeCatalog      = 1247
	collationCatalog = 3456
	operatorCatalog  = 2617
)

// passingSQL lists those of the objects ($1, $2) that a temporary schema takes along. Beside what
// pg_depend says, a composite type is what its columns are, a view what its rule says, and a table
// is read with what its policies ask for, its generated columns are made of, and its partitions and
// children hold. Temporary children are of one session, whose reads are its own.
const passingSQL = `
	WITH RECURSIVE rests(root_catalog, root, catalog, oid) AS (
		SELECT w.catalog, w.oid, w.catalog, w.oid FROM ROWS FROM (pg_catalog.unnest($1::oid[]), pg_catalog.unnest($2::oid[])) w(catalog, oid)
		UNION SELECT r.root_catalog, r.root, n.catalog, n.oid FROM rests r CROSS JOIN LATERAL (
			SELECT d.refclassid, d.refobjid FROM pg_catalog.pg_depend d WHERE d.classid = r.catalog AND d.objid = r.oid
			UNION ALL SELECT 1259, t.typrelid FROM pg_catalog.pg_type t WHERE r.catalog = 1247 AND t.oid = r.oid AND t.typrelid <> 0
			UNION ALL SELECT 2618, w.oid FROM pg_catalog.pg_rewrite w WHERE r.catalog = 1259 AND w.ev_class = r.oid
			UNION ALL SELECT 3256, p.oid FROM pg_catalog.pg_policy p WHERE r.catalog = 1259 AND p.polrelid = r.oid
			UNION ALL SELECT 2604, a.oid FROM pg_catalog.pg_attrdef a WHERE r.catalog = 1259 AND a.adrelid = r.oid
			UNION ALL SELECT 1259, i.inhrelid FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
				WHERE r.catalog = 1259 AND i.inhparent = r.oid AND c.relpersistence <> 't'
		) n(catalog, oid))
	SELECT r.root_catalog, r.root FROM rests r JOIN pg_catalog.pg_namespace n ON n.oid = r.oid
	WHERE r.catalog = 2615 AND pg_catalog.starts_with(n.nspname::text, 'pg_temp_')`

// checkPassing refuses what depends on temporary objects, of all that a statement mentions.
func (c *catalog) checkPassing(ctx context.Context, conn *pgx.Conn, wanted needs) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	mentioned := objects(wanted)
	if err := c.loadPassing(ctx, conn, mentioned); err != nil {
		return fmt.Errorf("read what depends on temporary objects: %w", err)
	}
	for _, o := range mentioned {
		if !c.passing[o] {
			continue
		}
		if r := c.relations[o.oid]; o.catalog == relationCatalog && r != nil {
			return refuse(ReasonTemporaryTable, r.schema+"."+r.name+" is of a session, or depends on what is")
		}
		return refuse(ReasonTemporaryTable, "a type or function of a session, or what depends on one")
	}
	return nil
}

// objects lists what a tree mentions of what users make.
func objects(n needs) (all []object) {
	for _, of := range [...]struct {
		catalog uint32
		oids    map[uint32]bool
	}{{relationCatalog, n.relations}, {typeCatalog, n.types}, {functionCatalog, n.functions}, {collationCatalog, n.collations}, {operatorCatalog, n.operators}} {
		for _, oid := range slices.Sorted(maps.Keys(of.oids)) {
			if oid >= firstUserOID {
				all = append(all, object{of.catalog, oid})
			}
		}
	}
	return all
}

// loadPassing asks of objects that were not asked for yet.
func (c *catalog) loadPassing(ctx context.Context, conn *pgx.Conn, all []object) error {
	var catalogs, oids []uint32
	for _, o := range all {
		if _, known := c.passing[o]; !known {
			catalogs, oids = append(catalogs, o.catalog), append(oids, o.oid)
		}
	}
	if len(oids) == 0 {
		return nil
	}
	rows, err := conn.Query(ctx, passingSQL, catalogs, oids)
	if err != nil {
		return err
	}
	passing := map[object]bool{}
	var o object
	if _, err = pgx.ForEachRow(rows, []any{&o.catalog, &o.oid}, func() error {
		passing[o] = true
		return nil
	}); err != nil {
		return err
	}
	for i, oid := range oids {
		o := object{catalogs[i], oid}
		c.passing[o] = passing[o]
	}
	return nil
}
