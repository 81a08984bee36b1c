package analysis

import (
	"slices"
	"sort"
	"strconv"
)

// queryVisitsMax bounds the work on nested queries: each level looks at all
// below it for their facts, before it hands them its outer guards.
const queryVisitsMax = 2000

// A guard says: this occurrence of a relation may be restricted to the rows in
// which the column has one of the values, and the query's answer stays the same.
// A change of any other row can then be ignored. With no values (IN (NULL)) no
// row matters.
type guard []ValueSource

// column is a column of one range table entry of one query level.
type column struct{ entry, number int }

// edge says: when the guard of from is known, it holds for to as well.
type edge struct{ from, to column }

// membership is a conjunct that is true only if a query returns a row: "column IN
// (SELECT …)", "column = (SELECT …)", "EXISTS (SELECT …)".
type membership struct {
	query   *node
	tested  []column // their guards are outer guards of the query's first column
	implied []implication
}

// implication says: the column has a value that this expression has in the rows of a
// query, so a guard of the expression is implied for the column.
type implication struct {
	column column
	value  *node
}

// scope is one query level on the way down.
type scope struct {
	query   *node
	entries []*node
	around  []*scope // the levels around it, and itself
	known   map[column]guard
	looked  map[column]guard // what lookups find
	edges   []edge
	members []membership
	ctes    map[string]*node
	asks    bool // a subquery is read for what a lookup finds in it
}

func newScope(q *node, outer []*scope) *scope {
	s := &scope{query: q, entries: q.nodes("rtable"), known: map[column]guard{}, looked: map[column]guard{}, ctes: map[string]*node{}}
	s.around = append(slices.Clone(outer), s)
	for _, c := range q.nodes("cteList") {
		name := c.name("ctename")
		if s.ctes[name] != nil {
			panic(refuse(ReasonUnknownNode, "two CTE names that read the same"))
		}
		s.ctes[name] = c
	}
	return s
}

// of returns what is known of the columns of an entry, by number.
func (s *scope) of(entry int) map[int]guard {
	guards := map[int]guard{}
	for c, g := range s.known {
		if c.entry == entry {
			guards[c.number] = g
		}
	}
	return guards
}

func (s *scope) entry(i int) *node {
	if i < 1 || i > len(s.entries) {
		panic(refuse(ReasonUnknownNode, "range table index "+strconv.Itoa(i)))
	}
	return s.entries[i-1]
}

// learn notes a guard; of two for the same column the better stays.
func (s *scope) learn(c column, g guard) {
	if have, ok := s.known[c]; !ok || g.better(have) {
		s.known[c] = g
	}
}

// propagate follows the edges until nothing new is learned.
func (s *scope) propagate() {
	for again := true; again; {
		again = false
		for _, e := range s.edges {
			g, ok := s.known[e.from]
			if _, has := s.known[e.to]; ok && !has {
				s.known[e.to] = g
				again = true
			}
		}
	}
}

// deriver walks a tree and finds the guards of every occurrence of a table.
type deriver struct {
	found         map[*node][]map[int]guard                 // by occurrence, for each visit: guards by column number
	literal       func(location int) (ordinal int, ok bool) // the variable literal at an offset
	text          func(location int) (string, bool)         // the plain string at an offset
	deterministic func(collation uint32) bool
	lookupFor     func(relation uint32, guards map[int]guard, column int) (lookup, bool)
	lookups       []lookup
	behinds       int // queries that lookups were sought behind
	visits        int
	dryVisits     int
	dry           int // above 0: only facts are wanted, occurrences do not count
}

// query derives the guards of one query level and of everything below it. outerGuards
// are those on its output columns, by position, that its reader brings along;
// the returned facts are those its reader may rely on: the output column has one
// of the values, or is NULL.
func (d *deriver) query(q *node, outer []*scope, outerGuards map[int]guard) map[int]guard {
	d.count()
	me, outerGuards := newScope(q, outer), passable(q, outerGuards)
	var facts map[int]guard
	if q.field("setOperations") != nil {
		facts = d.setOperation(me, me.around, outerGuards)
	} else {
		facts = d.plain(me, outerGuards)
	}
	if d.dry == 0 {
		d.rest(me, me.around)
	}
	return facts
}

// count counts a look at a query.
func (d *deriver) count() {
	visits := &d.visits
	if d.dry > 0 {
		visits = &d.dryVisits
	}
	if *visits++; *visits > queryVisitsMax {
		panic(refuse(ReasonTooComplex, "queries nested too deeply"))
	}
}

// passable are the outer guards that may be passed into a query: all or none.
func passable(q *node, outerGuards map[int]guard) map[int]guard {
	if restrictsItself(q) {
		return nil
	}
	return outerGuards
}

// restrictsItself tells whether restricting the query's output is not the same
// as restricting its input: what LIMIT, OFFSET and windows let through depends
// on the other rows.
func restrictsItself(q *node) bool {
	return q.field("limitCount") != nil || q.field("limitOffset") != nil || q.bool("hasWindowFuncs")
}

// setOperation passes the outer guards to every arm: set operations compare whole
// rows, so rows with other values cannot matter in any. What all arms say of a
// column is a fact.
func (d *deriver) setOperation(me *scope, scopes []*scope, outerGuards map[int]guard) map[int]guard {
	var facts map[int]guard
	for _, e := range me.entries {
		if e.int("rtekind") != rteSubquery {
			continue
		}
		arm := d.query(e.child("subquery"), scopes, outerGuards)
		if facts == nil {
			facts = arm
			continue
		}
		for number, g := range facts {
			if other, ok := arm[number]; ok {
				facts[number] = union(g, other)
			} else {
				delete(facts, number)
			}
		}
	}
	return facts
}

func union(a, b guard) guard { return slices.Concat(a, b) }

// plain handles a query level that is no set operation.
func (d *deriver) plain(me *scope, outerGuards map[int]guard) map[int]guard {
	used := d.knowledge(me, outerGuards)
	if d.dry == 0 {
		d.join(me)
		for _, i := range used {
			d.visit(me, me.around, i)
		}
	}
	return d.facts(me, me.around)
}

// knowledge finds the guards of one level: its outer and its own, and those that the
// queries below it imply, without lookups. It returns the range table entries that the join tree uses.
func (d *deriver) knowledge(me *scope, outerGuards map[int]guard) (used []int) {
	scopes := me.around
	d.takeOuter(me, scopes, outerGuards)
	used = d.from(scopes, me.query.child("jointree"))
	// A column in HAVING is one that is grouped by, so a group is kept or dropped
	// with all its rows.
	d.conjuncts(scopes, me.query.field("havingQual"), anyEntry)
	sort.Ints(used)
	me.propagate()
	d.dry++
	for _, i := range used {
		if inner, innerOuter, _ := d.inner(me, scopes, i); inner != nil {
			for number, g := range d.query(inner, innerOuter, nil) {
				me.learn(column{i, number}, g)
			}
		}
	}
	me.propagate()
	for _, m := range me.members {
		if len(m.implied) > 0 {
			d.imply(me, m)
		}
	}
	d.dry--
	me.propagate()
	return used
}

// visit hands one range table entry the guards of its columns, as its outer ones.
func (d *deriver) visit(me *scope, scopes []*scope, i int) {
	guards, e := me.of(i), me.entry(i)
	inner, innerOuter, sole := d.inner(me, scopes, i)
	switch {
	case inner != nil && sole:
		d.query(inner, innerOuter, guards)
	case e.int("rtekind") == rteRelation:
		if e.atom("relkind") == "v" {
			panic(refuse(ReasonUnknownNode, "view that was not expanded"))
		}
		d.found[e] = append(d.found[e], guards)
	}
}

// inner returns the query behind a subquery or CTE entry, with the levels around
// it. sole is false when others read the same query, so that it may not be
// handed the guards of this reader alone.
func (d *deriver) inner(me *scope, scopes []*scope, i int) (q *node, outer []*scope, sole bool) {
	e := me.entry(i)
	switch e.int("rtekind") {
	case rteSubquery:
		return e.child("subquery"), scopes, true
	case rteCTE:
		up := e.int("ctelevelsup")
		owner := level(scopes, up)
		if owner == nil || e.bool("self_reference") {
			return nil, nil, false
		}
		c := owner.ctes[e.name("ctename")]
		if c == nil || c.bool("cterecursive") {
			return nil, nil, false
		}
		return c.child("ctequery"), scopes[:len(scopes)-up], c.int("cterefcount") == 1
	}
	return nil, nil, false
}

func level(scopes []*scope, up int) *scope {
	if i := len(scopes) - 1 - up; up >= 0 && i >= 0 {
		return scopes[i]
	}
	return nil
}

// takeOuter takes over the outer guards of this level, as far as restricting the output restricts the input: not for what an aggregate
// makes, nor for columns that DISTINCT ON does not compare.
func (d *deriver) takeOuter(me *scope, scopes []*scope, outerGuards map[int]guard) {
	q := me.query
	if len(outerGuards) == 0 || q.field("groupingSets") != nil {
		return
	}
	groups, distinct := references(q, "groupClause"), references(q, "distinctClause")
	grouped := len(groups) > 0 || q.bool("hasAggs") || q.field("havingQual") != nil
	for _, t := range q.nodes("targetList") {
		g, ok := outerGuards[t.int("resno")]
		reference := t.int("ressortgroupref")
		if !ok || grouped && !groups[reference] || q.bool("hasDistinctOn") && !distinct[reference] {
			continue
		}
		if s, c, ok := d.variable(scopes, t.field("expr")); ok && s == me {
			me.learn(c, g)
		}
	}
}

func references(q *node, clause string) map[int]bool {
	m := map[int]bool{}
	for _, g := range q.nodes(clause) {
		m[g.int("tleSortGroupRef")] = true
	}
	return m
}

// facts returns what is known of plain output columns.
func (d *deriver) facts(me *scope, scopes []*scope) map[int]guard {
	out := map[int]guard{}
	if me.query.field("groupingSets") != nil {
		return out
	}
	for _, t := range me.query.nodes("targetList") {
		if s, c, ok := d.variable(scopes, t.field("expr")); ok && s == me {
			if g, ok := me.known[c]; ok {
				out[t.int("resno")] = g
			}
		}
	}
	return out
}

// from walks the join tree and returns the range table indexes it uses.
func (d *deriver) from(scopes []*scope, n *node) []int {
	switch n.tag {
	case "RANGETBLREF":
		return []int{n.int("rtindex")}
	case "FROMEXPR":
		var used []int
		for _, f := range n.nodes("fromlist") {
			used = append(used, d.from(scopes, f)...)
		}
		d.conjuncts(scopes, n.field("quals"), anyEntry)
		return used
	case "JOINEXPR":
		left, right := d.from(scopes, n.child("larg")), d.from(scopes, n.child("rarg"))
		d.joinCondition(scopes, n, left, right)
		return append(left, right...)
	}
	panic(refuse(ReasonUnknownNode, n.tag+" in a join tree"))
}

// joinCondition reads ON. Of an outer join it restricts only the side that may
// be missing; of a full join, nothing.
func (d *deriver) joinCondition(scopes []*scope, n *node, left, right []int) {
	switch kind := n.int("jointype"); kind {
	case joinInner:
		d.conjuncts(scopes, n.field("quals"), anyEntry)
	case joinLeft:
		d.conjuncts(scopes, n.field("quals"), oneOf(right))
	case joinRight:
		d.conjuncts(scopes, n.field("quals"), oneOf(left))
	case joinFull:
	default:
		panic(refuse(ReasonUnknownNode, "join of kind "+strconv.Itoa(kind)))
	}
}

func anyEntry(int) bool { return true }

func oneOf(entries []int) func(int) bool {
	return func(i int) bool { return slices.Contains(entries, i) }
}

// rest visits what the join tree does not lead to: CTEs with several readers or
// themselves as one, and the sublinks of every expression of this level. Whatever
// is missed here gets a whole-table tag.
func (d *deriver) rest(me *scope, scopes []*scope) {
	for _, c := range me.query.nodes("cteList") {
		if c.int("cterefcount") != 1 || c.bool("cterecursive") {
			d.query(c.child("ctequery"), scopes, nil)
		}
	}
	for _, f := range []string{"targetList", "jointree", "havingQual", "limitCount", "limitOffset", "windowClause", "rtable"} {
		d.sublinks(me, scopes, me.query.field(f))
	}
}

func (d *deriver) sublinks(me *scope, scopes []*scope, v any) {
	walk(v, func(n *node) bool {
		switch n.tag {
		case "QUERY":
			return false
		case "SUBLINK":
			d.sublinks(me, scopes, n.field("testexpr"))
			q := n.child("subselect")
			outerGuards := map[int]guard{}
			for _, m := range me.members {
				for _, c := range m.tested {
					if g, ok := me.known[c]; ok && m.query == q {
						outerGuards[1] = g
					}
				}
			}
			d.query(q, scopes, outerGuards)
			return false
		}
		return true
	})
}
