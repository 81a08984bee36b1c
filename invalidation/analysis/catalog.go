package analysis

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
)

// catalogRoundsMax bounds how deep types may be made of types.
const catalogRoundsMax = 8

// catalog remembers what the server's catalogs say about the OIDs met so far. It
// is valid for one generation of the schema: when the schema changes, it is
// thrown away, not mended. Its identity is the generation.
type catalog struct {
	mu         sync.Mutex
	relations  map[uint32]*relation
	tables     map[uint32]*table
	functions  map[uint32]*function
	types      map[uint32]*typeInfo
	collations map[uint32]bool     // deterministic?
	operators  map[uint32][]uint32 // of users: the functions behind each
	roles      map[uint32]*role
	conditions map[uint32][]condition // of the policies of tables
	passing    map[object]bool        // does it depend on a temporary object?
	views      map[uint32]*view       // that policies read
	// statistics says whether there is freshet.statistics and it may be called; nil until a
	// relation is loaded.
	statistics *bool
	// textSearch are the configurations of text search, conversions the functions of
	// users that convert encodings. Both are nil until they are needed.
	textSearch  *textSearch
	conversions []uint32
	// functionsDeclared are what the operator says; declared are those found, nil
	// until they were looked for.
	functionsDeclared []Function
	declared          map[uint32]*declaration
	// steadyRoles is Options.SteadyRoles.
	steadyRoles bool
}

type relation struct {
	schema, name string
	kind         string // relkind
	persistence  string
	owner        uint32
	rowSecurity  bool
	forced       bool // row security applies to the owner too
	columns      map[int]relationColumn
	support      []uint32 // functions of users that a plan may call to find its rows
}

type relationColumn struct {
	name      string
	typ       uint32 // 0 for a virtual generated column: triggers do not see its values
	generated bool
	// share is the estimated share of the rows that have one value of the column, set when the
	// relation is loaded: see loadShares.
	share float64
}

// typeInfo is what pg_type says, with what the type is made of: an array's
// element, a domain's base, a range's subtype, a composite's columns.
type typeInfo struct {
	oid   uint32
	name  string
	kind  string // typtype, or "a" for an array
	parts []uint32
	// extension is the one that made the type, or empty.
	extension string
	userCode
}

func newCatalog(declared []Function, steadyRoles bool) *catalog {
	return &catalog{
		functionsDeclared: declared, steadyRoles: steadyRoles,

		relations:  map[uint32]*relation{},
		tables:     map[uint32]*table{},
		functions:  map[uint32]*function{},
		types:      map[uint32]*typeInfo{},
		collations: map[uint32]bool{0: true},
		operators:  map[uint32][]uint32{},
		roles:      map[uint32]*role{},
		conditions: map[uint32][]condition{},
		passing:    map[object]bool{},
		views:      map[uint32]*view{},
	}
}

// needs are the OIDs a tree mentions.
type needs struct {
	relations, functions, types, collations, operators map[uint32]bool
}

func newNeeds() needs {
	return needs{map[uint32]bool{}, map[uint32]bool{}, map[uint32]bool{}, map[uint32]bool{}, map[uint32]bool{}}
}

// load reads what is missing. An OID the server does not know any more stays
// missing, and its use is refused.
func (c *catalog) load(ctx context.Context, conn *pgx.Conn, n needs) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := missing(c.relations, n.relations)
	if err := c.loadRelations(ctx, conn, fresh); err != nil {
		return fmt.Errorf("read relations: %w", err)
	}
	if err := c.loadShares(ctx, conn, fresh); err != nil {
		return fmt.Errorf("read statistics: %w", err)
	}
	if err := c.loadFunctions(ctx, conn, missing(c.functions, n.functions)); err != nil {
		return fmt.Errorf("read functions: %w", err)
	}
	if err := c.loadDeclared(ctx, conn); err != nil {
		return fmt.Errorf("find declared functions: %w", err)
	}
	if err := c.loadCollations(ctx, conn, missing(c.collations, n.collations)); err != nil {
		return fmt.Errorf("read collations: %w", err)
	}
	if err := c.loadOperators(ctx, conn, missing(c.operators, n.operators)); err != nil {
		return fmt.Errorf("read operators: %w", err)
	}
	c.addColumns(n)
	if err := c.loadMadeOf(ctx, conn, n.types); err != nil {
		return fmt.Errorf("read types: %w", err)
	}
	if err := c.loadLateBound(ctx, conn, n); err != nil {
		return fmt.Errorf("read what functions find: %w", err)
	}
	return nil
}

// addColumns adds the types that functions of users return in a record.
func (c *catalog) addColumns(n needs) {
	for oid := range n.functions {
		if f := c.functions[oid]; f != nil {
			for _, typ := range f.columns {
				n.types[typ] = true
			}
		}
	}
}

// loadMadeOf reads types and what they are made of.
func (c *catalog) loadMadeOf(ctx context.Context, conn *pgx.Conn, want map[uint32]bool) error {
	for range catalogRoundsMax {
		oids := missing(c.types, want)
		if len(oids) == 0 {
			return nil
		}
		if err := c.loadTypes(ctx, conn, oids); err != nil {
			return err
		}
		want = map[uint32]bool{}
		for _, oid := range oids {
			if t := c.types[oid]; t != nil {
				for _, p := range t.parts {
					want[p] = true
				}
			}
		}
	}
	return nil
}

func missing[V any](have map[uint32]V, want map[uint32]bool) []uint32 {
	var out []uint32
	for oid := range want {
		if _, ok := have[oid]; !ok && oid != 0 {
			out = append(out, oid)
		}
	}
	return out
}

func (c *catalog) loadRelations(ctx context.Context, conn *pgx.Conn, oids []uint32) error {
	if len(oids) == 0 {
		return nil
	}
	rows, err := conn.Query(ctx, `
		SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text,
		       c.relowner, c.relrowsecurity, c.relforcerowsecurity,`+supportSQL+`,
		       a.attnum::int4, a.attname::text,
		       CASE WHEN a.attgenerated <> 'v' THEN a.atttypid ELSE 0::oid END, a.attgenerated <> ''
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.oid = ANY ($1)`, oids)
	if err != nil {
		return err
	}
	var (
		oid       uint32
		r         relation
		number    *int
		column    *string
		typ       *uint32
		generated *bool
	)
	_, err = pgx.ForEachRow(rows, []any{&oid, &r.schema, &r.name, &r.kind, &r.persistence,
		&r.owner, &r.rowSecurity, &r.forced, &r.support, &number, &column, &typ, &generated},
		func() error {
			if c.relations[oid] == nil {
				fresh := r
				fresh.columns, fresh.support = map[int]relationColumn{}, slices.Clone(r.support)
				c.relations[oid] = &fresh
			}
			if number != nil {
				c.relations[oid].columns[*number] = relationColumn{*column, *typ, *generated, defaultShare}
			}
			return nil
		})
	return err
}

func (c *catalog) loadFunctions(ctx context.Context, conn *pgx.Conn, oids []uint32) error {
	if len(oids) == 0 {
		return nil
	}
	rows, err := conn.Query(ctx, `
		SELECT p.oid, n.nspname::text, p.proname::text, p.provolatile::text,
		       EXISTS (SELECT FROM pg_catalog.pg_type t
		               WHERE t.typtype = 'p' AND t.typname <> 'void' AND (t.oid = ANY (p.proargtypes) OR t.oid = p.prorettype)),
		       'regconfig'::pg_catalog.regtype = ANY (p.proargtypes),
		       CASE WHEN p.oid >= 16384 THEN p.proallargtypes END,
		       CASE WHEN p.oid >= 16384 THEN pg_catalog.regexp_replace(pg_catalog.oidvectortypes(p.proargtypes), '[^ ,]*[.]', '', 'g') ELSE '' END,`+functionExtensionSQL+`
		FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		WHERE p.oid = ANY ($1)`, oids)
	if err != nil {
		return err
	}
	var oid uint32
	var f function
	_, err = pgx.ForEachRow(rows, []any{&oid, &f.schema, &f.name, &f.volatility, &f.open, &f.configured, &f.columns, &f.arguments, &f.extension}, func() error {
		fresh := f
		fresh.columns = slices.Clone(f.columns)
		c.functions[oid] = &fresh
		return nil
	})
	return err
}

func (c *catalog) loadCollations(ctx context.Context, conn *pgx.Conn, oids []uint32) error {
	if len(oids) == 0 {
		return nil
	}
	rows, err := conn.Query(ctx, `
		SELECT oid, collisdeterministic FROM pg_catalog.pg_collation WHERE oid = ANY ($1)`, oids)
	if err != nil {
		return err
	}
	var oid uint32
	var deterministic bool
	_, err = pgx.ForEachRow(rows, []any{&oid, &deterministic}, func() error {
		c.collations[oid] = deterministic
		return nil
	})
	return err
}

func (c *catalog) loadTypes(ctx context.Context, conn *pgx.Conn, oids []uint32) error {
	rows, err := conn.Query(ctx, `
		SELECT t.oid, t.typname::text,
		       CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN 'a' ELSE t.typtype::text END,
		       CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN ARRAY[t.typelem]
		            WHEN t.typtype = 'd' THEN ARRAY[t.typbasetype]
		            WHEN t.typtype IN ('r', 'm') THEN ARRAY(
		                SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid))
		            WHEN t.typtype = 'c' THEN ARRAY(
		                SELECT a.atttypid FROM pg_catalog.pg_attribute a
		                WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
		            ELSE '{}' END, coalesce(`+memberSQL("pg_type", "t.oid")+`, ''),`+userCodeSQL+`
		FROM pg_catalog.pg_type t WHERE t.oid = ANY ($1)`, oids)
	if err != nil {
		return err
	}
	var oid uint32
	var t typeInfo
	_, err = pgx.ForEachRow(rows, []any{&oid, &t.name, &t.kind, &t.parts, &t.extension, &t.casts, &t.operators, &t.checked}, func() error {
		fresh := typeInfo{oid, t.name, t.kind, slices.Clone(t.parts), t.extension, userCode{slices.Clone(t.casts), slices.Clone(t.operators), t.checked}}
		c.types[oid] = &fresh
		return nil
	})
	return err
}

// relation returns what was loaded of a relation, or nil. load only ever adds, so
// this and its siblings need no more than the lock.
func (c *catalog) relation(oid uint32) *relation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.relations[oid]
}

func (c *catalog) function(oid uint32) *function {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.functions[oid]
}

func (c *catalog) deterministic(collation uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.collations[collation]
}

func (c *catalog) typeInfo(oid uint32) *typeInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.types[oid]
}

// printable tells whether a type's text depends on nothing but the value and
// keyed settings.
func (c *catalog) printable(oid uint32) bool {
	return c.madeOf(oid, catalogRoundsMax, typeQuestion{known: printable, through: []string{"a", "c", "d", "r", "m"}, printed: true})
}

// readable tells whether reading a type's text form never depends on the clock,
// a catalog, or a domain's constraint.
func (c *catalog) readable(oid uint32) bool {
	return c.madeOf(oid, catalogRoundsMax, typeQuestion{known: clockProof, through: []string{"a", "r", "m"}})
}

// typeQuestion is a question about types that is asked of what a type is made of, too.
type typeQuestion struct {
	known   map[uint32]bool // types of which the answer is yes
	through []string        // kinds of types that are what their parts are
	printed bool            // the answer is yes for types that were reviewed for their text alone
}

// answer decides by the type itself, if that is possible. t is nil for a type that is
// not known.
func (q typeQuestion) answer(oid uint32, t *typeInfo) (verdict, decided bool) {
	switch {
	case q.known[oid]:
		return true, true
	case t == nil:
		return false, true
	case t.kind == "e", t.reviewed(), q.printed && t.printed():
		return true, true
	case slices.Contains(q.through, t.kind):
		// What is to have parts and has none is not understood; a row may have none.
		return false, len(t.parts) == 0 && t.kind != "c"
	}
	return false, true
}

// madeOf asks a question about a type, and about all it is made of when the
// question is not decided by the type itself.
func (c *catalog) madeOf(oid uint32, depth int, q typeQuestion) bool {
	t := c.typeInfo(oid)
	if verdict, decided := q.answer(oid, t); decided {
		return verdict
	}
	if depth == 0 {
		return false
	}
	for _, p := range t.parts {
		if !c.madeOf(p, depth-1, q) {
			return false
		}
	}
	return true
}

// typeName is for people.
func (c *catalog) typeName(oid uint32) string {
	if t := c.typeInfo(oid); t != nil {
		return t.name
	}
	return fmt.Sprintf("type %d", oid)
}
