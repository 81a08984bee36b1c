package invalidation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// Table is a table whose every change is an event.
type Table struct {
	OID uint32
	// Root is the OID that the table's tags carry: the root of its partition or
	// inheritance tree, or itself.
	Root   uint32
	Schema string
	Name   string
	// Columns are those whose values have tags, by name, in no order that matters.
	// It must not be changed.
	Columns []string
	// Types are the OIDs of the types of Columns, in their order.
	Types []uint32
}

// State says which tables are watched. It is immutable.
type State struct {
	since    fence.Snapshot
	byOID    map[uint32]Table
	byName   map[string]Table
	problems []string
	// doubts are the problems of single tables.
	doubts []Doubt
	// lost are tables that were watched before, and are not in this state, by OID.
	lost map[uint32]lost
	// untrusted are the causes for which trees of tables with triggers are not watched, by
	// their root: newState fills it, noteLost reads it.
	untrusted map[uint32]loss
	// installation names the installation that is there, or was last: see noteLost.
	installation uint32
	// installed says that nothing is wrong with what all tables share.
	installed bool
	secured   bool
	// unreported says why changes of the schema are not events, empty if they are.
	unreported string
	// misfit says in short what of that is wrong, empty if nothing is or it is suspended.
	misfit string
	// suspended says that nothing may be relied on before Resume.
	suspended bool
	// meaning says what tags stand for, once somebody has asked: see meanings.
	meaning struct {
		once sync.Once
		meanings
	}
}

// Table returns a watched table.
func (s *State) Table(oid uint32) (Table, bool) {
	t, ok := s.byOID[oid]
	return t, ok
}

// ByName returns a watched table by "schema.table", spelled as Postgres stores
// the names.
func (s *State) ByName(name string) (Table, bool) {
	t, ok := s.byName[name]
	return t, ok
}

// Tables returns the watched tables, partitions and children included, ordered
// by OID.
func (s *State) Tables() []Table {
	tables := make([]Table, 0, len(s.byOID))
	for _, oid := range slices.Sorted(maps.Keys(s.byOID)) {
		tables = append(tables, s.byOID[oid])
	}
	return tables
}

// Since returns the snapshot at which the triggers were seen in place. A load
// may rely on the state only if its label includes it.
func (s *State) Since() fence.Snapshot { return s.since }

// Installed reports whether what all tables share is in place, freshet.touch among it.
func (s *State) Installed() bool { return s.installed }

// Secured reports whether some table of the database has row security.
func (s *State) Secured() bool { return s.secured }

// Reported reports whether changes of the schema are events. Where they are not, the
// follower compares definitions, and a change made elsewhere is noticed within the
// staleness bound: not sooner for who asks for more.
func (s *State) Reported() bool { return s.unreported == "" }

// Doubt is a table that is or was watched and cannot be relied on.
type Doubt struct {
	// Table is its schema and name, Why what is wrong and which command mends it.
	Table, Why string
	// Since is when that was found.
	Since time.Time
}

// Doubts are those of Problems that are about one table, in no order. It must not be
// changed.
func (s *State) Doubts() []Doubt { return s.doubts }

// doubt notes a problem of one table: a sentence that begins with its name.
func (s *State) doubt(problem string, since time.Time) {
	s.problems = append(s.problems, problem)
	table, why, _ := strings.Cut(problem, ": ")
	s.doubts = append(s.doubts, Doubt{table, why, since})
}

// keepSince has what was doubtful already in an earlier state be so since then.
func (s *State) keepSince(before *State) {
	for i, d := range s.doubts {
		for _, was := range before.doubts {
			if was.Table == d.Table {
				s.doubts[i].Since = was.Since
			}
		}
	}
}

// Problems says what is installed and cannot be relied on, and why; ordered.
func (s *State) Problems() []string { return slices.Clone(s.problems) }

// newState decides what is watched.
func newState(c *catalog, since fence.Snapshot) *State {
	s := &State{since: since, byOID: map[uint32]Table{}, byName: map[string]Table{}, untrusted: map[uint32]loss{}, problems: c.baseProblems(), secured: c.Secured, suspended: c.Suspended, unreported: c.unreported()}
	if len(s.problems) > 0 {
		if !c.Suspended {
			s.misfit = misfit(s.problems)
		}
		return s
	}
	s.installed = true
	if s.unreported != "" {
		s.problems = append(s.problems, "what others do to the schema is noticed within the staleness bound, and not at once: "+s.unreported)
	}
	for _, publication := range c.Published {
		s.problems = append(s.problems, fmt.Sprintf("publication %s contains the tables of schema freshet: a subscriber without them stops; publish other schemas or tables by name", publication))
	}
	functions := c.functionsByOID()
	for _, t := range c.trees() {
		columns, types, err := t.verify(functions)
		if err != nil {
			s.doubt(err.Error(), time.Now())
			s.untrusted[t.root] = lossTrigger
			if u, ok := errors.AsType[untrusted](err); ok {
				s.untrusted[t.root] = u.cause
			}
			continue
		}
		for _, m := range t.members {
			s.add(Table{m.OID, t.root, m.Schema, m.Name, columns, types})
		}
	}
	for _, r := range c.Relations {
		// A materialized view changes by commands only, which are events. REFRESH
		// CONCURRENTLY changes rows alone, and no definition would tell.
		if r.Kind == "m" && s.unreported == "" {
			s.add(Table{OID: r.OID, Root: r.OID, Schema: r.Schema, Name: r.Name})
		}
	}
	slices.Sort(s.problems)
	return s
}

// misfit says in short what of the parts that all tables share is not in place.
func misfit(problems []string) string {
	first := strings.TrimSuffix(problems[0], "; install again")
	if n := len(problems) - 1; n > 0 {
		return fmt.Sprintf("%s, and %d more", first, n)
	}
	return first
}

func (s *State) add(t Table) {
	s.byOID[t.OID] = t
	s.byName[t.Schema+"."+t.Name] = t
}

func (c *catalog) functionsByOID() map[uint32]catalogFunction {
	functions := map[uint32]catalogFunction{}
	for _, f := range c.Functions {
		functions[f.OID] = f
	}
	return functions
}

// tree is a table with all its partitions and children, any of which has a
// trigger of ours.
type tree struct {
	root    uint32
	members []member
	// tangled is set if a member has two parents: then its changes would have to
	// carry the tags of several roots.
	tangled bool
}

type member struct {
	catalogRelation
	triggers []catalogTrigger
}

// trees groups the relations; only trees with triggers are returned.
func (c *catalog) trees() []tree {
	parents := map[uint32][]uint32{}
	for _, i := range c.Inherits {
		parents[i.Child] = append(parents[i.Child], i.Parent)
	}
	triggers := map[uint32][]catalogTrigger{}
	for _, t := range c.Triggers {
		triggers[t.Table] = append(triggers[t.Table], t)
	}
	byRoot := map[uint32]*tree{}
	armed := map[uint32]bool{}
	for _, r := range c.Relations {
		if r.Kind == "m" {
			continue
		}
		for _, root := range rootsOf(r.OID, parents) {
			t := byRoot[root]
			if t == nil {
				t = &tree{root: root}
				byRoot[root] = t
			}
			t.members = append(t.members, member{r, triggers[r.OID]})
			t.tangled = t.tangled || len(parents[r.OID]) > 1
			armed[root] = armed[root] || len(triggers[r.OID]) > 0
		}
	}
	var trees []tree
	for _, root := range slices.Sorted(maps.Keys(byRoot)) {
		if armed[root] {
			trees = append(trees, *byRoot[root])
		}
	}
	return trees
}

// rootsOf climbs to the tables that have no parent.
func rootsOf(oid uint32, parents map[uint32][]uint32) []uint32 {
	seen := map[uint32]bool{}
	var roots []uint32
	climb := []uint32{oid}
	for len(climb) > 0 {
		at := climb[0]
		climb = climb[1:]
		if seen[at] {
			continue
		}
		seen[at] = true
		if len(parents[at]) == 0 {
			roots = append(roots, at)
		}
		climb = append(climb, parents[at]...)
	}
	return roots
}

// verify returns the watched columns, and their types, of a tree all of whose
// members have the triggers, or what is in the way.
func (t tree) verify(functions map[uint32]catalogFunction) (columns []string, types []uint32, err error) {
	var root *member
	for i := range t.members {
		if t.members[i].OID == t.root {
			root = &t.members[i]
		}
	}
	if root == nil || len(root.triggers) == 0 {
		return nil, nil, fmt.Errorf("%s.%s: the root of its tree has no triggers; install again", t.members[0].Schema, t.members[0].Name)
	}
	if t.tangled {
		return nil, nil, fmt.Errorf("%s.%s: a table in its tree inherits from several tables", root.Schema, root.Name)
	}
	applied := slices.ContainsFunc(t.members, func(m member) bool { return m.Subscribed })
	want := capture{t.root, root.triggers[0].columns(), applied}
	for _, trigger := range root.triggers {
		for _, column := range want.columns {
			if trigger.Name == captureTriggers[0].name && !slices.Contains(trigger.Present, column) {
				return nil, nil, untrusted{lossColumn, fmt.Errorf("%s.%s: column %s is gone; freshet install --watch %[1]s.%[2]s", root.Schema, root.Name, column)}
			}
		}
	}
	made := want.functions()
	for _, m := range t.members {
		if m.Kind == "f" {
			return nil, nil, fmt.Errorf("%s.%s: a foreign table changes elsewhere", m.Schema, m.Name)
		}
		if err := m.verify(want, made, functions); err != nil {
			return nil, nil, err
		}
	}
	columns, types = usable(root.triggers)
	return columns, types, nil
}

// verify compares the triggers of one table with those it should have.
func (m member) verify(want capture, made captureFunctions, functions map[uint32]catalogFunction) error {
	arguments := ""
	for _, column := range want.columns {
		arguments += fmt.Sprintf("%x00", column)
	}
	for _, trigger := range want.triggers(m.Kind) {
		i := slices.IndexFunc(m.triggers, func(t catalogTrigger) bool { return t.Name == trigger.name })
		if i < 0 {
			return fmt.Errorf("%s.%s: trigger %s is missing; install again", m.Schema, m.Name, trigger.name)
		}
		t, f := m.triggers[i], functions[m.triggers[i].Function]
		function := made.of(trigger)
		switch {
		case t.Enabled != trigger.enabled:
			return untrusted{lossDisabled, fmt.Errorf("%s.%s: trigger %s is not enabled as it was installed; install again", m.Schema, m.Name, trigger.name)}
		case t.Type != trigger.typeBits || t.Old != trigger.oldTable || t.New != trigger.newTable || t.Conditional || t.Arguments != arguments:
			return fmt.Errorf("%s.%s: trigger %s is not as it was installed; install again", m.Schema, m.Name, trigger.name)
		case f.Name != function.name || f.Source != function.source || !f.Definer || !slices.Equal(f.Settings, []string{functionSearchPath}):
			return fmt.Errorf("%s.%s: the function of trigger %s is of another table or version; install again", m.Schema, m.Name, trigger.name)
		}
	}
	return nil
}

// usable are the columns that still are of a type whose values can have tags, and
// these types.
func usable(triggers []catalogTrigger) ([]string, []uint32) {
	for _, t := range triggers {
		if t.Name == captureTriggers[0].name {
			return t.Columns, t.Types
		}
	}
	return nil, nil
}
