package invalidation

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// columnsDefaultMax bounds the columns that are chosen when a pattern names none.
const columnsDefaultMax = 8

//go:embed schema/candidates.sql
var candidatesTemplate string

var candidatesSQL = strings.Replace(candidatesTemplate, "{{supported}}", supportedSQL, 1)

// candidate is a relation of the database that patterns may match.
type candidate struct {
	catalogRelation
	// Version is the row's in pg_class, and Triggered says that a trigger was put on
	// the relation before: one more does not change that row.
	Version   string
	Triggered bool
	Parents   []uint32
	Columns   []candidateColumn // of supported types, primary key first
}

type candidateColumn struct {
	Name string
	// Chosen is set for columns that queries are likely to look up by.
	Chosen bool
}

func readCandidates(ctx context.Context, conn *pgx.Conn) ([]candidate, error) {
	var text []byte
	if err := conn.QueryRow(ctx, candidatesSQL).Scan(&text); err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	var all []candidate
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	return all, nil
}

// Skipped is a table that a pattern matches and that is not watched.
type Skipped struct {
	Schema, Name string
	Reason       string
}

// plan is what Install has to do.
type plan struct {
	base   []string // what is wrong with the shared parts; empty: nothing to do
	remove string   // SQL that makes room for them
	// events is what is wrong with the event triggers; hopeful says that it is worth
	// trying to make them.
	events  []string
	hopeful bool
	fresh   bool // there is no schema of ours yet
	force   bool
	// until is when attempts to have a lock may end, at the earliest.
	until time.Time
	// unmatched is an error if a pattern matches nothing.
	unmatched error
	early     []string // patterns that match nothing yet
	trees     []treePlan
	skipped   []Skipped
	// suspended says that nothing may be done before Resume.
	suspended bool
	// followers are the roles that have or get the rights of followers; lacking says
	// that one of them has not got all.
	followers []string
	lacking   bool
}

// sharedSQL makes the parts that all tables share, and gives followers their
// rights on them; empty if nothing is wrong with them and nothing was asked for.
func (p plan) sharedSQL() []string {
	var statements []string
	if p.sharedChanges() {
		statements = append(statements, p.remove, baseSQL, preflightSQL, eventsSQL, touchSQL, purgeSQL, statisticsSQL)
	}
	if len(p.followers) > 0 && (p.lacking || p.sharedChanges()) {
		statements = append(statements, grantSQL(p.followers))
	}
	return statements
}

// lookupSQL gives followers what else they need to know the watched tables by
// name; empty if there is nothing to give.
func (p plan) lookupSQL() string {
	if len(p.followers) == 0 {
		return ""
	}
	var schemas []string
	for _, t := range p.trees {
		if !slices.Contains(schemas, t.root.Schema) {
			schemas = append(schemas, t.root.Schema)
		}
	}
	return grantLookupSQL(p.followers, schemas)
}

// treePlan is one tree to watch.
type treePlan struct {
	capture
	root    relationName
	members []relationName // all, the root first
	missing []unarmed      // those without the right triggers
}

// unarmed is a table without the right triggers.
type unarmed struct {
	relationName
	kind string // pg_class.relkind
	oid  uint32
	// version is that of the row in pg_class, if the first trigger will change it.
	version string
}

// sharedChanges reports whether there is anything to do that concerns all tables.
func (p plan) sharedChanges() bool { return len(p.base) > 0 || p.hopeful && len(p.events) > 0 }

// changes reports whether there is anything to do.
func (p plan) changes() bool {
	return p.sharedChanges() || slices.ContainsFunc(p.trees, func(t treePlan) bool { return len(t.missing) > 0 })
}

// wantedNamesMax bounds the tables that a message names.
const wantedNamesMax = 5

// wanting says in words what there is to do.
func (p plan) wanting() string {
	switch {
	case len(p.base) > 0:
		return p.base[0]
	case p.hopeful && len(p.events) > 0:
		return p.events[0]
	}
	var names []string
	for _, t := range p.trees {
		if len(t.missing) > 0 {
			names = append(names, t.root.String())
		}
	}
	more := ""
	if extra := len(names) - wantedNamesMax; extra > 0 {
		names, more = names[:wantedNamesMax], fmt.Sprintf(" and %d more", extra)
	}
	return strings.Join(names, ", ") + more + " should be watched and lack triggers"
}

// newPlan compares what patterns want with what is there. With extend, columns
// that are watched stay watched, so that processes with different patterns do
// not undo each other's work for ever. empty are schemas without tables.
func newPlan(patterns []pattern, all []candidate, empty []string, c *catalog, extend bool) plan {
	p := plan{base: c.baseProblems(), events: c.eventProblems(), hopeful: !extend, remove: c.strangers(), suspended: c.Suspended, fresh: len(c.Tables) == 0}
	p.early, p.unmatched = unmatched(patterns, all, empty)
	byOID := map[uint32]candidate{}
	parents := map[uint32][]uint32{}
	for _, r := range all {
		byOID[r.OID], parents[r.OID] = r, r.Parents
	}
	wanted := map[uint32]bool{} // roots
	members := map[uint32][]candidate{}
	for _, r := range all {
		roots := rootsOf(r.OID, parents)
		for _, root := range roots {
			members[root] = append(members[root], r)
		}
		if _, ok := match(patterns, r.name()); !ok {
			continue
		}
		if reason := r.unfit(); reason != "" {
			p.skip(r, reason)
			continue
		}
		for _, root := range roots {
			wanted[root] = true
		}
	}
	for _, root := range slices.Sorted(maps.Keys(wanted)) {
		t, reason := planTree(patterns, byOID[root], members[root], c, extend)
		if reason != "" {
			p.skip(byOID[root], reason)
			continue
		}
		p.trees = append(p.trees, t)
	}
	return p
}

func (p *plan) skip(r candidate, reason string) {
	p.skipped = append(p.skipped, Skipped{r.Schema, r.Name, reason})
}

func (r candidate) name() relationName { return relationName{r.Schema, r.Name} }

// unfit says why a relation as such cannot be watched.
func (r candidate) unfit() string {
	switch {
	case r.Kind == "v":
		return "a view: its tables are watched, not itself"
	case r.Kind == "m":
		return "a materialized view: needs no triggers, its refreshes are events"
	case r.Kind == "f":
		return "a foreign table changes elsewhere"
	case r.Persistence == "t":
		return "a temporary table belongs to one session"
	}
	return ""
}

// planTree decides about the columns and the work of one tree.
func planTree(patterns []pattern, root candidate, members []candidate, c *catalog, extend bool) (treePlan, string) {
	for _, m := range members {
		if m.Persistence == "t" || m.Kind == "f" {
			return treePlan{}, fmt.Sprintf("%s, which belongs to it, is temporary or foreign", m.name())
		}
		if len(m.Parents) > 1 {
			return treePlan{}, fmt.Sprintf("%s, which belongs to it, inherits from several tables", m.name())
		}
	}
	var watched []string
	var lost bool
	if extend {
		watched, lost = c.watchedColumns(root)
	}
	columns, reason := chooseColumns(patterns, root, members, watched, lost)
	if reason != "" {
		return treePlan{}, reason
	}
	applied := slices.ContainsFunc(members, func(m candidate) bool { return m.Subscribed })
	t := treePlan{capture: capture{root.OID, columns, applied}, root: root.name()}
	made, functions := t.functions(), map[uint32]catalogFunction{}
	for _, f := range c.Functions {
		functions[f.OID] = f
	}
	slices.SortStableFunc(members, func(a, b candidate) int {
		return strings.Compare(boolOrder(a.OID != root.OID)+a.name().String(), boolOrder(b.OID != root.OID)+b.name().String())
	})
	for _, m := range members {
		t.members = append(t.members, m.name())
		there := member{m.catalogRelation, nil}
		for _, trigger := range c.Triggers {
			if trigger.Table == m.OID {
				there.triggers = append(there.triggers, trigger)
			}
		}
		if there.verify(t.capture, made, functions) != nil {
			lacking := unarmed{relationName: m.name(), kind: m.Kind, oid: m.OID}
			if !m.Triggered {
				lacking.version = m.Version
			}
			t.missing = append(t.missing, lacking)
		}
	}
	return t, ""
}

func boolOrder(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// chooseColumns takes the columns that a pattern names for the root, or for any
// member where none does for the root; else those likely to be looked up by.
//
// watched are columns to keep; unless it is nil, no others are chosen that no pattern
// names. With lost they are: what can no longer be watched may have another name now,
// which nothing tells.
func chooseColumns(patterns []pattern, root candidate, members []candidate, watched []string, lost bool) ([]string, string) {
	p, ok := match(patterns, root.name())
	for i := 0; !ok && i < len(members); i++ {
		p, ok = match(patterns, members[i].name())
	}
	columns := slices.Clone(watched)
	if p.columns == nil {
		if watched == nil || lost {
			columns = addLikely(columns, root)
		}
		return columns, ""
	}
	for _, name := range p.columns {
		known := slices.ContainsFunc(root.Columns, func(c candidateColumn) bool { return c.Name == name })
		if !known || strings.Contains(name, bodyQuote) {
			return nil, fmt.Sprintf("column %q does not exist or is not of a type that can be watched (boolean, integer, uuid, text or varchar with a deterministic collation in a UTF8 database)", name)
		}
		if !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	if len(columns) > columnsMax {
		return nil, fmt.Sprintf("%d columns, at most %d can be watched", len(columns), columnsMax)
	}
	return columns, ""
}

// addLikely adds to columns those of a root that queries are likely to look up by.
func addLikely(columns []string, root candidate) []string {
	for _, column := range root.Columns {
		if column.Chosen && len(columns) < columnsDefaultMax && !slices.Contains(columns, column.Name) && !strings.Contains(column.Name, bodyQuote) {
			columns = append(columns, column.Name)
		}
	}
	return columns
}

// watchedColumns are the columns that a root's triggers name and that still can
// be watched; nil if it has no triggers. lost says that some no longer can.
func (c *catalog) watchedColumns(root candidate) (columns []string, lost bool) {
	for _, t := range c.Triggers {
		if t.Table == root.OID && t.Name == captureTriggers[0].name {
			named := t.columns()
			columns = slices.DeleteFunc(append([]string{}, named...), func(name string) bool { return !slices.Contains(t.Columns, name) })
			return columns, len(columns) < len(named)
		}
	}
	return nil, false
}
