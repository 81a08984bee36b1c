package analysis

import (
	"fmt"
	"slices"
	"strings"
)

// leafFrom is the key from which on rows lie in the second table of a tree.
const leafFrom = 50

// randomTable is a table of a random schema. Besides its columns it has k, which
// names a row and stands in no query.
type randomTable struct {
	name    string
	columns []randomColumn
	watched []string
	// tree says what the table is the root of: "", "partitions" or "children". The
	// rows from leafFrom on lie in name_2; those below it in name_1, or of a table
	// with children in itself.
	tree string
}

type randomColumn struct {
	name   string
	typ    string
	family *family
}

// place returns the table that holds the row with key k.
func (t *randomTable) place(k int) string {
	switch {
	case t.tree == "":
		return t.name
	case k >= leafFrom:
		return t.name + "_2"
	case t.tree == "partitions":
		return t.name + "_1"
	}
	return t.name
}

// randomTable makes a table with two whole numbers and a text, which all tables
// have, and a few others.
func (g *generator) randomTable(name string) *randomTable {
	t := &randomTable{name: name, tree: choose(g, "", "", "partitions", "children")}
	add := func(column string, f *family) {
		t.columns = append(t.columns, randomColumn{column, choose(g, f.types...), f})
	}
	add("i1", wholeNumbers)
	add("i2", wholeNumbers)
	add("s1", texts)
	others := families[2:]
	for _, i := range g.random.Perm(len(others))[:3] {
		add(others[i].name+"1", others[i])
	}
	for _, f := range families {
		if slices.Contains([]string{"uuid", "bool", "tone"}, f.name) && g.chance(50) && !slices.ContainsFunc(t.columns, func(c randomColumn) bool { return c.family == f }) {
			add(f.name+"1", f)
		}
	}
	for _, i := range g.random.Perm(len(t.columns)) {
		c := t.columns[i]
		if slices.Contains([]string{"int", "text", "uuid", "bool"}, c.family.name) && g.chance(75) {
			t.watched = append(t.watched, c.name)
		}
	}
	return t
}

func (t *randomTable) sql() string {
	var columns []string
	for _, c := range t.columns {
		columns = append(columns, c.name+" "+c.typ)
	}
	body := "(" + strings.Join(columns, ", ") + ", k int)"
	switch t.tree {
	case "partitions":
		return fmt.Sprintf("CREATE TABLE %[1]s %[2]s PARTITION BY RANGE (k); CREATE TABLE %[1]s_1 PARTITION OF %[1]s FOR VALUES FROM (MINVALUE) TO (%[3]d); "+
			"CREATE TABLE %[1]s_2 PARTITION OF %[1]s FOR VALUES FROM (%[3]d) TO (MAXVALUE); ", t.name, body, leafFrom)
	case "children":
		return fmt.Sprintf("CREATE TABLE %[1]s %[2]s; CREATE TABLE %[1]s_2 (more int) INHERITS (%[1]s); ", t.name, body)
	}
	return "CREATE TABLE " + t.name + " " + body + "; "
}

// pattern is what freshet install takes.
func (t *randomTable) pattern(schema string) string {
	return schema + "." + t.name + "(" + strings.Join(t.watched, ", ") + ")"
}

// newSchema makes tables and views for the queries that follow, and returns the
// statements that create them.
func (g *generator) newSchema() string {
	g.tables, g.views, g.rowViews = nil, nil, nil
	g.usual = map[*family][]sample{}
	for _, f := range families {
		for _, i := range g.random.Perm(len(f.values))[:min(3, len(f.values))] {
			g.usual[f] = append(g.usual[f], f.values[i])
		}
	}
	g.aliases, g.params, g.ctes, g.late = 0, nil, nil, false
	sql := "CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE TYPE tone AS ENUM ('ok', 'sad'); CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); "
	for _, name := range []string{"fa", "fb", "fc"} {
		t := g.randomTable(name)
		g.tables = append(g.tables, t)
		sql += t.sql()
	}
	sql += lateBoundSQL
	g.literalsOnly = true
	for i := range 3 {
		want := []*family{wholeNumbers, g.shownFamily()}
		name := fmt.Sprintf("fv%d", i+1)
		sql += fmt.Sprintf("CREATE VIEW %s(c1, c2)%s AS %s; ", name, choose(g, "", "", " WITH (security_barrier)"), g.selectQuery(i%2, nil, want))
		g.views = append(g.views, source{alias: name, columns: outputs(want)})
	}
	for i := range 2 {
		view := source{fmt.Sprintf("fw%d", i+1), rowColumns}
		sql += fmt.Sprintf("CREATE VIEW %s%s AS %s; ", view.alias, choose(g, "", " WITH (security_barrier)"), g.derived())
		g.views, g.rowViews = append(g.views, view), append(g.rowViews, view)
	}
	g.literalsOnly, g.lateViews = false, g.late
	return sql
}

// lateBoundSQL makes casts of a tone that tell whether a table has an odd number of
// rows.
const lateBoundSQL = "CREATE FUNCTION tone_text(tone) RETURNS text LANGUAGE sql STABLE AS 'SELECT (count(*) % 2)::text FROM " + randomSchema + ".fa'; " +
	"CREATE FUNCTION tone_json(tone) RETURNS json LANGUAGE sql STABLE AS 'SELECT to_json(count(*) % 2) FROM " + randomSchema + ".fa'; " +
	"CREATE CAST (tone AS text) WITH FUNCTION tone_text(tone); CREATE CAST (tone AS json) WITH FUNCTION tone_json(tone); "

// outputs are the columns of a query made with selectQuery.
func outputs(want []*family) []sourceColumn {
	var out []sourceColumn
	for i, f := range want {
		out = append(out, sourceColumn{fmt.Sprintf("c%d", i+1), f})
	}
	return out
}
