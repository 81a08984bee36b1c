package analysis

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// writtenMax bounds the tables that a statement may write to, with all their partitions
// and cascades, or read. A statement with more has no Effect known.
const writtenMax = 256

// table is what the catalogs say of what runs when a table is written to or planned with.
type table struct {
	schema, kind, persistence string
	// fires is by what it has triggers set off that are not the server's own, nor Freshet's;
	// captured is set if it has some of Freshet's.
	fires    changes
	captured bool
	// rules is set if it has rules for writing, secured if it has row security, foreign
	// if its rows are stored by code that came with an extension.
	rules, secured, foreign bool
	// operators is set if a constraint compares with operators that users made.
	operators bool
	support   []uint32 // as in relation
	// expressions are those of checks, generated columns, indexes and partition keys, as
	// trees; defaults are those of columns.
	expressions, defaults []string
	types                 []uint32 // of its columns
	kin                   []uint32 // parents and children
	references            []reference
}

// reference is a foreign key of another table to this one, with what is done there when
// a row is deleted here, or its key updated: c for a cascade, n and d for NULL and the
// default.
type reference struct {
	from               uint32
	onDelete, onUpdate string
}

// tablesSQL reads them. The server's own triggers are those of foreign keys, and of
// constraints that are checked late: they call what the constraint names.
const tablesSQL = `
	SELECT c.oid, n.nspname::text, c.relkind::text, c.relpersistence::text,
	       (SELECT coalesce(bit_or((t.tgtype & 4) / 4 + (t.tgtype & 16) / 8 + (t.tgtype & 8) / 2), 0) FROM pg_catalog.pg_trigger t
	        WHERE t.tgrelid = c.oid AND NOT (t.tgisinternal AND t.tgfoid < 16384) AND NOT ` + oursSQL + `),
	       EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND ` + oursSQL + `),
	       EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1'),
	       c.relrowsecurity,
	       c.relkind = 'f' OR c.relam >= 16384,
	       EXISTS (SELECT FROM pg_catalog.pg_constraint k
	               CROSS JOIN LATERAL pg_catalog.unnest(k.conpfeqop || k.conppeqop || k.conffeqop || k.conexclop) o(oid)
	               WHERE c.oid IN (k.conrelid, k.confrelid) AND o.oid >= 16384),` + supportSQL + `,
	       ARRAY(SELECT k.conbin::text FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.conbin IS NOT NULL
	             UNION ALL SELECT d.adbin::text FROM pg_catalog.pg_attrdef d
	             JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
	             WHERE d.adrelid = c.oid AND a.attgenerated <> ''
	             UNION ALL SELECT x.indexprs::text FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid AND x.indexprs IS NOT NULL
	             UNION ALL SELECT x.indpred::text FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid AND x.indpred IS NOT NULL
	             UNION ALL SELECT k.partexprs::text FROM pg_catalog.pg_partitioned_table k
	             WHERE k.partrelid = c.oid AND k.partexprs IS NOT NULL),
	       ARRAY(SELECT d.adbin::text FROM pg_catalog.pg_attrdef d WHERE d.adrelid = c.oid),
	       ARRAY(SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
	       ARRAY(SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid
	             UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid),
	       ARRAY(SELECT k.conrelid FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid = c.oid ORDER BY k.oid),
	       ARRAY(SELECT k.confdeltype::text FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid = c.oid ORDER BY k.oid),
	       ARRAY(SELECT k.confupdtype::text FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid = c.oid ORDER BY k.oid)
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE c.oid = ANY ($1)`

// oursSQL tells whether a trigger t is one of Freshet's. That it does no more than it
// should is verified where the table is watched.
const oursSQL = `
	(pg_catalog.starts_with(t.tgname::text, 'zz_freshet_') AND EXISTS (
		SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace s ON s.oid = p.pronamespace
		WHERE p.oid = t.tgfoid AND s.nspname = 'freshet'))`

// loadTables reads what is missing of tables; one that the server does not know stays
// missing.
func (c *catalog) loadTables(ctx context.Context, conn *pgx.Conn, oids []uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := map[uint32]bool{}
	for _, oid := range oids {
		wanted[oid] = true
	}
	if oids = missing(c.tables, wanted); len(oids) == 0 {
		return nil
	}
	rows, err := conn.Query(ctx, tablesSQL, oids)
	if err != nil {
		return fmt.Errorf("read tables: %w", err)
	}
	var (
		oid                uint32
		t                  table
		from               []uint32
		onDelete, onUpdate []string
	)
	_, err = pgx.ForEachRow(rows, []any{&oid, &t.schema, &t.kind, &t.persistence, &t.fires, &t.captured, &t.rules, &t.secured,
		&t.foreign, &t.operators, &t.support, &t.expressions, &t.defaults, &t.types, &t.kin, &from, &onDelete, &onUpdate},
		func() error {
			fresh := t
			fresh.support, fresh.types, fresh.kin = slices.Clone(t.support), slices.Clone(t.types), slices.Clone(t.kin)
			fresh.expressions, fresh.defaults = slices.Clone(t.expressions), slices.Clone(t.defaults)
			fresh.references = make([]reference, len(from))
			for i := range from {
				fresh.references[i] = reference{from[i], onDelete[i], onUpdate[i]}
			}
			c.tables[oid] = &fresh
			return nil
		})
	if err != nil {
		return fmt.Errorf("read tables: %w", err)
	}
	return nil
}

// table returns what was loaded of a table, or nil.
func (c *catalog) table(oid uint32) *table {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tables[oid]
}

// checksSQL reads the conditions of domains.
const checksSQL = `SELECT k.conbin::text FROM pg_catalog.pg_constraint k WHERE k.contypid = ANY ($1) AND k.conbin IS NOT NULL`

// reach adds to the tables that are written to those that the server writes to behind
// them: partitions, children, and what foreign keys lead to. defaulted are those in which
// columns may be given their defaults.
func (c *catalog) reach(ctx context.Context, conn *pgx.Conn, changed map[uint32]changes) (defaulted map[uint32]bool, err error) {
	defaulted = map[uint32]bool{}
	for again := true; again; {
		again = false
		if len(changed) > writtenMax {
			return nil, refuse(ReasonTooComplex, "too many tables behind a write")
		}
		if err := c.loadTables(ctx, conn, slices.Collect(maps.Keys(changed))); err != nil {
			return nil, err
		}
		for oid, how := range maps.Clone(changed) {
			t := c.table(oid)
			if t == nil {
				return nil, refuse(ReasonUnknownNode, "a table that is gone")
			}
			if how&updates != 0 && len(t.kin) > 0 {
				how |= inserts | deletes // a row may move to another partition
				changed[oid] = how
			}
			for behind, does := range t.leadsTo(how) {
				defaulted[behind] = defaulted[behind] || does.defaults
				if changed[behind]|does.changes != changed[behind] {
					changed[behind] |= does.changes
					again = true
				}
			}
		}
	}
	return defaulted, nil
}

// consequence is what the server does to another table.
type consequence struct {
	changes  changes
	defaults bool
}

// leadsTo lists what the server does elsewhere when a table is changed.
func (t *table) leadsTo(how changes) map[uint32]consequence {
	all := map[uint32]consequence{}
	add := func(oid uint32, does consequence) {
		have := all[oid]
		all[oid] = consequence{have.changes | does.changes, have.defaults || does.defaults}
	}
	for _, oid := range t.kin {
		add(oid, consequence{changes: how})
	}
	for _, r := range t.references {
		if how&deletes != 0 {
			switch r.onDelete {
			case "c":
				add(r.from, consequence{changes: deletes})
			case "n", "d":
				add(r.from, consequence{updates, r.onDelete == "d"})
			}
		}
		if how&updates != 0 {
			switch r.onUpdate {
			case "c", "n", "d":
				add(r.from, consequence{updates, r.onUpdate == "d"})
			}
		}
	}
	return all
}
