package analysis

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// findEffect finds out what a statement changes, and gives it to v. Where code of users may
// run for the statement, or something in it is not known, v has no effect.
func (a *Analyzer) findEffect(ctx context.Context, s *session, c *catalog, r *Request, query *node, description *pgconn.StatementDescription, v *Verdict) error {
	b := &behindWrite{catalog: c, watch: a.watch(), evaluated: evaluated{needs: newNeeds(), changed: map[uint32]changes{}}}
	for _, f := range description.Fields {
		b.types[f.DataTypeOID] = true
	}
	for _, p := range description.ParamOIDs {
		b.types[p] = true
	}
	var err error
	if v.Effect, err = b.find(ctx, s.conn, query); err != nil {
		return unlessRefused(err)
	}
	if _, copies := copiedInto(r.SQL); copies {
		return nil // the tree is that of another statement
	}
	if err := c.load(ctx, s.conn, b.neededForRows(query)); err != nil {
		return err
	}
	written := &statement{query: query, catalog: c, watch: b.watch, text: scan(r.SQL, r.standardConforming()), request: r, description: description}
	v.Effect.Rows, err = b.rowsOf(written, v)
	return unlessRefused(err)
}

// unlessRefused returns err, unless it says that something in a statement is not known.
func unlessRefused(err error) error {
	var no *refusal
	if errors.As(err, &no) {
		return nil
	}
	return err
}

// neededForRows is what has to be known of the catalogs for rowsOf.
func (b *behindWrite) neededForRows(query *node) needs {
	wanted := newNeeds()
	for oid := range b.changed {
		wanted.relations[oid] = true
	}
	walk(query, func(n *node) bool {
		for _, f := range knownNodes[n.tag].collations {
			wanted.collations[n.oid(f)] = true
		}
		return true
	})
	return wanted
}

// behindWrite finds all that runs for one statement.
type behindWrite struct {
	evaluated
	catalog *catalog
	watch   Watch
}

func (b *behindWrite) find(ctx context.Context, conn *pgx.Conn, query *node) (*Effect, error) {
	if err := b.evaluates(query); err != nil {
		return nil, err
	}
	defaulted, err := b.catalog.reach(ctx, conn, b.changed)
	if err != nil {
		return nil, err
	}
	if err := b.checkTables(ctx, conn, defaulted); err != nil {
		return nil, err
	}
	if err := b.loadEvaluated(ctx, conn); err != nil {
		return nil, err
	}
	if err := b.checkEvaluated(); err != nil {
		return nil, err
	}
	return b.roots(), nil
}

// checkTables looks at every table that is read or written, with its kin: a plan may
// evaluate the conditions of its indexes and partitions though nothing is written.
func (b *behindWrite) checkTables(ctx context.Context, conn *pgx.Conn, defaulted map[uint32]bool) error {
	seen := map[uint32]bool{}
	next := slices.AppendSeq(slices.Collect(maps.Keys(b.changed)), maps.Keys(b.relations))
	for len(next) > 0 {
		if err := b.catalog.loadTables(ctx, conn, next); err != nil {
			return err
		}
		looking := next
		next = nil
		for _, oid := range looking {
			if seen[oid] || oid < firstUserOID && b.changed[oid] == 0 {
				continue // what the server made itself runs nothing of users
			}
			if seen[oid] = true; len(seen) > writtenMax {
				return refuse(ReasonTooComplex, "too many tables in a write")
			}
			t := b.catalog.table(oid)
			if err := b.checkTable(oid, t); err != nil {
				return err
			}
			if err := b.evaluatesTable(t, defaulted[oid]); err != nil {
				return err
			}
			next = append(next, t.kin...)
		}
	}
	return nil
}

// checkTable refuses a table for which code of users runs whatever its expressions are.
func (b *behindWrite) checkTable(oid uint32, t *table) error {
	switch {
	case t == nil:
		return refuse(ReasonUnknownNode, "a table that is gone")
	case t.persistence == "t", t.secured, t.foreign, len(t.support) > 0:
		return refuse(ReasonUserFunction, "what reads "+t.schema+" runs code of users")
	case b.changed[oid] == 0:
		return nil
	case t.kind != "r" && t.kind != "p", t.schema == "freshet", oid < firstUserOID:
		return refuse(ReasonUnknownNode, "a write to what is no table of users")
	case t.fires&b.changed[oid] != 0, t.rules, t.operators:
		return refuse(ReasonUserFunction, "what writes to "+t.schema+" runs code of users")
	}
	if _, watched := b.watch.Table(oid); t.captured && !watched {
		return refuse(ReasonUnwatchedTable, "triggers that are not verified")
	}
	return nil
}

func (b *behindWrite) evaluatesTable(t *table, defaulted bool) error {
	for _, typ := range t.types {
		b.types[typ] = true
	}
	expressions := t.expressions
	if defaulted {
		expressions = slices.Concat(expressions, t.defaults)
	}
	return b.evaluatesTexts(expressions)
}

func (b *behindWrite) evaluatesTexts(expressions []string) error {
	for _, text := range expressions {
		tree, err := readTree(text)
		if err != nil {
			return err
		}
		if err := b.evaluates(tree); err != nil {
			return err
		}
	}
	return nil
}

// loadEvaluated reads what the expressions mention, and the conditions of domains among
// that, which mention more.
func (b *behindWrite) loadEvaluated(ctx context.Context, conn *pgx.Conn) error {
	read := map[uint32]bool{}
	for range catalogRoundsMax {
		wanted := b.needs
		wanted.relations = nil
		if err := b.catalog.load(ctx, conn, wanted); err != nil {
			return err
		}
		var domains []uint32
		for oid := range b.types {
			b.catalog.inside(oid, func(t *typeInfo) {
				if t.checked && !read[t.oid] {
					read[t.oid] = true
					domains = append(domains, t.oid)
				}
			})
		}
		if len(domains) == 0 {
			return nil
		}
		rows, err := conn.Query(ctx, checksSQL, domains)
		if err != nil {
			return err
		}
		checks, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if err := b.evaluatesTexts(checks); err != nil {
			return err
		}
	}
	return refuse(ReasonTooComplex, "domains over domains")
}

// checkEvaluated refuses functions that may change more than what they return, and types
// for which the server would find functions of users.
func (b *behindWrite) checkEvaluated() error {
	for oid := range b.functions {
		if oid == 0 {
			continue
		}
		f := b.catalog.function(oid)
		if f == nil || f.changes(oid) || !b.findsNothing(f.binding()) {
			return refuse(ReasonUserFunction, "a function that may change more than it returns")
		}
	}
	for oid := range b.types {
		if oid != 0 && !b.catalog.findsNothing(oid, catalogRoundsMax) {
			return refuse(ReasonUserFunction, "a type with functions of users")
		}
	}
	return nil
}

// findsNothing reports whether a function with a binding finds no function of users,
// given that none can be found by type.
func (b *behindWrite) findsNothing(by binding) bool {
	switch by {
	case bindsPartitions:
		return false
	case bindsTextSearch, bindsDefaultTextSearch, bindsDictionaries:
		search := b.catalog.loadedTextSearch()
		return search != nil && len(search.of(anyConfiguration)) == 0 && len(search.dictionaries) == 0
	case bindsConversions:
		return len(b.catalog.conversionFunctions()) == 0
	}
	return true
}

// findsNothing reports whether no function of users can be found for a type, nor for
// what it is made of.
func (c *catalog) findsNothing(oid uint32, depth int) bool {
	t := c.typeInfo(oid)
	if t == nil || depth == 0 || len(t.casts) > 0 || len(t.operators) > 0 {
		return false
	}
	for _, part := range t.parts {
		if !c.findsNothing(part, depth-1) {
			return false
		}
	}
	return true
}

// roots is the effect of the changes found.
func (b *behindWrite) roots() *Effect {
	e := &Effect{}
	for oid := range b.changed {
		if t, ok := b.watch.Table(oid); ok {
			e.Roots = append(e.Roots, t.Root)
		}
	}
	slices.Sort(e.Roots)
	e.Roots = slices.Compact(e.Roots)
	return e
}
