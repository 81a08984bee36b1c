package analysis

import (
	"slices"
	"strconv"
)

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
		d.sublink(scopes, n, may)
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
		if ls == me {
			d.correlate(rs, rc, func(g guard) { learn(lc, g) })
		}
		if rs == me {
			d.correlate(ls, lc, func(g guard) { learn(rc, g) })
		}
	case lok && ls == me:
		d.equals(me, lc, args[1], may)
	case rok && rs == me:
		d.equals(me, rc, args[0], may)
	}
}

// equals reads column = value and column = (SELECT …).
func (d *deriver) equals(me *scope, c column, v *node, may func(int) bool) {
	if !may(c.entry) {
		return
	}
	if g, ok := d.value(v); ok {
		me.learn(c, g)
		return
	}
	if v = bare(v); v.tag == "SUBLINK" && v.int("subLinkType") == sublinkExpr {
		me.members = append(me.members, membership{query: v.child("subselect"), implied: []implication{{c, nil}}})
	}
}

// correlate has a column compared with one of an outer level learn what is known
// of that, or what a lookup finds.
func (d *deriver) correlate(outer *scope, c column, learn func(guard)) {
	if g, ok := outer.known[c]; ok {
		learn(g)
		return
	}
	// What is looked up to tell of a level is not to come from it.
	if outer.asks {
		return
	}
	if g, ok := d.lookedUp(outer, c); ok {
		learn(g)
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
	case "CONST":
		if g, ok := d.arrayConstant(array); ok {
			learn(c, g)
		}
	case "PARAM":
		element, ok := elementOf[array.oid("paramtype")]
		if ok && array.int("paramkind") == paramExtern {
			learn(c, guard{{Origin: Array, Index: array.int("paramid") - 1, Type: element}})
		}
	}
}

// arrayConstant reads '{1,2}' from the statement's text, which is all there is to
// such a constant. Statements with other texts there do not share the verdict.
func (d *deriver) arrayConstant(n *node) (guard, bool) {
	element, known := elementOf[n.oid("consttype")]
	text, ok := d.text(n.int("location"))
	if !known || !ok || n.bool("constisnull") {
		return nil, false
	}
	items, ok := textArray(element, text, guardValuesMax)
	if !ok {
		return nil, false
	}
	g := guard{}
	for _, item := range items {
		g = append(g, ValueSource{Origin: Fixed, Type: element, Text: item})
	}
	return g, true
}
