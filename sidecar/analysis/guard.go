package analysis

import (
	"encoding/binary"
	"slices"
	"sort"
	"strconv"
)

// queryVisitsMax bounds the work on nested queries: each level looks at all
// below it for what they tell, before it tells them what it knows.
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

// membership is a conjunct "column IN (SELECT …)".
type membership struct {
	column column
	query  *node
}

// scope is one query level on the way down.
type scope struct {
	query   *node
	entries []*node
	known   map[column]guard
	edges   []edge
	members []membership
	ctes    map[string]*node
}

func newScope(q *node) *scope {
	return &scope{query: q, entries: q.nodes("rtable"), known: map[column]guard{}, ctes: map[string]*node{}}
}

func (s *scope) entry(i int) *node {
	if i < 1 || i > len(s.entries) {
		panic(refuse(ReasonUnknownNode, "range table index "+strconv.Itoa(i)))
	}
	return s.entries[i-1]
}

// learn notes a guard; of two for the same column the cheaper stays.
func (s *scope) learn(c column, g guard) {
	if have, ok := s.known[c]; !ok || g.cost() < have.cost() {
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
	deterministic func(collation uint32) bool
	visits        int
	dry           int // above 0: only facts are wanted, occurrences do not count
}

// query derives the guards of one query level and of everything below it. told
// are guards on its output columns, by position, that its reader brings along;
// the returned facts are those its reader may rely on: the output column has one
// of the values, or is NULL.
func (d *deriver) query(q *node, outer []*scope, told map[int]guard) map[int]guard {
	if d.visits++; d.visits > queryVisitsMax {
		panic(refuse(ReasonTooComplex, "queries nested too deeply"))
	}
	me := newScope(q)
	scopes := append(slices.Clone(outer), me)
	for _, c := range q.nodes("cteList") {
		name := c.name("ctename")
		if me.ctes[name] != nil {
			panic(refuse(ReasonUnknownNode, "two CTE names that read the same"))
		}
		me.ctes[name] = c
	}
	if restrictsItself(q) {
		told = nil
	}
	var facts map[int]guard
	if q.field("setOperations") != nil {
		facts = d.setOperation(me, scopes, told)
	} else {
		facts = d.plain(me, scopes, told)
	}
	if d.dry == 0 {
		d.rest(me, scopes)
	}
	return facts
}

// restrictsItself tells whether restricting the query's output is not the same
// as restricting its input: what LIMIT, OFFSET and windows let through depends
// on the other rows.
func restrictsItself(q *node) bool {
	return q.field("limitCount") != nil || q.field("limitOffset") != nil || q.bool("hasWindowFuncs")
}

// setOperation passes what is told to every arm: set operations compare whole
// rows, so rows with other values cannot matter in any. What all arms say of a
// column is a fact.
func (d *deriver) setOperation(me *scope, scopes []*scope, told map[int]guard) map[int]guard {
	var facts map[int]guard
	for _, e := range me.entries {
		if e.int("rtekind") != rteSubquery {
			continue
		}
		arm := d.query(e.child("subquery"), scopes, told)
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
func (d *deriver) plain(me *scope, scopes []*scope, told map[int]guard) map[int]guard {
	d.listen(me, scopes, told)
	used := d.from(scopes, me.query.child("jointree"))
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
	d.dry--
	me.propagate()
	if d.dry == 0 {
		for _, i := range used {
			d.visit(me, scopes, i)
		}
	}
	return d.facts(me, scopes)
}

// visit tells one range table entry what is known of its columns.
func (d *deriver) visit(me *scope, scopes []*scope, i int) {
	guards := map[int]guard{}
	for c, g := range me.known {
		if c.entry == i {
			guards[c.number] = g
		}
	}
	e := me.entry(i)
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
// it. sole is false when others read the same query, so that it may not be told
// what only this reader knows.
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

// listen takes over what the reader of this level tells about output columns, as
// far as restricting the output restricts the input: not for what an aggregate
// makes, nor for columns that DISTINCT ON does not compare.
func (d *deriver) listen(me *scope, scopes []*scope, told map[int]guard) {
	q := me.query
	if len(told) == 0 || q.field("groupingSets") != nil {
		return
	}
	groups, distinct := references(q, "groupClause"), references(q, "distinctClause")
	grouped := len(groups) > 0 || q.bool("hasAggs") || q.field("havingQual") != nil
	for _, t := range q.nodes("targetList") {
		g, ok := told[t.int("resno")]
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

// conjuncts learns from a condition that must hold. may tells which entries it
// restricts.
func (d *deriver) conjuncts(scopes []*scope, v any, may func(int) bool) {
	if l, ok := v.(list); ok {
		for _, e := range l {
			d.conjuncts(scopes, e, may)
		}
		return
	}
	n, ok := v.(*node)
	if !ok {
		return
	}
	me := scopes[len(scopes)-1]
	learn := func(c column, g guard) {
		if may(c.entry) {
			me.learn(c, g)
		}
	}
	switch n.tag {
	case "BOOLEXPR":
		d.boolean(scopes, n, may, learn)
	case "VAR":
		if s, c, ok := d.variable(scopes, n); ok && s == me {
			learn(c, boolGuard(true))
		}
	case "BOOLEANTEST":
		d.booleanTest(scopes, n, learn)
	case "OPEXPR":
		d.comparison(scopes, n, may, learn)
	case "SCALARARRAYOPEXPR":
		d.anyOf(scopes, n, learn)
	case "SUBLINK":
		d.member(scopes, n)
	}
}

func (d *deriver) boolean(scopes []*scope, n *node, may func(int) bool, learn func(column, guard)) {
	args := n.nodes("args")
	me := scopes[len(scopes)-1]
	switch n.atom("boolop") {
	case "and":
		for _, a := range args {
			d.conjuncts(scopes, a, may)
		}
	case "or":
		for c, g := range d.everyArm(scopes, args, may) {
			learn(c, g)
		}
	case "not":
		if len(args) != 1 {
			return
		}
		if s, c, ok := d.variable(scopes, args[0]); ok && s == me {
			learn(c, boolGuard(false))
		}
	}
}

// everyArm returns the guards that all arms of an OR have for the same column,
// united.
func (d *deriver) everyArm(scopes []*scope, arms []*node, may func(int) bool) map[column]guard {
	me := scopes[len(scopes)-1]
	var common map[column]guard
	for _, arm := range arms {
		alone := &scope{query: me.query, entries: me.entries, known: map[column]guard{}, ctes: me.ctes}
		inArm := append(slices.Clone(scopes[:len(scopes)-1]), alone)
		d.conjuncts(inArm, arm, may)
		if common == nil {
			common = alone.known
			continue
		}
		for c, g := range common {
			if other, ok := alone.known[c]; ok {
				common[c] = union(g, other)
			} else {
				delete(common, c)
			}
		}
	}
	return common
}

// booleanTest reads IS TRUE (0) and IS FALSE (2).
func (d *deriver) booleanTest(scopes []*scope, n *node, learn func(column, guard)) {
	s, c, ok := d.variable(scopes, n.field("arg"))
	if !ok || s != scopes[len(scopes)-1] {
		return
	}
	switch n.int("booltesttype") {
	case 0:
		learn(c, boolGuard(true))
	case 2:
		learn(c, boolGuard(false))
	}
}

func boolGuard(b bool) guard {
	return guard{{Origin: Fixed, Type: typeBool, Text: strconv.FormatBool(b)}}
}

// isEquality tells whether an operator, as used here, says equal of texts only
// when they are the same.
func (d *deriver) isEquality(n *node) bool {
	return equality[n.oid("opno")] && d.deterministic(n.oid("inputcollid"))
}

// comparison reads column = value and column = column.
func (d *deriver) comparison(scopes []*scope, n *node, may func(int) bool, learn func(column, guard)) {
	args := n.nodes("args")
	if len(args) != 2 || !d.isEquality(n) {
		return
	}
	me := scopes[len(scopes)-1]
	ls, lc, lok := d.variable(scopes, args[0])
	rs, rc, rok := d.variable(scopes, args[1])
	switch {
	case lok && rok && ls == me && rs == me:
		if may(rc.entry) {
			me.edges = append(me.edges, edge{lc, rc})
		}
		if may(lc.entry) {
			me.edges = append(me.edges, edge{rc, lc})
		}
	case lok && rok:
		// One of an outer level: for each of its rows that matter, the value is known.
		if g, ok := rs.known[rc]; ok && ls == me {
			learn(lc, g)
		}
		if g, ok := ls.known[lc]; ok && rs == me {
			learn(rc, g)
		}
	case lok && ls == me:
		if g, ok := d.value(args[1]); ok {
			learn(lc, g)
		}
	case rok && rs == me:
		if g, ok := d.value(args[0]); ok {
			learn(rc, g)
		}
	}
}

// anyOf reads column IN (values) and column = ANY (array).
func (d *deriver) anyOf(scopes []*scope, n *node, learn func(column, guard)) {
	args := n.nodes("args")
	if len(args) != 2 || !n.bool("useOr") || !d.isEquality(n) {
		return
	}
	s, c, ok := d.variable(scopes, args[0])
	if !ok || s != scopes[len(scopes)-1] {
		return
	}
	switch array := args[1]; array.tag {
	case "ARRAYEXPR":
		if array.bool("multidims") {
			return
		}
		g := guard{}
		for _, e := range array.nodes("elements") {
			if isNull(e) {
				continue
			}
			one, ok := d.value(e)
			if !ok {
				return
			}
			g = append(g, one...)
		}
		learn(c, g)
	case "PARAM":
		element, ok := elementOf[array.oid("paramtype")]
		if ok && array.int("paramkind") == paramExtern {
			learn(c, guard{{Origin: Array, Index: array.int("paramid") - 1, Type: element}})
		}
	}
}

// member notes column IN (SELECT …): what is known of the column restricts the
// subquery's output.
func (d *deriver) member(scopes []*scope, n *node) {
	test, ok := n.field("testexpr").(*node)
	if n.int("subLinkType") != sublinkAny || !ok || test.tag != "OPEXPR" || !d.isEquality(test) {
		return
	}
	args := test.nodes("args")
	if len(args) != 2 {
		return
	}
	me := scopes[len(scopes)-1]
	s, c, ok := d.variable(scopes, args[0])
	p := bare(args[1])
	if ok && s == me && p.tag == "PARAM" && p.int("paramkind") == paramSublink && p.int("paramid") == 1 {
		me.members = append(me.members, membership{c, n.child("subselect")})
	}
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
			told := map[int]guard{}
			for _, m := range me.members {
				if g, ok := me.known[m.column]; ok && m.query == q {
					told[1] = g
				}
			}
			d.query(q, scopes, told)
			return false
		}
		return true
	})
}

// bare strips what keeps equality: relabelling between text and varchar, and
// casts to a wider integer.
func bare(n *node) *node {
	for {
		switch {
		case n.tag == "RELABELTYPE" && isText(n.oid("resulttype")):
			arg := n.child("arg")
			if !isText(textual(arg)) {
				return n
			}
			n = arg
		case n.tag == "FUNCEXPR" && widening[n.oid("funcid")]:
			args := n.nodes("args")
			if len(args) != 1 {
				return n
			}
			n = args[0]
		default:
			return n
		}
	}
}

func isText(typ uint32) bool { return typ == typeText || typ == typeVarchar }

// textual returns the type of the nodes that bare looks through relabelling for;
// 0 for others.
func textual(n *node) uint32 {
	switch n.tag {
	case "VAR":
		return n.oid("vartype")
	case "CONST":
		return n.oid("consttype")
	case "PARAM":
		return n.oid("paramtype")
	case "RELABELTYPE":
		return n.oid("resulttype")
	}
	return 0
}

// variable resolves a column reference, through join aliases and grouping, to
// the level and entry it comes from. Columns under a collation that calls
// different texts equal do not count.
func (d *deriver) variable(scopes []*scope, v any) (*scope, column, bool) {
	n, ok := v.(*node)
	if !ok {
		return nil, column{}, false
	}
	if n = bare(n); n.tag != "VAR" {
		return nil, column{}, false
	}
	s := level(scopes, n.int("varlevelsup"))
	if s == nil {
		panic(refuse(ReasonUnknownNode, "VAR of no level"))
	}
	// An alias leads to an earlier entry, so this ends; a tree in which it does not
	// is no tree of Postgres.
	for range len(s.entries) {
		if !d.deterministic(n.oid("varcollid")) {
			return nil, column{}, false
		}
		c := column{n.int("varno"), n.int("varattno")}
		behind := ""
		switch e := s.entry(c.entry); e.int("rtekind") {
		case rteJoin:
			behind = "joinaliasvars"
		case rteGroup:
			behind = "groupexprs"
		default:
			return s, c, c.number > 0
		}
		aliases := s.entry(c.entry).list(behind)
		if c.number < 1 || c.number > len(aliases) {
			return nil, column{}, false
		}
		alias, ok := aliases[c.number-1].(*node)
		if !ok {
			return nil, column{}, false
		}
		if n = bare(alias); n.tag != "VAR" || n.int("varlevelsup") != 0 {
			return nil, column{}, false
		}
	}
	panic(refuse(ReasonUnknownNode, "aliases that lead nowhere"))
}

// isNull tells a constant NULL, which equals nothing.
func isNull(n *node) bool {
	n = bare(n)
	return n.tag == "CONST" && n.bool("constisnull")
}

// value reads a parameter or a constant. A constant NULL is none: whether
// "= NULL" means nothing or IS NULL is a setting's choice.
func (d *deriver) value(n *node) (guard, bool) {
	switch n = bare(n); n.tag {
	case "PARAM":
		typ := n.oid("paramtype")
		if n.int("paramkind") != paramExtern || !canonical[typ] {
			return nil, false
		}
		return guard{{Origin: Parameter, Index: n.int("paramid") - 1, Type: typ}}, true
	case "CONST":
		text, ok := constText(n)
		if !ok {
			return nil, false
		}
		source := ValueSource{Origin: Fixed, Type: n.oid("consttype"), Text: text}
		if i, ok := d.literal(n.int("location")); ok {
			source.Origin, source.Index = Literals, i
		}
		return guard{source}, true
	}
	return nil, false
}

// constText reads the memory image of a constant of a canonical type as text.
func constText(n *node) (string, bool) {
	b, ok := n.field("constvalue").(datum)
	if !ok || n.bool("constisnull") {
		return "", false
	}
	switch n.oid("consttype") {
	case typeInt2, typeInt4, typeInt8:
		if len(b) == 8 {
			return strconv.FormatInt(int64(binary.LittleEndian.Uint64(b)), 10), true
		}
	case typeBool:
		if len(b) == 8 && b[0] <= 1 {
			return strconv.FormatBool(b[0] == 1), true
		}
	case typeText, typeVarchar:
		// Four bytes of header: the length with the header, shifted by two flag bits.
		if len(b) >= 4 && binary.LittleEndian.Uint32(b) == uint32(len(b))<<2 {
			return string(b[4:]), true
		}
	case typeUUID:
		if len(b) == 16 {
			return uuidText(b), true
		}
	}
	return "", false
}
