package analysis

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generator makes random queries over the tables fa, fb and fc and the views on
// them: joins of every kind, subqueries, set operations, CTEs, grouping, windows,
// limits. Values are few, so that rows meet and miss each other often. Some stand
// in the text, some become parameters.
type generator struct {
	random  *rand.Rand
	aliases int
	params  []*string // bound text values; nil is NULL
	ctes    []string
}

// source is something in FROM: an alias with integer columns, and perhaps the
// text column s.
type source struct {
	alias   string
	columns []string
	text    bool
}

func (g *generator) chance(percent int) bool { return g.random.IntN(100) < percent }

func choose[T any](g *generator, from ...T) T { return from[g.random.IntN(len(from))] }

func (g *generator) alias() string {
	g.aliases++
	return fmt.Sprintf("t%d", g.aliases)
}

// number is a value: mostly a literal, sometimes a parameter, rarely NULL.
func (g *generator) number() string { return g.value(fmt.Sprint(g.random.IntN(4))) }

func (g *generator) text() string {
	v := fmt.Sprint(g.random.IntN(4))
	if g.chance(50) {
		return g.parameter(v)
	}
	return "'" + v + "'"
}

func (g *generator) value(v string) string {
	if g.chance(25) {
		return g.parameter(v)
	}
	if g.chance(3) {
		return "NULL"
	}
	return v
}

func (g *generator) parameter(v string) string {
	bound := &v
	if g.chance(5) {
		bound = nil
	}
	g.params = append(g.params, bound)
	return fmt.Sprintf("$%d", len(g.params))
}

func (g *generator) array() string {
	v := fmt.Sprintf("{%d,%d,NULL}", g.random.IntN(4), g.random.IntN(4))
	g.params = append(g.params, &v)
	return fmt.Sprintf("$%d", len(g.params))
}

func (g *generator) column(of []source) string {
	s := choose(g, of...)
	return s.alias + "." + choose(g, s.columns...)
}

// predicate is a condition over the local sources; outer ones may take part.
func (g *generator) predicate(local, outer []source, depth int) string {
	c := g.column(local)
	switch n := g.random.IntN(26); {
	case n < 6:
		return c + " = " + g.number()
	case n < 9:
		return c + " = " + g.column(local)
	case n < 11 && len(outer) > 0:
		return c + " = " + g.column(outer)
	case n == 11:
		return c + " IN (" + g.number() + ", " + g.number() + ")"
	case n == 12:
		return g.number() + " = " + c
	case n == 13:
		return "(" + g.predicate(local, outer, 0) + " OR " + g.predicate(local, outer, 0) + ")"
	case n == 14:
		return "NOT (" + g.predicate(local, outer, 0) + ")"
	case n == 15:
		return c + choose(g, " IS NULL", " IS NOT NULL")
	case n == 16:
		return c + choose(g, " < ", " <> ", " IS DISTINCT FROM ", " IS NOT DISTINCT FROM ") + fmt.Sprint(g.random.IntN(4))
	case n == 17:
		return "coalesce(" + c + ", 0) = " + g.number()
	case n == 18:
		return c + " = ANY (" + g.array() + ")"
	case n == 19:
		return "(" + c + " = 1 AND " + g.predicate(local, outer, 0) + " OR " + c + " = " + g.number() + ")"
	case n < 22:
		return g.textPredicate(local, outer)
	case depth > 0:
		return g.subqueryPredicate(c, local, outer, depth-1)
	}
	return c + " = " + g.number()
}

func (g *generator) textPredicate(local, outer []source) string {
	texts := func(of []source) (out []string) {
		for _, s := range of {
			if s.text {
				out = append(out, s.alias+".s")
			}
		}
		return out
	}
	mine := texts(local)
	if len(mine) == 0 {
		return g.column(local) + " = " + g.number()
	}
	all := append(mine, texts(outer)...)
	switch g.random.IntN(4) {
	case 0:
		return choose(g, mine...) + " = " + choose(g, all...)
	case 1:
		return choose(g, mine...) + " IN (" + g.text() + ", " + g.text() + ")"
	}
	return choose(g, mine...) + " = " + g.text()
}

func (g *generator) subqueryPredicate(c string, local, outer []source, depth int) string {
	all := append(append([]source{}, local...), outer...)
	not := choose(g, "", "", "NOT ")
	switch g.random.IntN(6) {
	case 0, 1:
		return not + "EXISTS (" + g.selectQuery(depth, all, 1) + ")"
	case 2, 3:
		return c + " " + not + "IN (" + g.selectQuery(depth, all, 1) + ")"
	case 4:
		return c + choose(g, " = ALL (", " <> ALL (", " = ANY (", " < ANY (") + g.selectQuery(depth, all, 1) + ")"
	}
	from, inner := g.from(0)
	return c + " = (SELECT " + choose(g, "max", "count", "min") + "(" + g.column(inner) + ") FROM " + from +
		g.where(inner, all, 0) + ")"
}

func (g *generator) where(local, outer []source, depth int) string {
	var parts []string
	for range g.random.IntN(4) {
		parts = append(parts, g.predicate(local, outer, depth))
	}
	if len(parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(parts, " AND ")
}

// item is one thing in FROM.
func (g *generator) item(depth int) (string, source) {
	a := g.alias()
	switch {
	case depth > 0 && g.chance(25):
		return "(" + g.selectQuery(depth-1, nil, 2) + ") " + a + "(c1, c2)", source{a, []string{"c1", "c2"}, false}
	case len(g.ctes) > 0 && g.chance(25):
		return choose(g, g.ctes...) + " " + a, source{a, []string{"c1", "c2"}, false}
	case g.chance(15):
		return choose(g, "fv1", "fv2", "fv3") + " " + a, source{a, []string{"id", "x"}, true}
	}
	return choose(g, "fa", "fb", "fc") + " " + a, source{a, []string{"id", "x", "y"}, true}
}

func (g *generator) from(depth int) (string, []source) {
	text, first := g.item(depth)
	sources := []source{first}
	for range choose(g, 0, 0, 1, 1, 2) {
		var more string
		var added []source
		kind := choose(g, "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
		switch {
		case depth > 0 && g.chance(15):
			a := g.alias()
			more = "LATERAL (" + g.selectQuery(depth-1, sources, 1) + ") " + a + "(c1)"
			added = []source{{a, []string{"c1"}, false}}
			kind = choose(g, "JOIN", "LEFT JOIN")
		case g.chance(25):
			left, l := g.item(depth)
			right, r := g.item(depth)
			added = []source{l, r}
			more = "(" + left + " " + choose(g, "JOIN", "LEFT JOIN", "RIGHT JOIN") + " " + right + " ON " + g.predicate(added, nil, 0) + ")"
		default:
			var one source
			more, one = g.item(depth)
			added = []source{one}
		}
		on := g.joinCondition(kind, sources, added)
		text += " " + kind + " " + more + " ON " + on
		sources = append(sources, added...)
	}
	return text, sources
}

// joinCondition keeps to what a full join can be planned with.
func (g *generator) joinCondition(kind string, left, right []source) string {
	on := g.column(right) + " = " + g.column(left)
	all := append(append([]source{}, left...), right...)
	switch {
	case kind == "FULL JOIN" && g.chance(50):
		on += " AND " + g.column(right) + " = " + g.column(left)
	case kind != "FULL JOIN" && g.chance(30):
		on = g.predicate(all, nil, 0)
	case kind != "FULL JOIN" && g.chance(50):
		on += " AND " + g.predicate(all, nil, 0)
	}
	return on
}

// selectQuery makes a query with integer columns c1, or c1 and c2.
func (g *generator) selectQuery(depth int, outer []source, width int) string {
	if depth > 0 && g.chance(18) {
		op := choose(g, "UNION", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL")
		q := "(" + g.selectQuery(depth-1, outer, width) + ") " + op + " (" + g.selectQuery(depth-1, outer, width) + ")"
		if g.chance(15) {
			q += " ORDER BY " + []string{"", "1", "1, 2"}[width] + " LIMIT 2"
		}
		return q
	}
	from, sources := g.from(depth)
	tail := from + g.where(sources, outer, depth)
	e := []string{g.column(sources), g.column(sources)}[:width]
	list := func() string {
		var out []string
		for i := range e {
			out = append(out, fmt.Sprintf("%s AS c%d", e[i], i+1))
		}
		return strings.Join(out, ", ")
	}
	order := " ORDER BY " + []string{"", "1", "1, 2"}[width]
	switch n := g.random.IntN(12); {
	case n == 0:
		return "SELECT DISTINCT " + list() + " FROM " + tail
	case n == 1 && width == 2:
		return g.grouped(e[0], e[1], tail)
	case n == 1:
		e[0] = "count(*)::int"
		return "SELECT " + list() + " FROM " + tail
	case n == 2:
		return "SELECT " + list() + " FROM " + tail + order + " LIMIT " + fmt.Sprint(1+g.random.IntN(3))
	case n == 3:
		return "SELECT " + list() + " FROM " + tail + order + " OFFSET 1"
	case n == 4 && width == 2:
		return "SELECT DISTINCT ON (" + choose(g, e...) + ") " + list() + " FROM " + tail + " ORDER BY " + e[0] + ", " + e[1]
	case n == 5 && width == 2:
		e[1] = choose(g, "sum("+e[1]+") OVER (PARTITION BY "+e[0]+")", "count(*) OVER ()",
			"rank() OVER (ORDER BY "+e[0]+", "+e[1]+")") + "::int"
	case n == 6 && depth > 0:
		f, s := g.from(0)
		e[width-1] = "(SELECT max(" + g.column(s) + ")::int FROM " + f + g.where(s, sources, 0) + ")"
	case n == 7:
		e[width-1] = "CASE WHEN " + g.predicate(sources, nil, depth) + " THEN " + e[width-1] + " END"
	}
	return "SELECT " + list() + " FROM " + tail
}

func (g *generator) grouped(key, value, tail string) string {
	aggregate := choose(g, "count(*)::int", "max("+value+")", "sum("+value+")::int")
	having := choose(g, "", "", " HAVING count(*) > 1", " HAVING "+key+" = "+fmt.Sprint(g.random.IntN(4)))
	by := choose(g, key, key, key, "ROLLUP ("+key+")", "GROUPING SETS (("+key+"), ())")
	return "SELECT " + key + " AS c1, " + aggregate + " AS c2 FROM " + tail + " GROUP BY " + by + having
}

// query makes a whole statement.
func (g *generator) query() string {
	g.aliases, g.params, g.ctes = 0, nil, nil
	with := ""
	switch n := g.random.IntN(100); {
	case n < 10:
		with = "WITH RECURSIVE w1(c1, c2) AS (" + g.recursive() + ") "
		g.ctes = []string{"w1"}
	case n < 40:
		with = "WITH w1 AS (" + g.selectQuery(1, nil, 2) + ")"
		names := []string{"w1"}
		if g.chance(35) {
			g.ctes = names
			with += ", w2 AS (" + g.selectQuery(1, nil, 2) + ")"
			names = append(names, "w2")
		}
		g.ctes = names
		with += " "
	}
	if g.chance(45) {
		return with + g.wrapped()
	}
	return with + g.selectQuery(1+g.random.IntN(2), nil, 1+g.random.IntN(2))
}

// recursive makes the two arms of w1. UNION and values that are only handed on
// make it end.
func (g *generator) recursive() string {
	where := choose(g, "", " WHERE a.id = 1", " WHERE a.x = 2")
	column := func(alias string) string { return alias + "." + choose(g, "id", "x", "y") + "::int8" }
	step := choose(g, "r.c1", "r.c2", "s."+choose(g, "id", "x", "y")+"::int8")
	return "SELECT " + column("a") + ", " + column("a") + " FROM " + choose(g, "fa", "fb", "fc") + " a" + where +
		" UNION SELECT " + column("s") + ", " + step + " FROM " + choose(g, "fa", "fb", "fc") + " s JOIN w1 r ON s." +
		choose(g, "id", "x", "y") + " = r." + choose(g, "c1", "c2") + choose(g, "", "", " WHERE s.y = 1", " WHERE r.c1 = 2")
}

// wrapped puts conditions around a query whose shape decides whether they may
// be pushed into it.
func (g *generator) wrapped() string {
	var inner string
	if g.chance(70) {
		inner = g.shaped()
	} else {
		inner = g.selectQuery(1, nil, 2)
	}
	c := "s." + choose(g, "c1", "c2")
	switch g.random.IntN(6) {
	case 0, 4, 5:
		return "SELECT s.c1, s.c2 FROM (" + inner + ") s(c1, c2) WHERE " + c + " = " + g.number()
	case 1:
		kind := choose(g, "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
		return "SELECT s.c1, k.y FROM (" + inner + ") s(c1, c2) " + kind + " fb k ON k.id = " + c + " WHERE " +
			choose(g, c, "k.id", "k.x") + " = " + g.number()
	case 2:
		return "SELECT k.id, k.x FROM fb k WHERE k.id = " + g.number() + " AND k.id " +
			choose(g, "IN", "NOT IN", "= ALL", "< ANY") + " (SELECT s.c1 FROM (" + inner + ") s(c1, c2))"
	}
	return "SELECT a.c1, b.c2 FROM (" + inner + ") a(c1, c2), LATERAL (SELECT * FROM fc WHERE fc.x = a." +
		choose(g, "c1", "c2") + ") b(c1, c2) WHERE a.c1 = " + g.number()
}

// shaped makes a small query on one table, or two, of a shape through which
// conditions pass only in part or not at all.
func (g *generator) shaped() string {
	table := choose(g, "fa", "fb", "fc") + " i"
	if g.chance(25) {
		table += choose(g, " JOIN ", " LEFT JOIN ", " FULL JOIN ") + choose(g, "fa", "fb", "fc") + " j ON j.id = i." + choose(g, "id", "x", "y")
	}
	a, b := "i."+choose(g, "id", "x", "y"), "i."+choose(g, "id", "x", "y")
	where := ""
	if g.chance(25) {
		where = " WHERE i." + choose(g, "id", "x", "y") + " = " + g.number()
	}
	tail := " FROM " + table + where
	list := "SELECT " + a + " AS c1, " + b + " AS c2" + tail
	switch g.random.IntN(9) {
	case 0:
		return list + " ORDER BY 1, 2 LIMIT 2"
	case 1:
		return list + " ORDER BY 1, 2 OFFSET 1"
	case 2:
		return "SELECT " + a + " AS c1, rank() OVER (ORDER BY " + b + ")::int AS c2" + tail
	case 3:
		return "SELECT " + a + " AS c1, count(*) OVER (PARTITION BY " + b + ")::int AS c2" + tail
	case 4:
		return "SELECT max(" + a + ") AS c1, count(*)::int AS c2" + tail + choose(g, "", " GROUP BY "+b)
	case 5:
		return "SELECT " + a + " AS c1, count(*)::int AS c2" + tail + " GROUP BY " +
			choose(g, a, "ROLLUP ("+a+")", "GROUPING SETS (("+a+"), ())")
	case 6:
		return "SELECT DISTINCT ON (" + a + ") " + a + " AS c1, " + b + " AS c2" + tail + " ORDER BY 1, 2"
	case 7:
		return "SELECT DISTINCT " + a + " AS c1, " + b + " AS c2" + tail
	}
	return list + " " + choose(g, "UNION", "EXCEPT", "INTERSECT", "EXCEPT ALL") + " SELECT id, x FROM " + choose(g, "fa", "fb", "fc")
}
