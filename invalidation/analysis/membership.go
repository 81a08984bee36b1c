package analysis

// sublink notes column IN (SELECT …) and EXISTS (SELECT …). Of NOT IN nothing is
// noted: a NULL in the output decides on every value, and so does a value on those
// that differ. may tells which entries the condition restricts.
func (d *deriver) sublink(scopes []*scope, n *node, may func(int) bool) {
	me, m := scopes[len(scopes)-1], membership{query: n.child("subselect")}
	switch n.int("subLinkType") {
	case sublinkAny:
		c, ok := d.tested(scopes, n)
		if !ok {
			return
		}
		m.tested = []column{c}
		if may(c.entry) {
			m.implied = []implication{{c, nil}}
		}
	case sublinkExists:
	default:
		return
	}
	if returnsRowsOf(m.query) {
		m.implied = append(m.implied, d.correlations(scopes, m.query, may)...)
	}
	me.members = append(me.members, m)
}

// tested returns the column of "column IN (SELECT …)".
func (d *deriver) tested(scopes []*scope, n *node) (column, bool) {
	test, ok := n.field("testexpr").(*node)
	if !ok || test.tag != "OPEXPR" || !d.isEquality(test) {
		return column{}, false
	}
	args := test.nodes("args")
	if len(args) != 2 {
		return column{}, false
	}
	s, c, ok := d.variable(scopes, args[0])
	p := bare(args[1])
	isOutput := p.tag == "PARAM" && p.int("paramkind") == paramSublink && p.int("paramid") == 1
	return c, ok && s == scopes[len(scopes)-1] && isOutput
}

// returnsRowsOf tells whether a query returns a row only for rows that its WHERE
// lets through. Without GROUP BY, an aggregate or HAVING makes one of none.
func returnsRowsOf(q *node) bool {
	return q.field("setOperations") == nil && q.field("groupingSets") == nil && !q.bool("hasAggs") && q.field("havingQual") == nil
}

// correlations returns what the WHERE of a subquery says of columns of the level
// around it, if it has to be true: they equal a column of its own.
func (d *deriver) correlations(scopes []*scope, q *node, may func(int) bool) (implied []implication) {
	me, inner := scopes[len(scopes)-1], newScope(q, scopes)
	for _, n := range conjunction(q.child("jointree").field("quals")) {
		if n.tag != "OPEXPR" || !d.isEquality(n) {
			continue
		}
		args := n.nodes("args")
		for i := range args {
			own, other := args[i], args[len(args)-1-i]
			if s, c, ok := d.variable(inner.around, other); ok && s == me && may(c.entry) {
				implied = append(implied, implication{c, own})
			}
		}
	}
	return implied
}

// conjunction returns the parts of a condition, all of which have to be true.
func conjunction(v any) []*node {
	switch v := v.(type) {
	case list:
		var all []*node
		for _, e := range v {
			all = append(all, conjunction(e)...)
		}
		return all
	case *node:
		if v.tag == "BOOLEXPR" && v.atom("boolop") == "and" {
			return conjunction(v.field("args"))
		}
		return []*node{v}
	}
	return nil
}

// imply notes the guards that a query implies by itself.
func (d *deriver) imply(me *scope, m membership) {
	if m.query.field("setOperations") != nil {
		if g, ok := d.query(m.query, me.around, nil)[1]; ok {
			me.learn(m.implied[0].column, g)
		}
		return
	}
	d.count()
	inner := newScope(m.query, me.around)
	d.knowledge(inner, nil)
	for _, l := range m.implied {
		if s, c, ok := d.variable(inner.around, l.in(m.query)); ok && s == inner {
			if g, ok := inner.known[c]; ok {
				me.learn(l.column, g)
			}
		}
	}
}

// in returns the expression of an implication: without one, the query's first column.
func (l implication) in(q *node) any {
	if l.value != nil {
		return l.value
	}
	return output(q, 1)
}

// output returns what stands in an output column of a query, nil if there is none.
func output(q *node, number int) any {
	for _, t := range q.nodes("targetList") {
		if t.int("resno") == number {
			return t.field("expr")
		}
	}
	return nil
}

// lookIn notes the guards that lookups in a query find, for columns that have none. It reports whether that was something.
func (d *deriver) lookIn(me *scope, m membership) (learned bool) {
	me.asks = true
	defer func() { me.asks = false }()
	var inner *scope
	for _, l := range m.implied {
		if _, known := me.known[l.column]; known {
			continue
		}
		if inner == nil {
			if inner = d.behind(m.query, me.around, nil); inner == nil {
				return false
			}
		}
		if g, ok := d.valuesIn(inner, l.in(m.query)); ok {
			me.known[l.column] = g
			learned = true
		}
	}
	return learned
}
