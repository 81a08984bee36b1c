package analysis

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
)

// userCode is what can be found for a type: functions of users, and conditions.
type userCode struct {
	casts     []uint32 // functions of its casts to json and texts
	operators []uint32 // functions of its default operator classes; of a range, also those that make one
	checked   bool     // a domain with a CHECK
}

func (u *userCode) none() bool { return len(u.casts) == 0 && len(u.operators) == 0 && !u.checked }

// found returns the functions that a function with this binding can call.
func (u *userCode) found(b binding) []uint32 {
	switch b {
	case bindsCasts:
		return u.casts
	case bindsOperators:
		return u.operators
	}
	return slices.Concat(u.casts, u.operators)
}

// inside visits a type and everything it is made of. What is deeper than was loaded
// is of no type that may occur.
func (c *catalog) inside(oid uint32, visit func(*typeInfo)) {
	c.insideTo(oid, catalogRoundsMax, visit)
}

func (c *catalog) insideTo(oid uint32, depth int, visit func(*typeInfo)) {
	t := c.typeInfo(oid)
	if t == nil {
		return
	}
	visit(t)
	if depth == 0 {
		return
	}
	for _, p := range t.parts {
		c.insideTo(p, depth-1, visit)
	}
}

// userCodeSQL reads, of a type t, the functions of users that late binding finds.
// An array that a statement makes of t is mentioned nowhere, so what is said of
// arrays of t counts as said of t.
//
// Casts: json's functions look for one to json, the SQL functions among those of
// Postgres cast to text; the other types are there for functions to come.
// Operators: an exact default class, one of a type that t is taken for, or of any
// type at all; or the class that a range names.
const userCodeSQL = `
	ARRAY(SELECT DISTINCT c.castfunc::pg_catalog.oid FROM pg_catalog.pg_cast c
	      WHERE c.castsource IN (t.oid, t.typarray) AND c.castfunc >= 16384
	        AND c.casttarget IN ('text'::pg_catalog.regtype, 'varchar'::pg_catalog.regtype, 'bpchar'::pg_catalog.regtype,
	            'name'::pg_catalog.regtype, 'json'::pg_catalog.regtype, 'jsonb'::pg_catalog.regtype)),
	ARRAY(SELECT f.oid FROM pg_catalog.pg_opclass o
	      JOIN pg_catalog.pg_am a ON a.oid = o.opcmethod AND a.amname IN ('btree', 'hash')
	      CROSS JOIN LATERAL (` + classFunctionsSQL + `) f(oid)
	      WHERE o.oid >= 16384 AND f.oid >= 16384 AND (o.opcdefault AND (
	              o.opcintype IN (t.oid, t.typarray)
	              OR o.opcintype IN (SELECT p.oid FROM pg_catalog.pg_type p WHERE p.typtype = 'p')
	              OR o.opcintype IN (SELECT c.casttarget FROM pg_catalog.pg_cast c WHERE c.castsource = t.oid AND c.castmethod = 'b' AND c.castcontext = 'i'))
	          OR o.oid IN (SELECT r.rngsubopc FROM pg_catalog.pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)))
	      UNION SELECT r.rngcanonical::pg_catalog.oid FROM pg_catalog.pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid) AND r.rngcanonical >= 16384),
	EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c')`

// classFunctionsSQL lists the functions of an operator class o.
const classFunctionsSQL = `
	SELECT p.amproc::pg_catalog.oid FROM pg_catalog.pg_amproc p WHERE p.amprocfamily = o.opcfamily
	UNION SELECT r.oprcode::pg_catalog.oid FROM pg_catalog.pg_amop m JOIN pg_catalog.pg_operator r ON r.oid = m.amopopr WHERE m.amopfamily = o.opcfamily`

// supportSQL lists, of a relation c, the functions of users that a plan may call to
// find its rows: those of the operator classes of its indexes and partition keys, and
// of its partitions' and children's, of which a tree tells nothing. Those in C are
// taken for what they say, or no table with an index of an extension would be cached.
const supportSQL = `
	ARRAY(WITH RECURSIVE tree(oid) AS (
	          SELECT c.oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.oid)
	      SELECT DISTINCT f.oid FROM (
	          SELECT pg_catalog.unnest(x.indclass::pg_catalog.oid[]) FROM tree JOIN pg_catalog.pg_index x ON x.indrelid = tree.oid
	          UNION SELECT pg_catalog.unnest(k.partclass::pg_catalog.oid[]) FROM tree JOIN pg_catalog.pg_partitioned_table k ON k.partrelid = tree.oid) used(class)
	      JOIN pg_catalog.pg_opclass o ON o.oid = used.class
	      CROSS JOIN LATERAL (` + classFunctionsSQL + `) f(oid)
	      JOIN pg_catalog.pg_proc s ON s.oid = f.oid
	      JOIN pg_catalog.pg_language l ON l.oid = s.prolang
	      WHERE o.oid >= 16384 AND f.oid >= 16384 AND l.lanname NOT IN ('c', 'internal'))`

// textSearch is what the text search configurations of a database call of users.
type textSearch struct {
	named map[string]uint32 // configurations by schema.name, where that needs no quotes
	// functions are those of a configuration; of anyConfiguration, all of them.
	functions    map[uint32][]uint32
	dictionaries []uint32 // of all dictionaries and parsers, whether a configuration has them or not
}

// anyConfiguration stands for a configuration that is not known.
const anyConfiguration = 0

// of returns the functions of users that a configuration calls.
func (t *textSearch) of(configuration uint32) []uint32 { return t.functions[configuration] }

// textSearchSQL lists the configurations, each with the functions of users that it
// calls, and under 0 those of all dictionaries and parsers. A thesaurus names another
// dictionary, which may be any.
const textSearchSQL = `
	WITH parsers AS (
		SELECT p.oid, f.oid AS function FROM pg_catalog.pg_ts_parser p
		CROSS JOIN LATERAL (VALUES (p.prsstart), (p.prstoken), (p.prsend), (p.prsheadline), (p.prslextype)) f(oid)
		WHERE f.oid >= 16384
	), dictionaries AS (
		SELECT d.oid, f.oid AS function FROM pg_catalog.pg_ts_dict d
		JOIN pg_catalog.pg_ts_template t ON t.oid = d.dicttemplate
		CROSS JOIN LATERAL (VALUES (t.tmplinit), (t.tmpllexize)) f(oid)
		WHERE f.oid >= 16384
	), calls(configuration, function) AS (
		SELECT c.oid, p.function FROM pg_catalog.pg_ts_config c JOIN parsers p ON p.oid = c.cfgparser
		UNION SELECT m.mapcfg, d.function FROM pg_catalog.pg_ts_config_map m JOIN dictionaries d ON d.oid = m.mapdict
		UNION SELECT m.mapcfg, d.function FROM pg_catalog.pg_ts_config_map m JOIN pg_catalog.pg_ts_dict t ON t.oid = m.mapdict
			JOIN pg_catalog.pg_ts_template h ON h.oid = t.dicttemplate AND h.tmplname = 'thesaurus', dictionaries d
	)
	SELECT c.oid, n.nspname || '.' || c.cfgname, ARRAY(SELECT k.function::pg_catalog.oid FROM calls k WHERE k.configuration = c.oid)
	FROM pg_catalog.pg_ts_config c JOIN pg_catalog.pg_namespace n ON n.oid = c.cfgnamespace
	UNION ALL SELECT 0, '', ARRAY(SELECT p.function::pg_catalog.oid FROM parsers p UNION SELECT d.function FROM dictionaries d)`

const conversionsSQL = `SELECT DISTINCT conproc::pg_catalog.oid FROM pg_catalog.pg_conversion WHERE conproc >= 16384`

// loadLateBound reads what is found by other things than types, once in a generation
// and only for statements that need it; and the names of all that was found.
func (c *catalog) loadLateBound(ctx context.Context, conn *pgx.Conn, n needs) error {
	found := map[uint32]bool{}
	for oid := range n.functions {
		f := c.functions[oid]
		if f == nil || oid >= firstUserOID {
			continue
		}
		var err error
		switch f.binding() {
		case bindsTextSearch, bindsDefaultTextSearch, bindsDictionaries:
			err = c.loadTextSearch(ctx, conn)
		case bindsConversions:
			err = c.loadConversions(ctx, conn)
		}
		if err != nil {
			return err
		}
	}
	if c.textSearch != nil {
		for _, oid := range c.textSearch.dictionaries {
			found[oid] = true
		}
	}
	for _, oid := range c.conversions {
		found[oid] = true
	}
	for _, functions := range c.operators {
		for _, oid := range functions {
			found[oid] = true
		}
	}
	for _, r := range c.relations {
		for _, oid := range r.support {
			found[oid] = true
		}
	}
	for _, t := range c.types {
		if t != nil {
			for _, oid := range t.userCode.found(bindsAll) {
				found[oid] = true
			}
		}
	}
	return c.loadFunctions(ctx, conn, missing(c.functions, found))
}

func (c *catalog) loadTextSearch(ctx context.Context, conn *pgx.Conn) error {
	if c.textSearch != nil {
		return nil
	}
	rows, err := conn.Query(ctx, textSearchSQL)
	if err != nil {
		return err
	}
	all := &textSearch{named: map[string]uint32{}, functions: map[uint32][]uint32{}}
	var configuration uint32
	var name string
	var functions []uint32
	if _, err = pgx.ForEachRow(rows, []any{&configuration, &name, &functions}, func() error {
		if configuration == 0 {
			all.dictionaries = slices.Clone(functions)
			return nil
		}
		all.named[name] = configuration
		all.functions[configuration] = slices.Clone(functions)
		all.functions[anyConfiguration] = append(all.functions[anyConfiguration], functions...)
		return nil
	}); err != nil {
		return err
	}
	c.textSearch = all
	return nil
}

func (c *catalog) loadConversions(ctx context.Context, conn *pgx.Conn) error {
	if c.conversions != nil {
		return nil
	}
	rows, err := conn.Query(ctx, conversionsSQL)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	if err != nil {
		return err
	}
	c.conversions = append([]uint32{}, all...)
	return nil
}

// loadedTextSearch returns the text search configurations.
func (c *catalog) loadedTextSearch() *textSearch {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.textSearch
}

// conversionFunctions returns the functions of users that convert encodings.
func (c *catalog) conversionFunctions() []uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conversions
}
