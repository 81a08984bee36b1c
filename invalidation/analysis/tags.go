package analysis

import (
	"maps"
	"slices"
	"strconv"
)

// shareLiterals finds the literals that may differ between statements that share
// the verdict: those that became exactly the constants they look like, of a type
// whose value decides nothing about the tree.
func (s *statement) shareLiterals(v *Verdict) {
	t, ok := NewTemplate(s.request.SQL, s.request.standardConforming())
	if !ok {
		return
	}
	v.template, v.shared = t, true
	seen, bad := make([]bool, len(t.Literals)), make([]bool, len(t.Literals))
	walk(s.query, func(n *node) bool {
		if n.tag != "CONST" {
			return true
		}
		i := s.text.literalAt(n.int("location"))
		if i < 0 {
			return true
		}
		seen[i] = true
		text, ok := constText(n)
		bad[i] = bad[i] || !ok || !sameValue(t.Literals[i], n.oid("consttype"), text)
		return true
	})
	for _, i := range s.pinnedLiterals() {
		bad[i] = true
	}
	if s.catalogs != nil {
		for _, i := range s.catalogs.pinned {
			bad[i] = true
		}
	}
	v.variable = make([]bool, len(t.Literals))
	for i := range v.variable {
		v.variable[i] = seen[i] && !bad[i]
	}
}

// sameValue tells whether a literal is all there is to a constant.
func sameValue(l Literal, typ uint32, text string) bool {
	isInt := typ == typeInt2 || typ == typeInt4 || typ == typeInt8
	if l.Kind != LiteralString && !isInt {
		return false
	}
	read, ok := CanonicalInput(typ, l.Text)
	return ok && read == text
}

// deriveTags finds the guards, and turns every occurrence of a table into a tag
// template.
func (s *statement) deriveTags(v *Verdict) {
	d := s.deriver(v)
	d.query(s.query, nil, nil)

	var templates []TagTemplate
	hopes := wishes{}
	names, unwatched := map[string]bool{}, map[string]bool{}
	walk(s.query, func(n *node) bool {
		if n.tag != "RANGETBLENTRY" || n.int("rtekind") != rteRelation || n.atom("relkind") == "v" {
			return true
		}
		if s.catalogs.restricts(n) {
			return true
		}
		oid := n.oid("relid")
		table, ok := s.watch.Table(oid)
		if !ok && s.consented {
			r := s.catalog.relation(oid)
			unwatched[r.schema+"."+r.name] = true
			return true
		}
		if !ok {
			panic(refuse(ReasonUnwatchedTable, s.catalog.relation(oid).name))
		}
		names[table.Name] = true
		visits := d.found[n]
		if len(visits) == 0 || !s.precise {
			// Not reached on any way the guards know: any change may matter.
			templates = append(templates, TagTemplate{Root: table.Root})
			hopes.add(table, "")
		}
		for _, guards := range visits {
			t := s.template(oid, table, guards)
			templates = append(templates, t)
			if t.Column == "" {
				hopes.add(table, s.wish(oid, table, guards))
			}
		}
		return true
	})
	for _, oid := range append(s.policyTables(), s.vouchedTables...) {
		table, ok := s.watch.Table(oid)
		if !ok {
			panic(refuse(ReasonUnwatchedTable, s.catalog.relation(oid).name))
		}
		names[table.Name] = true
		templates = append(templates, TagTemplate{Root: table.Root})
		hopes.add(table, "")
	}
	v.Tags, v.Wishes = withRowsLookedUp(compact(templates), d.lookups), hopes.list()
	v.lookups = usedLookups(v.Tags, d.lookups)
	v.Tables, v.Unwatched = slices.Sorted(maps.Keys(names)), slices.Sorted(maps.Keys(unwatched))
	for _, t := range v.Tags {
		v.Relations = append(v.Relations, t.Root)
	}
	slices.Sort(v.Relations)
	v.Relations = slices.Compact(v.Relations)
	v.Mentioned = s.mentioned()
}

// deriver returns one for the statement, whose literals are shared as v says.
func (s *statement) deriver(v *Verdict) *deriver {
	return &deriver{
		found: map[*node][]map[int]guard{},
		literal: func(location int) (int, bool) {
			i := s.text.literalAt(location)
			return i, i >= 0 && v.shared && v.variable[i]
		},
		text: func(location int) (string, bool) {
			i := s.text.literalAt(location)
			if i < 0 || s.text.odd || s.text.literals[i].Kind != LiteralString {
				return "", false
			}
			return s.text.literals[i].Text, true
		},
		deterministic: s.catalog.deterministic,
		lookupFor:     s.lookupFor,
	}
}

// mentioned lists the relations of the tree. A view that was expanded stands in
// it still: beside its own query, or (before version 16) as what the query calls
// its old and new row.
func (s *statement) mentioned() []uint32 {
	oids := append(s.policyTables(), s.vouchedTables...)
	walk(s.query, func(n *node) bool {
		if n.tag == "RANGETBLENTRY" {
			if a, ok := n.optional("relid").(atom); ok {
				oid, err := strconv.ParseUint(string(a), 10, 32)
				if err == nil && oid != 0 {
					oids = append(oids, uint32(oid))
				}
			}
		}
		return true
	})
	slices.Sort(oids)
	return slices.Compact(oids)
}

// template chooses the guard for one occurrence: on a watched column of a
// canonical type, the one whose values the fewest rows are likely to have, and
// then the column that is watched first. Any one suffices.
func (s *statement) template(oid uint32, table WatchedTable, guards map[int]guard) TagTemplate {
	best := TagTemplate{Root: table.Root}
	var rows float64 // that the best admits
	relation := s.catalog.relation(oid)
	for _, name := range table.Columns {
		for number, c := range relation.columns {
			g, ok := guards[number]
			if !ok || c.name != name || !canonical[c.typ] || g.cost() > guardValuesMax {
				continue
			}
			if admitted := g.rows(c); best.Column == "" || g.admitsFewer(best.Values, admitted, rows) {
				best, rows = TagTemplate{Root: table.Root, Column: name, Values: g}, admitted
			}
		}
	}
	return best
}

// better tells whether a guard makes better tags of a column than another. One that stands
// behind more lookups never is, whatever it costs: it may have been looked up in
// the very rows that it would guard, by the other guard.
//
//  1. orders with one of 200 ids are joined to their users; the lookup finds users
//     5 and 6, and as orders.user_id = users.id, these guard the orders too;
//  2. an order with another of the ids, of user 7, is inserted;
//  3. it moves the tag of its id, and none of user 5 or 6.
func (g guard) better(other guard) bool {
	if g.level() != other.level() {
		return g.level() < other.level()
	}
	return g.cost() < other.cost()
}

// admitsFewer is better for guards of two columns, where other things are equal by the shares
// of the rows that both admit.
func (g guard) admitsFewer(other guard, rows, otherRows float64) bool {
	if g.level() != other.level() || rows == otherRows {
		return g.better(other)
	}
	return rows < otherRows
}

// rows estimates the share of a table's rows that a guard of a column admits: a change of one
// of them ends the answer.
func (g guard) rows(c relationColumn) float64 { return float64(g.cost()) * c.share }

// cost orders guards by how many tags they are likely to need.
func (g guard) cost() int {
	cost := len(g)
	for _, v := range g {
		switch v.Origin {
		case Array:
			cost += guardValuesMax / 2
		case Joined: // and a round trip
			cost += guardValuesMax/2 + 1
		}
	}
	return max(cost, 1)
}

func (t *TagTemplate) same(other TagTemplate) bool {
	return t.Root == other.Root && t.Column == other.Column && slices.Equal(t.Values, other.Values)
}

// compact drops duplicates, and precise templates beside a whole-table one.
func compact(templates []TagTemplate) []TagTemplate {
	whole := map[uint32]bool{}
	for _, t := range templates {
		whole[t.Root] = whole[t.Root] || t.Column == ""
	}
	var out []TagTemplate
	seen := map[uint32]bool{}
	for _, t := range templates {
		if whole[t.Root] {
			if !seen[t.Root] {
				seen[t.Root] = true
				out = append(out, TagTemplate{Root: t.Root})
			}
			continue
		}
		if !slices.ContainsFunc(out, t.same) {
			out = append(out, t)
		}
	}
	return out
}
