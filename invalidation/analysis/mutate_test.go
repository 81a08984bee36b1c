package analysis

import (
	"crypto/md5"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// trial is a few changes to the same rows, and the tags that they are expected
// to move.
type trial struct {
	statements []string
	expected   []string
}

func moves(moved, tags []string) bool {
	return slices.ContainsFunc(moved, func(tag string) bool { return slices.Contains(tags, tag) })
}

// row is a row of the model: the values of a table's columns, nil for NULL.
type row []*string

// contents are the rows of the tables, by table and k.
type contents map[string]map[int]row

func (c contents) clone() contents {
	out := contents{}
	for table, rows := range c {
		out[table] = maps.Clone(rows)
	}
	return out
}

func (g *generator) stored(f *family) *string {
	if g.chance(8) {
		return nil
	}
	v := g.sample(f)
	return &v.text
}

func (g *generator) row(t *randomTable) row {
	r := make(row, len(t.columns))
	for i, c := range t.columns {
		r[i] = g.stored(c.family)
	}
	return r
}

func (r row) sql(t *randomTable, k int) string {
	var columns, values []string
	for i, c := range t.columns {
		columns = append(columns, c.name)
		values = append(values, stored(r[i]))
	}
	return fmt.Sprintf("(%s, k) VALUES (%s, %d)", strings.Join(columns, ", "), strings.Join(values, ", "), k)
}

// key draws a key of either half of a tree.
func (g *generator) key(serial int) int { return choose(g, 0, leafFrom) + serial }

// fill makes rows, and the statements that put them into empty tables.
func (g *generator) fill() (contents, []string) {
	rows, statements := contents{}, []string(nil)
	for _, t := range g.tables {
		rows[t.name] = map[int]row{}
		for i := range choose(g, 0, 1, 2, 4, 6, 8) {
			r, k := g.row(t), g.key(i)
			rows[t.name][k] = r
			statements = append(statements, "INSERT INTO "+t.place(k)+" "+r.sql(t, k))
		}
	}
	return rows, statements
}

// change is one statement, and what it does to the model.
type change struct {
	statement string
	table     *randomTable
	gone      []int // keys
	key       int   // of after
	after     *row  // nil after a DELETE
	expected  []string
}

func (c change) apply(rows contents) {
	for _, k := range c.gone {
		delete(rows[c.table.name], k)
	}
	if c.after != nil {
		rows[c.table.name][c.key] = *c.after
	}
}

// change draws a statement that changes one row.
func (g *generator) change(rows contents, serial int, root func(*randomTable) uint32) change {
	t := choose(g, g.tables...)
	keys := slices.Sorted(maps.Keys(rows[t.name]))
	if g.chance(2) {
		part := t.place(leafFrom)
		gone := slices.DeleteFunc(keys, func(k int) bool { return t.place(k) != part })
		return change{"TRUNCATE " + part, t, gone, 0, nil, []string{fmt.Sprint(root(t)), fmt.Sprintf("%d/*", root(t))}}
	}
	if len(keys) == 0 || g.chance(33) {
		fresh, k := g.row(t), g.key(20+serial)
		into := t.place(k)
		if t.tree == "partitions" && g.chance(50) {
			into = t.name
		}
		return change{"INSERT INTO " + into + " " + fresh.sql(t, k), t, nil, k, &fresh, expected(t, root(t), fresh)}
	}
	k := choose(g, keys...)
	old := rows[t.name][k]
	through := choose(g, t.name, t.place(k))
	switch {
	case g.chance(60):
		return change{fmt.Sprintf("DELETE FROM %s WHERE k = %d", through, k), t, []int{k}, 0, nil, expected(t, root(t), old)}
	case t.tree == "partitions" && g.chance(20):
		// The row moves to the other partition, or to a free place in its own.
		to := g.key(30 + serial)
		return change{fmt.Sprintf("UPDATE %s SET k = %d WHERE k = %d", t.name, to, k), t, []int{k}, to, &old, expected(t, root(t), old)}
	}
	fresh := slices.Clone(old)
	i := g.random.IntN(len(fresh))
	fresh[i] = g.stored(t.columns[i].family)
	return change{
		fmt.Sprintf("UPDATE %s SET %s = %s WHERE k = %d", through, t.columns[i].name, stored(fresh[i]), k),
		t, nil, k, &fresh, append(expected(t, root(t), old), expected(t, root(t), fresh)...),
	}
}

// expected is a model of the trigger for one image of a row: the table's tag, and
// one for each watched column that is not NULL. It only chooses changes; which
// tags they really moved, the trigger says.
func expected(t *randomTable, root uint32, r row) []string {
	tags := []string{fmt.Sprint(root)}
	for i, c := range t.columns {
		if r[i] != nil && slices.Contains(t.watched, c.name) {
			value := *r[i]
			if len(value) > 64 {
				value = fmt.Sprintf("md5:%x", md5.Sum([]byte(value)))
			}
			tags = append(tags, fmt.Sprintf("%d/%s=%s", root, c.name, value))
		}
	}
	return tags
}

// trial draws up to three changes. Quiet ones, if asked, are not expected to move
// a tag of the answer; where tags are given that must be moved, one of those is.
// There may be none at all.
func (g *generator) trial(rows contents, tags, must []string, quiet bool, root func(*randomTable) uint32) trial {
	var t trial
	rows = rows.clone()
	for wanted, tries := 1+g.random.IntN(3), 0; len(t.statements) < wanted && tries < 20; tries++ {
		c := g.change(rows, len(t.statements), root)
		if quiet && moves(c.expected, tags) || len(t.statements) == 0 && must != nil && !moves(c.expected, must) {
			continue
		}
		t.statements, t.expected = append(t.statements, c.statement), append(t.expected, c.expected...)
		c.apply(rows)
	}
	return t
}
