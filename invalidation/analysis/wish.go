package analysis

import (
	"cmp"
	"slices"
)

// Wish is a column that is not watched: if it were, the statement would carry
// tags of its values in place of the tag of its whole table.
type Wish struct {
	Root   uint32
	Table  string // schema.table of the root
	Column string
}

// wishes are those of a statement, by root. An occurrence that nothing could make
// precise ends the hopes of its table, and is noted as an empty column.
type wishes map[uint32][]Wish

func (w wishes) add(table WatchedTable, column string) {
	wish := Wish{Root: table.Root, Table: table.Name, Column: column}
	if !slices.Contains(w[table.Root], wish) {
		w[table.Root] = append(w[table.Root], wish)
	}
}

func (w wishes) list() []Wish {
	var out []Wish
	for _, of := range w {
		if !slices.ContainsFunc(of, func(w Wish) bool { return w.Column == "" }) {
			out = append(out, of...)
		}
	}
	slices.SortFunc(out, func(a, b Wish) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Column, b.Column))
	})
	return out
}

// wish chooses, for an occurrence without a precise tag, the column whose values the fewest
// rows are likely to have, which would give it one; empty if there is none. A boolean would not make
// much of a difference.
func (s *statement) wish(oid uint32, table WatchedTable, guards map[int]guard) string {
	best, bestNumber, bestRows := "", 0, 0.
	relation := s.catalog.relation(oid)
	for number, g := range guards {
		c := relation.columns[number]
		if !canonical[c.typ] || c.typ == typeBool || slices.Contains(table.Columns, c.name) || g.cost() > guardValuesMax {
			continue
		}
		rows := g.rows(c)
		if best == "" || cmp.Or(cmp.Compare(rows, bestRows), cmp.Compare(g.cost(), guards[bestNumber].cost()), cmp.Compare(number, bestNumber)) < 0 {
			best, bestNumber, bestRows = c.name, number, rows
		}
	}
	return best
}
