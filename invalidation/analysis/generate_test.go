package analysis

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// generator makes random schemas and random queries on them: joins of every kind,
// subqueries, set operations, CTEs, views, grouping, windows, limits. Some values
// stand in the text, some become parameters.
type generator struct {
	random  *rand.Rand
	aliases int
	tables  []*randomTable
	views   []source
	// rowViews are those of the views that have the columns of a table.
	rowViews []source
	params   []bound
	ctes     []source
	// usual are the values that rows and queries of this schema mostly have, so
	// that they meet.
	usual map[*family][]sample
	// literalsOnly is set where there can be no parameters.
	literalsOnly bool
	// fuzzy is set once a query shows values whose equals print differently.
	fuzzy bool
	// late is set once a query calls what only the type of a value leads to: then it
	// may be refused. lateViews is set if a view of this schema does.
	late, lateViews bool
}

// source is something in FROM, under its alias.
type source struct {
	alias   string
	columns []sourceColumn
}

type sourceColumn struct {
	name   string
	family *family
}

func (g *generator) chance(percent int) bool { return g.random.IntN(100) < percent }

func choose[T any](g *generator, from ...T) T { return from[g.random.IntN(len(from))] }

func (g *generator) alias() string {
	g.aliases++
	return fmt.Sprintf("t%d", g.aliases)
}

// shownFamily draws what a column of an answer is of: mostly what columns can be
// watched of.
func (g *generator) shownFamily() *family {
	if g.chance(75) {
		return choose(g, wholeNumbers, wholeNumbers, wholeNumbers, texts)
	}
	for {
		if f := choose(g, families...); f.shown {
			return f
		}
	}
}

func (g *generator) sample(f *family) sample {
	if g.chance(85) {
		return choose(g, g.usual[f]...)
	}
	return choose(g, f.values...)
}

// value is one of a family: a literal, sometimes a parameter, rarely NULL.
func (g *generator) value(f *family) string {
	v := g.sample(f)
	switch {
	case !g.literalsOnly && g.chance(35):
		return g.parameter(f, v)
	case g.chance(3):
		return "NULL::" + baseType(f.types[0])
	}
	text := v.text
	if len(v.forms) > 0 && g.chance(25) {
		text = choose(g, v.forms...)
	}
	switch {
	case f.bare && g.chance(70):
		return v.text
	case f == texts && g.chance(10):
		return "E" + quoted(text)
	case g.chance(20):
		return quoted(text) + "::" + baseType(choose(g, f.types...))
	}
	return quoted(text)
}

func (g *generator) parameter(f *family, v sample) string {
	text := v.text
	if len(v.forms) > 0 && g.chance(40) {
		text = choose(g, v.forms...)
	}
	b := bound{text: &text, binary: g.chance(50)}
	if g.chance(5) {
		b.text = nil
	}
	if len(f.declare) > 0 && g.chance(30) {
		b.typ = choose(g, f.declare...)
	}
	g.params = append(g.params, b)
	name := fmt.Sprintf("$%d", len(g.params))
	if b.typ == 0 && g.chance(20) {
		name += "::" + baseType(choose(g, f.types...))
	}
	return name
}

// array is a parameter of a few values, one of which may be NULL.
func (g *generator) array(f *family) string {
	var items []string
	for range g.random.IntN(4) {
		v := g.sample(f)
		item := v.text
		if len(v.forms) > 0 && g.chance(30) {
			item = choose(g, v.forms...)
		}
		if item == "" || strings.ContainsAny(item, `{}" `) || g.chance(20) {
			item = `"` + item + `"`
		}
		items = append(items, item)
	}
	if g.chance(30) {
		items = append(items, "NULL")
	}
	text := "{" + strings.Join(items, ",") + "}"
	if g.chance(25) {
		return quoted(text)
	}
	g.params = append(g.params, bound{text: &text, binary: g.chance(50)})
	name := fmt.Sprintf("$%d", len(g.params))
	if g.chance(30) {
		name += "::" + f.array
	}
	return name
}

// column is one of the sources' columns, with its family.
func (g *generator) column(of []source) (string, *family) {
	s := choose(g, of...)
	c := choose(g, s.columns...)
	return s.alias + "." + c.name, c.family
}

// columnOf is a column of the family; a value, if the sources have none.
func (g *generator) columnOf(f *family, of []source) string {
	var all []string
	for _, s := range of {
		for _, c := range s.columns {
			if c.family == f {
				all = append(all, s.alias+"."+c.name)
			}
		}
	}
	if len(all) == 0 {
		_, collation, collated := strings.Cut(f.types[0], " COLLATE ")
		cast := "CAST(" + quoted(choose(g, f.values...).text) + " AS " + baseType(f.types[0]) + ")"
		if collated {
			cast += " COLLATE " + collation
		}
		return cast
	}
	return choose(g, all...)
}

// predicate is a condition over the local sources; outer ones may take part.
func (g *generator) predicate(local, outer []source, depth int) string {
	c, f := g.column(local)
	if g.chance(40) { // most guards are on these
		f = choose(g, wholeNumbers, wholeNumbers, texts)
		c = g.columnOf(f, local)
	}
	switch n := g.random.IntN(26); {
	case n < 6:
		return c + " = " + g.value(f)
	case n < 9:
		return c + " = " + g.columnOf(f, local)
	case n < 11 && len(outer) > 0:
		return c + " = " + g.columnOf(f, outer)
	case n == 11 && len(outer) > 0:
		return g.columnOf(f, outer) + " = " + g.value(f)
	case n == 11:
		return c + choose(g, " IN (", " IN (", " NOT IN (") + g.value(f) + ", " + g.value(f) + ")"
	case n == 12:
		return g.value(f) + " = " + c
	case n == 13:
		return "(" + g.predicate(local, outer, 0) + " OR " + g.predicate(local, outer, 0) + ")"
	case n == 14:
		return "NOT (" + g.predicate(local, outer, 0) + ")"
	case n == 15:
		return c + choose(g, " IS NULL", " IS NOT NULL")
	case n == 16:
		return c + choose(g, " < ", " <> ", " IS DISTINCT FROM ", " IS NOT DISTINCT FROM ") + g.value(f)
	case n == 17:
		return "coalesce(" + c + ", " + g.value(f) + ") = " + g.value(f)
	case n == 18 && f.array != "" && !g.literalsOnly:
		return c + choose(g, " = ANY (", " = ANY (", " = ALL (", " <> ALL (") + g.array(f) + ")"
	case n == 19:
		return "(" + c + " = " + g.value(f) + " AND " + g.predicate(local, outer, 0) + " OR " + c + " = " + g.value(f) + ")"
	case n < 23:
		return g.typedPredicate(c, f)
	case depth > 0:
		return g.subqueryPredicate(c, f, local, outer, depth-1)
	}
	return c + " = " + g.value(f)
}

// typedPredicate is a condition that only columns of this family can have: above
// all those that look like an equality of texts, and are not.
func (g *generator) typedPredicate(c string, f *family) string {
	switch f.name {
	case "int":
		return choose(g,
			c+"::text = "+quoted(choose(g, f.values...).text),
			c+" = "+choose(g, "1.0", "2.0", "1.5"),
			c+"::bigint = "+g.value(f), c+" + 0 = "+g.value(f),
			"- "+c+" = "+g.value(f))
	case "text":
		v := quoted(choose(g, "a", "a", "A", "a "))
		return choose(g,
			c+" = "+v+" COLLATE loose", c+" = "+v+" COLLATE loose", c+" COLLATE loose = "+v, c+" COLLATE \"C\" = "+v,
			c+"::varchar(1) = "+v, c+"::varchar(1) = "+v, c+"::bpchar = "+v, c+" = "+v+"::bpchar", "upper("+c+") = 'A'", c+" LIKE 'a%'")
	case "bool":
		return choose(g, c, "NOT "+c, c+" IS TRUE", c+" IS FALSE", c+" IS NOT TRUE", c+" IS NOT FALSE", c+" IS UNKNOWN", c+"::int = 1")
	case "tone":
		return g.lateBound(c)
	case "date":
		return choose(g, c+" = timestamp '2024-01-01'", c+"::text = '2024-01-01'")
	case "ints":
		return choose(g, "1 = ANY ("+c+")", c+" @> '{1}'", "cardinality("+c+") = 2")
	}
	return c + " = " + g.value(f)
}

// lateBound is a condition on what a cast of users makes of a tone: 0 or 1, by what
// another table holds.
func (g *generator) lateBound(c string) string {
	g.late = true
	return choose(g,
		"'x' || "+c+" = 'x0'", c+" || 'x' = '1x'", "quote_literal("+c+") = quote_literal('1')",
		"to_json("+c+")::text = '1'", "jsonb_build_array("+c+")::text = '[0]'", "row_to_json(ROW("+c+"))::text LIKE '%0%'",
		"(SELECT row_to_json(q)::text FROM (SELECT "+c+" AS c) q) LIKE '%1%'", "(SELECT row_to_json(q)::text FROM (SELECT "+c+" AS c) q) LIKE '%0%'",
		"(SELECT jsonb_agg(q)::text FROM (SELECT "+c+" AS c) q) LIKE '%1%'", "(SELECT json_agg(q)::text FROM (VALUES ("+c+")) q) LIKE '%0%'")
}

func (g *generator) subqueryPredicate(c string, f *family, local, outer []source, depth int) string {
	all := slices.Concat(local, outer)
	not := choose(g, "", "", "NOT ")
	one := []*family{f}
	switch g.random.IntN(6) {
	case 0, 1:
		return not + "EXISTS (" + g.selectQuery(depth, all, one) + ")"
	case 2, 3:
		return c + " " + not + "IN (" + g.selectQuery(depth, all, one) + ")"
	case 4:
		return c + choose(g, " = ALL (", " <> ALL (", " = ANY (", " < ANY (") + g.selectQuery(depth, all, one) + ")"
	}
	from, inner := g.from(0)
	return g.columnOf(wholeNumbers, local) + " = (SELECT " + choose(g, "max", "count", "min") + "(" + g.columnOf(wholeNumbers, inner) + ") FROM " + from +
		g.where(inner, all, 0) + ")"
}

func (g *generator) where(local, outer []source, depth int) string {
	var parts []string
	for range choose(g, 0, 1, 1, 1, 2, 3) {
		parts = append(parts, g.predicate(local, outer, depth))
	}
	if len(parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(parts, " AND ")
}

// table is a table of the schema under an alias, or a part of one.
func (g *generator) table() (string, source) {
	t, a := choose(g, g.tables...), g.alias()
	s := source{alias: a}
	for _, c := range t.columns {
		s.columns = append(s.columns, sourceColumn{c.name, c.family})
	}
	name := t.name
	switch {
	case t.tree == "partitions" && g.chance(20):
		name += choose(g, "_1", "_2")
	case t.tree == "children" && g.chance(20):
		name = choose(g, name+"_2", "ONLY "+name)
	}
	return name + " " + a, s
}

// item is one thing in FROM.
func (g *generator) item(depth int) (string, source) {
	a := g.alias()
	switch {
	case depth > 0 && g.chance(25):
		want := []*family{wholeNumbers, g.shownFamily()}
		return "(" + g.selectQuery(depth-1, nil, want) + ") " + a + "(c1, c2)", source{a, outputs(want)}
	case len(g.ctes) > 0 && g.chance(30):
		cte := choose(g, g.ctes...)
		return cte.alias + " " + a, source{a, cte.columns}
	case len(g.views) > 0 && g.chance(15):
		view := choose(g, g.views...)
		return view.alias + " " + a, source{a, view.columns}
	}
	return g.table()
}

func (g *generator) from(depth int) (string, []source) {
	if g.chance(10) {
		return g.merged()
	}
	text, first := g.item(depth)
	sources := []source{first}
	for range choose(g, 0, 0, 1, 1, 2) {
		var more string
		var added []source
		kind := choose(g, "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
		switch {
		case depth > 0 && g.chance(15):
			a, want := g.alias(), []*family{wholeNumbers}
			more = "LATERAL (" + g.selectQuery(depth-1, sources, want) + ") " + a + "(c1)"
			added = []source{{a, outputs(want)}}
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
		text += " " + kind + " " + more + " ON " + g.joinCondition(kind, sources, added)
		sources = append(sources, added...)
	}
	return text, sources
}

// merged joins two tables with USING, whose columns are of neither side alone.
func (g *generator) merged() (string, []source) {
	left, l := g.table()
	right, r := g.table()
	using := choose(g, "i1", "s1")
	f := wholeNumbers
	if using == "s1" {
		f = texts
	}
	a := g.alias()
	text := "(" + left + choose(g, " JOIN ", " LEFT JOIN ", " RIGHT JOIN ", " FULL JOIN ") + right + " USING (" + using + ") AS " + a + ")"
	return text, []source{{a, []sourceColumn{{using, f}}}, {a, []sourceColumn{{using, f}}}, l, r}
}

// joinCondition keeps to what a full join can be planned with.
func (g *generator) joinCondition(kind string, left, right []source) string {
	f := choose(g, wholeNumbers, wholeNumbers, wholeNumbers, texts)
	on := g.columnOf(f, right) + " = " + g.columnOf(f, left)
	all := slices.Concat(left, right)
	switch {
	case kind == "FULL JOIN" && g.chance(50):
		on += " AND " + g.columnOf(wholeNumbers, right) + " = " + g.columnOf(wholeNumbers, left)
	case kind == "FULL JOIN" && g.chance(30):
		on += " AND " + g.columnOf(wholeNumbers, choose(g, left, right)) + " = " + g.value(wholeNumbers)
	case kind != "FULL JOIN" && g.chance(30):
		on = g.predicate(all, nil, 0)
	case kind != "FULL JOIN" && g.chance(50):
		on += " AND " + g.predicate(all, nil, 0)
	}
	return on
}

// selectQuery makes a query whose columns c1, or c1 and c2, are of the wanted
// families.
func (g *generator) selectQuery(depth int, outer []source, want []*family) string {
	order := " ORDER BY " + []string{"", "1", "1, 2"}[len(want)]
	if depth > 0 && g.chance(18) {
		op := choose(g, "UNION", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL")
		q := "(" + g.selectQuery(depth-1, outer, want) + ") " + op + " (" + g.selectQuery(depth-1, outer, want) + ")"
		if g.chance(15) {
			q += order + " LIMIT 2"
		}
		return q
	}
	from, sources := g.from(depth)
	tail := from + g.where(sources, outer, depth)
	e := make([]string, len(want))
	for i, f := range want {
		g.fuzzy = g.fuzzy || f.loose
		e[i] = g.columnOf(f, sources)
	}
	list := func() string {
		var out []string
		for i := range e {
			out = append(out, fmt.Sprintf("%s AS c%d", e[i], i+1))
		}
		return strings.Join(out, ", ")
	}
	last := len(want) - 1
	number := want[last] == wholeNumbers
	switch n := g.random.IntN(12); {
	case n == 0:
		return "SELECT DISTINCT " + list() + " FROM " + tail
	case n == 1 && last == 1 && number:
		return g.grouped(e[0], e[1], g.value(want[0]), tail)
	case n == 1 && want[0] == wholeNumbers && last == 0:
		e[0] = "count(*)::int"
	case n == 2:
		return "SELECT " + list() + " FROM " + tail + order + " LIMIT " + fmt.Sprint(1+g.random.IntN(3))
	case n == 3:
		return "SELECT " + list() + " FROM " + tail + order + " OFFSET 1"
	case n == 4 && last == 1:
		first := g.random.IntN(2)
		return "SELECT DISTINCT ON (" + e[first] + ") " + list() + " FROM " + tail + " ORDER BY " + e[first] + ", " + e[1-first]
	case n == 5 && last == 1 && number:
		e[1] = choose(g, "sum("+e[1]+") OVER (PARTITION BY "+e[0]+")", "count(*) OVER ()",
			"rank() OVER (ORDER BY "+e[0]+", "+e[1]+")") + "::int"
	case n == 6 && depth > 0 && number:
		f, s := g.from(0)
		e[last] = "(SELECT " + choose(g, "max("+g.columnOf(wholeNumbers, s)+")", "count(*)") + "::int FROM " + f + g.where(s, sources, 0) + ")"
	case n == 7:
		e[last] = "CASE WHEN " + g.predicate(sources, nil, depth) + " THEN " + e[last] + " END"
	}
	return "SELECT " + list() + " FROM " + tail
}

func (g *generator) grouped(key, number, value, tail string) string {
	aggregate := choose(g, "count(*)::int", "max("+number+")", "sum("+number+")::int")
	having := choose(g, "", " HAVING count(*) > 1", " HAVING "+key+" = "+value)
	by := choose(g, key, key, "ROLLUP ("+key+")", "GROUPING SETS (("+key+"), ())")
	return "SELECT " + key + " AS c1, " + aggregate + " AS c2 FROM " + tail + " GROUP BY " + by + having
}

// query makes a whole statement.
func (g *generator) query() string {
	g.aliases, g.params, g.ctes, g.fuzzy, g.late = 0, nil, nil, false, g.lateViews
	with := ""
	switch n := g.random.IntN(100); {
	case n < 6:
		with = "WITH RECURSIVE w1(c1, c2) AS (" + g.recursive() + ") "
		g.ctes = []source{{"w1", outputs([]*family{wholeNumbers, wholeNumbers})}}
	case n < 30:
		want := []*family{wholeNumbers, g.shownFamily()}
		with = "WITH w1 AS" + choose(g, "", "", " MATERIALIZED", " NOT MATERIALIZED") + " (" + g.selectQuery(1, nil, want) + ")"
		ctes := []source{{"w1", outputs(want)}}
		if g.chance(35) {
			g.ctes = ctes
			want = []*family{wholeNumbers, g.shownFamily()}
			with += ", w2 AS (" + g.selectQuery(1, nil, want) + ")"
			ctes = append(ctes, source{"w2", outputs(want)})
		}
		g.ctes = ctes
		with += " "
	}
	switch {
	case g.chance(35):
		return g.numbered(with + g.wrapped())
	case g.chance(20):
		return g.numbered(with + g.correlated())
	case g.chance(30):
		return g.numbered(with + g.membership())
	case g.chance(40):
		return g.numbered(with + g.chained())
	}
	want := []*family{g.shownFamily(), g.shownFamily()}[:1+g.random.IntN(2)]
	return g.numbered(with + g.selectQuery(choose(g, 0, 0, 1, 2), nil, want))
}

var parameterForm = regexp.MustCompile(`\$\d+`)

// numbered leaves out the parameters that were drawn and then not used.
func (g *generator) numbered(sql string) string {
	drawn := g.params
	g.params = nil
	number := map[string]int{}
	return parameterForm.ReplaceAllStringFunc(sql, func(name string) string {
		if number[name] == 0 {
			i, err := strconv.Atoi(name[1:])
			if err != nil {
				panic(err)
			}
			g.params = append(g.params, drawn[i-1])
			number[name] = len(g.params)
		}
		return fmt.Sprintf("$%d", number[name])
	})
}

// recursive makes the two arms of w1. UNION and values that are only handed on
// make it end.
func (g *generator) recursive() string {
	first, a := g.table()
	second, s := g.table()
	number := func(of source) string { return of.alias + "." + choose(g, "i1", "i2") }
	where := choose(g, "", " WHERE "+a.alias+".i1 = 1", " WHERE "+a.alias+".i2 = 2")
	step := choose(g, "r.c1", "r.c2", number(s)+"::int8")
	return "SELECT " + number(a) + "::int8, " + number(a) + "::int8 FROM " + first + where +
		" UNION SELECT " + number(s) + "::int8, " + step + " FROM " + second + " JOIN w1 r ON " + number(s) + " = r." +
		choose(g, "c1", "c2") + choose(g, "", "", " WHERE "+s.alias+".i2 = 1", " WHERE r.c1 = 2")
}

// wrapped puts conditions around a query whose shape decides whether they may
// be pushed into it.
func (g *generator) wrapped() string {
	want := []*family{wholeNumbers, wholeNumbers}
	if g.chance(25) {
		want[1] = texts
	}
	var inner string
	if want[1] == wholeNumbers && g.chance(70) {
		inner = g.shaped()
	} else {
		inner = g.selectQuery(1, nil, want)
	}
	i := g.random.IntN(2)
	c, f := fmt.Sprintf("s.c%d", i+1), want[i]
	table, k := g.table()
	key := k.alias + "." + map[*family]string{wholeNumbers: choose(g, "i1", "i2"), texts: "s1"}[f]
	switch g.random.IntN(6) {
	case 0, 4, 5:
		return "SELECT s.c1, s.c2 FROM (" + inner + ") s(c1, c2) WHERE " + c + " = " + g.value(f)
	case 1:
		kind := choose(g, "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
		return "SELECT s.c1, " + k.alias + ".i2 FROM (" + inner + ") s(c1, c2) " + kind + " " + table + " ON " + key + " = " + c + " WHERE " +
			choose(g, c, key) + " = " + g.value(f)
	case 2:
		key = k.alias + ".i1"
		return "SELECT " + key + ", " + k.alias + ".i2 FROM " + table + " WHERE " + key + " = " + g.value(wholeNumbers) + " AND " + key + " " +
			choose(g, "IN", "NOT IN", "= ALL", "< ANY") + " (SELECT s.c1 FROM (" + inner + ") s(c1, c2))"
	}
	return "SELECT a.c1, b.c2 FROM (" + inner + ") a(c1, c2), LATERAL (SELECT i1, i2 FROM " + table + " WHERE " + key + " = a." +
		fmt.Sprintf("c%d", i+1) + ") b(c1, c2) WHERE a.c1 = " + g.value(wholeNumbers)
}

// correlated makes a small query whose rows decide each what a second query says,
// as those of object mappers do.
func (g *generator) correlated() string {
	first, a := g.table()
	second, b := g.table()
	outer, inner := []source{a}, []source{b}
	where := second + " WHERE " + g.predicate(inner, outer, 0)
	if g.chance(40) {
		where += " AND " + g.predicate(inner, outer, 0)
	}
	tail := " FROM " + first + g.where(outer, nil, 0)
	if !strings.Contains(tail, " WHERE ") {
		tail += " WHERE true"
	}
	list := "SELECT " + a.alias + ".i1, " + a.alias + ".s1"
	switch g.random.IntN(4) {
	case 0:
		return list + tail + " AND " + choose(g, "", "NOT ") + "EXISTS (SELECT FROM " + where + ")"
	case 1:
		return list + ", (SELECT count(*) FROM " + where + ")" + tail
	case 2:
		return list + tail + " AND " + a.alias + ".i1 " + choose(g, "IN", "NOT IN") + " (SELECT " + b.alias + ".i1 FROM " + where + ")"
	}
	return list + ", l.i2 FROM " + first + choose(g, " LEFT JOIN", " JOIN") + " LATERAL (SELECT " + b.alias + ".i1, " + b.alias + ".i2 FROM " + where +
		choose(g, "", " ORDER BY 1, 2 LIMIT 1") + ") l ON " + choose(g, "true", "l.i2 = "+a.alias+".i2") + g.where(outer, nil, 0)
}

// chained makes a query whose rows lead from table to table, the last of which a
// subquery may read.
func (g *generator) chained() string {
	if g.chance(15) {
		return g.looped()
	}
	from, a := g.rows()
	at := a.alias
	where := " WHERE " + g.predicate([]source{a}, nil, 0)
	if g.chance(80) {
		where = " WHERE " + choose(g, at+".i1", at+".i2") + " = " + g.value(wholeNumbers)
	}
	for range choose(g, 1, 2, 2, 3) {
		next, b := g.rows()
		from += choose(g, " JOIN ", " JOIN ", " LEFT JOIN ") + next + " ON " + b.alias + "." + choose(g, "i1", "i1", "i2") + " = " + at + "." + choose(g, "i2", "i2", "i1")
		if g.chance(20) {
			from += " AND " + b.alias + ".i1 = " + at + ".i1"
		}
		at = b.alias
	}
	list := "SELECT " + a.alias + ".i1, " + at + ".i2, " + at + ".s1"
	if g.chance(30) {
		last, c := g.table()
		list += ", (SELECT count(*) FROM " + last + " WHERE " + c.alias + ".i1 = " + at + ".i2)"
	}
	return list + " FROM " + from + where
}

// looped makes a query whose rows lead from a subquery to a table, and back to
// another column of what it was reached from.
func (g *generator) looped() string {
	first, a := g.table()
	second, b := g.table()
	third, c := g.table()
	return "SELECT v.i1, v.i2, v.i3, " + c.alias + ".s1 FROM (SELECT " + a.alias + ".i1, " + b.alias + ".i1 AS i2, " + b.alias + ".i2 AS i3 FROM " +
		first + " JOIN " + second + " ON " + b.alias + ".i1 = " + a.alias + ".i2) v JOIN " + third + " ON " + c.alias + ".i1 = v.i3 AND " +
		c.alias + choose(g, ".i1", ".i1", ".i2") + " = v.i2 WHERE v.i1 = " + g.value(wholeNumbers)
}

// rows is a table, or what stands in its place.
func (g *generator) rows() (string, source) {
	s := source{g.alias(), rowColumns}
	switch n := g.random.IntN(10); {
	case n < 3:
		return "(" + g.derived() + ") " + s.alias, s
	case n == 3 && len(g.rowViews) > 0:
		return choose(g, g.rowViews...).alias + " " + s.alias, s
	}
	return g.table()
}

// rowColumns are those that every table has.
var rowColumns = []sourceColumn{{"i1", wholeNumbers}, {"i2", wholeNumbers}, {"s1", texts}}

// derived makes a query with the columns of a table, which are those of a table or
// two behind it, or almost.
func (g *generator) derived() string {
	from, a := g.table()
	of := []source{a, a}
	if g.chance(40) {
		other, b := g.table()
		from += choose(g, " JOIN ", " JOIN ", " LEFT JOIN ", " RIGHT JOIN ") + other + " ON " + b.alias + "." + choose(g, "i1", "i1", "i2") + " = " + a.alias + "." + choose(g, "i2", "i2", "i1")
		of[1] = b
	}
	number := func(usual string) string {
		s := choose(g, of...).alias + "."
		return choose(g, s+usual, s+usual, s+"i1", s+"i2")
	}
	i1, i2 := number("i1"), number("i2")
	switch g.random.IntN(12) {
	case 0:
		i2 += " + 0"
	case 1:
		i1 = "coalesce(" + i1 + ", " + i2 + ")"
	}
	where := ""
	if g.chance(40) {
		where = " WHERE " + number("i1") + " = " + g.value(wholeNumbers)
	}
	list, tail := i1+" AS i1, "+i2+" AS i2, "+choose(g, of...).alias+".s1", " FROM "+from+where
	switch g.random.IntN(12) {
	case 0:
		return "SELECT " + list + tail + " ORDER BY 1, 2, 3 LIMIT 2"
	case 1:
		return "SELECT DISTINCT " + list + tail
	case 2:
		return "SELECT DISTINCT ON (" + i1 + ") " + list + tail + " ORDER BY 1, 2, 3"
	case 3:
		return "SELECT " + i1 + " AS i1, max(" + i2 + ") AS i2, min(" + a.alias + ".s1) AS s1" + tail + " GROUP BY " + choose(g, i1, "ROLLUP ("+i1+")")
	case 4:
		return "SELECT " + list + tail + choose(g, " UNION ", " UNION ALL ", " EXCEPT ") + "SELECT i1, i2, s1 FROM " + choose(g, g.tables...).name
	}
	return "SELECT " + list + tail
}

// membership makes a query whose rows are compared with what a subquery returns.
func (g *generator) membership() string {
	from, a := g.rows()
	x := a.alias + "." + choose(g, "i1", "i1", "i2")
	is := g.compared(x, a)
	where := ""
	if g.chance(30) {
		where = " AND " + choose(g, a.alias+".i1", a.alias+".i2") + " = " + g.value(wholeNumbers)
	}
	list := "SELECT " + a.alias + ".i1, " + a.alias + ".i2, " + a.alias + ".s1"
	other, b := g.rows()
	on := b.alias + "." + choose(g, "i1", "i1", "i2") + " = " + a.alias + "." + choose(g, "i1", "i2")
	switch g.random.IntN(6) {
	case 0:
		return list + ", " + b.alias + ".s1 FROM " + from + choose(g, " JOIN ", " LEFT JOIN ") + other + " ON " + on + " WHERE " + is + where
	case 1:
		return list + ", " + b.alias + ".s1 FROM " + from + choose(g, " LEFT JOIN ", " RIGHT JOIN ") + other + " ON " + on + " AND " + is + " WHERE true" + where
	case 2:
		return list + ", " + is + " FROM " + from + " WHERE true" + where
	}
	return list + " FROM " + from + " WHERE " + is + where
}

// compared compares a column of a source with what a subquery returns.
func (g *generator) compared(x string, outer source) string {
	from, b := g.rows()
	y := b.alias + "." + choose(g, "i1", "i2", "i2")
	where := " WHERE " + b.alias + "." + choose(g, "i1", "i1", "i2") + " = " + g.value(wholeNumbers)
	if g.chance(25) {
		third, c := g.rows()
		from += choose(g, " JOIN ", " LEFT JOIN ") + third + " ON " + c.alias + ".i1 = " + b.alias + ".i2"
		y = c.alias + "." + choose(g, "i1", "i2")
	}
	switch g.random.IntN(10) {
	case 0:
		where += " AND " + b.alias + ".i2 = " + outer.alias + ".i2"
	case 1:
		where = " WHERE " + g.predicate([]source{b}, []source{outer}, 0)
	case 2:
		where = ""
	case 3:
		y = choose(g, outer.alias+".i2", y+" + 0")
	case 4:
		where = " WHERE " + g.compared(b.alias+".i1", b)
	}
	if g.chance(30) {
		return g.exists(from, where, b, outer)
	}
	query := "SELECT " + y + " FROM " + from + where
	if g.chance(10) {
		query += choose(g, " UNION ", " UNION ALL ", " EXCEPT ") + "SELECT i1 FROM " + choose(g, g.tables...).name
	}
	switch n := g.random.IntN(16); {
	case n < 6:
		return x + " IN (" + query + ")"
	case n < 8:
		return x + " = ANY (" + query + ")"
	case n < 11:
		return x + " = (" + query + " ORDER BY 1 LIMIT 1)"
	case n == 11:
		return "(" + x + " IN (" + query + ") OR " + g.predicate([]source{outer}, nil, 0) + ")"
	case n == 12:
		return "(" + x + " IN (" + query + ")) IS " + choose(g, "NOT TRUE", "TRUE", "NULL")
	case n == 13:
		return x + choose(g, " <> ALL (", " = ALL (", " < ANY (") + query + ")"
	case n == 14:
		return "NOT (" + x + " IN (" + query + "))"
	}
	return x + " NOT IN (" + query + ")"
}

// exists asks for rows of a source that are told from a row around it.
func (g *generator) exists(from, where string, of, outer source) string {
	own := of.alias + "." + choose(g, "i1", "i2", "i2")
	around := outer.alias + "." + choose(g, "i1", "i1", "i2")
	is := choose(g, own+" = "+around, own+" = "+around, own+" = "+around, own+" < "+around, "NOT ("+own+" = "+around+")",
		"("+own+" = "+around+" OR "+g.predicate([]source{of}, nil, 0)+")")
	if where == "" {
		where = " WHERE true"
	}
	list := choose(g, "", "", "1", own, "count(*)")
	tail := choose(g, "", "", "", " LIMIT 1", " GROUP BY "+own, " GROUP BY ROLLUP ("+own+")", " GROUP BY GROUPING SETS (())", " HAVING true")
	if strings.Contains(tail, "SETS") || strings.Contains(tail, "HAVING") {
		list = choose(g, "1", "count(*)")
	}
	query := "EXISTS (SELECT " + list + " FROM " + from + where + " AND " + is + tail + ")"
	switch g.random.IntN(8) {
	case 0:
		return "NOT " + query
	case 1:
		return "(" + query + " OR " + g.predicate([]source{outer}, nil, 0) + ")"
	}
	return query
}

// shaped makes a small query on one table, or two, of a shape through which
// conditions pass only in part or not at all.
func (g *generator) shaped() string {
	table, i := g.table()
	number := func(of source) string { return of.alias + "." + choose(g, "i1", "i2") }
	if g.chance(25) {
		other, j := g.table()
		table += choose(g, " JOIN ", " LEFT JOIN ", " FULL JOIN ") + other + " ON " + j.alias + ".i1 = " + number(i)
	}
	a, b := number(i), number(i)
	where := ""
	if g.chance(25) {
		where = " WHERE " + number(i) + " = " + g.value(wholeNumbers)
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
			choose(g, a, "1", "ROLLUP ("+a+")", "ROLLUP ("+a+")", "GROUPING SETS (("+a+"), ())")
	case 6:
		return "SELECT DISTINCT ON (" + a + ") " + a + " AS c1, " + b + " AS c2" + tail + " ORDER BY 1, 2"
	case 7:
		return "SELECT DISTINCT " + a + " AS c1, " + b + " AS c2" + tail
	}
	other, j := g.table()
	return list + " " + choose(g, "UNION", "EXCEPT", "INTERSECT", "EXCEPT ALL") + " SELECT " + number(j) + ", " + number(j) + " FROM " + other
}
