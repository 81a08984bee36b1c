package analysis

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Function is what the operator vouches for about a function or an aggregate of
// the database: that its answer depends on nothing but its arguments, the tables
// named, the role, and settings that belong in a cache key; and that it changes
// nothing. Postgres can tell none of this from a function's body.
type Function struct {
	// Signature is schema.name(types), as regprocedure reads it; types of other
	// schemas than pg_catalog are written with theirs.
	Signature string
	// Tables are schema.table, as regclass reads it, of everything it reads, itself
	// or through others: tables, not views. Empty: none.
	Tables []string
	// Settings are those of the application's own that it reads, such as app.tenant.
	Settings []string
}

// signatureForm keeps out names that would be looked for in a search_path.
var signatureForm = regexp.MustCompile(`^\s*("[^"]+"|[^."()\s]+)\.("[^"]+"|[^."()]+)\(.*\)\s*$`)

// declaration is a Function of which the catalog knows the OIDs.
type declaration struct {
	tables []uint32 // 0 for one that is not there
	names  []string
	// settings are what it reads of the application's own.
	settings []string
}

// resolveSQL reads names under a search_path in which nobody can hide a type.
const resolveSQL = `WITH here AS MATERIALIZED (SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true))
	SELECT coalesce(pg_catalog.to_regprocedure($1)::pg_catalog.oid, 0),
	       ARRAY(SELECT coalesce(pg_catalog.to_regclass(t)::pg_catalog.oid, 0) FROM pg_catalog.unnest($2::pg_catalog.text[]) WITH ORDINALITY u(t, n) ORDER BY n)
	FROM here`

// CheckFunctions returns an error for a signature that cannot be one.
func CheckFunctions(functions []Function) error {
	for _, f := range functions {
		if !signatureForm.MatchString(f.Signature) {
			return fmt.Errorf("function %q is not of the form schema.name(types)", f.Signature)
		}
	}
	return nil
}

// loadDeclared finds the declared functions, once in a generation. One that is
// not there, or whose types are not, stays what it was: not understood.
func (c *catalog) loadDeclared(ctx context.Context, conn *pgx.Conn) error {
	if c.declared != nil {
		return nil
	}
	declared, wanted := map[uint32]*declaration{}, map[uint32]bool{}
	for _, f := range c.functionsDeclared {
		var oid uint32
		d := &declaration{names: f.Tables, settings: f.Settings}
		tables := f.Tables
		if tables == nil {
			tables = []string{}
		}
		err := conn.QueryRow(ctx, resolveSQL, f.Signature, tables).Scan(&oid, &d.tables)
		if _, refused := errors.AsType[*pgconn.PgError](err); refused && serverSaid(err) != err {
			continue
		}
		if err != nil {
			return fmt.Errorf("find %s: %w", f.Signature, err)
		}
		for _, t := range d.tables {
			wanted[t] = true
		}
		if oid >= firstUserOID { // what those of Postgres do is known
			declared[oid] = d
		}
	}
	if err := c.loadRelations(ctx, conn, missing(c.relations, wanted)); err != nil {
		return fmt.Errorf("read relations of functions: %w", err)
	}
	c.declared = declared
	return nil
}

// declaration returns what is declared about a function, or nil.
func (c *catalog) declaration(oid uint32) *declaration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.declared[oid]
}

// vouched notes the tables of a declared function, which must be watched like
// those of the statement. It reports false if the function is not declared.
func (s *statement) vouched(oid uint32) bool {
	d := s.catalog.declaration(oid)
	if d == nil {
		return false
	}
	s.declares = true
	for i, table := range d.tables {
		if table == 0 {
			panic(refuse(ReasonUnwatchedTable, d.names[i]))
		}
		s.checkRelation(table)
		if r := s.catalog.relation(table); r.rowSecurity {
			panic(refuse(ReasonRowSecurity, r.schema+"."+r.name+" is read by a function"))
		}
		s.vouchedTables = append(s.vouchedTables, table)
	}
	for _, name := range d.settings {
		if !s.request.Keyed || !s.keySetting(name) {
			panic(refuse(ReasonSettingDependent, name+", which a function reads"))
		}
	}
	return true
}
