package analysis

import "github.com/freshet/freshet/cache/fence"

// Rows are the rows of one table that a statement changes, as far as the values tell which
// they have, or get, in the watched columns: the tags that a change of them moves.
//
// What a reader depends on has the tag of a value, so a value that is told wrong here hides
// a write from the readers of its own process. So they are told only where nothing but
// the statement itself decides on them:
//
//   - The statement is one INSERT, UPDATE or DELETE, without other writes in it.
//   - No foreign key leads from a table that is changed back to this one.
//   - The table is no part of a tree. (It could be; nobody has shown yet that all is
//     right where a row moves.)
//   - A column that Postgres generates has values that are not known.
//   - The rows that an UPDATE or DELETE meets satisfy its conditions when they are
//     changed, whatever was changed while it waited for them: Postgres evaluates these
//     again. So a guard of the table, as for a reader, holds for the values they have.
//   - The values that rows get are those of constants and parameters of the column's own
//     type; what is not named stays, or is NULL in a new row.
//
// (TestRowsOfWrites, TestRowsOfWritesThatShareAVerdict)
type Rows struct {
	Root    uint32
	Columns []ColumnValues
}

// ColumnValues are the values of one watched column in rows that are changed.
type ColumnValues struct {
	Name string
	// Known is set if Values are all that there can be.
	Known  bool
	Values []ValueSource
}

// Changes are the tags that one execution of a statement can move, as far as they
// belong to the table of its Rows: those of the values that are known, and the classes of
// those that are not. ok is false if the Rows are not known.
func (v *Verdict) Changes(p Params) (tags []fence.Tag, unknown []fence.Class, ok bool) {
	if v.Effect == nil || v.Effect.Rows == nil || len(p.Bound) != len(v.ParamTypes) ||
		p.Literals != nil && (!v.shared || len(p.Literals) != len(v.template.Literals)) {
		return nil, nil, false
	}
	rows := v.Effect.Rows
	tags = append(tags, fence.TableTag(rows.Root))
	for _, c := range rows.Columns {
		texts, told := c.texts(p)
		if !told {
			unknown = append(unknown, fence.NewClass(rows.Root, c.Name))
		}
		for _, text := range texts {
			tags = append(tags, fence.ValueTag(rows.Root, c.Name, text))
		}
	}
	return tags, unknown, true
}

// texts are the values in one execution; ok is false if there may be others.
func (c *ColumnValues) texts(p Params) (texts []string, ok bool) {
	if !c.Known {
		return nil, false
	}
	for _, source := range c.Values {
		more, ok := source.texts(p)
		if !ok {
			return nil, false
		}
		texts = append(texts, more...)
	}
	return texts, true
}

// rowsOf finds the Rows of a statement whose effect is known; nil if nothing is told of them.
func (b *behindWrite) rowsOf(s *statement, v *Verdict) (rows *Rows, err error) {
	defer catch(&err)
	target, ok := b.target(s.query)
	if !ok {
		return nil, nil
	}
	entry := s.query.nodes("rtable")[target-1]
	table, ok := b.watch.Table(entry.oid("relid"))
	relation := b.catalog.relation(entry.oid("relid"))
	if !ok || relation == nil {
		return nil, nil
	}
	s.shareLiterals(v)
	v.ParamTypes = s.description.ParamOIDs
	w := &writtenRows{
		d: s.deriver(v), query: s.query, inserts: s.query.int("commandType") == commandInsert,
		deletes: s.query.int("commandType") == commandDelete,
		given:   map[int]*node{}, varies: v.shared && len(v.template.Literals) > 0,
	}
	w.read(target)
	rows = &Rows{Root: table.Root}
	told := false
	for _, name := range table.Columns {
		values := ColumnValues{Name: name}
		for number, c := range relation.columns {
			if c.name == name && canonical[c.typ] && !c.generated {
				values.Values, values.Known = w.values(number)
			}
		}
		rows.Columns = append(rows.Columns, values)
		told = told || values.Known
	}
	if !told {
		return nil, nil
	}
	return rows, nil
}

// target is the number of the range table entry that a statement changes, if the
// statement alone decides on the values of the rows changed.
func (b *behindWrite) target(query *node) (entry int, ok bool) {
	command := query.int("commandType")
	if command != commandInsert && command != commandUpdate && command != commandDelete {
		return 0, false
	}
	if conflict, ok := query.field("onConflict").(*node); ok && conflict.int("action") == onConflictUpdate {
		return 0, false
	}
	writes := 0
	walk(query, func(n *node) bool {
		if n.tag == "QUERY" && n.int("commandType") != commandSelect {
			writes++
		}
		return true
	})
	entry = query.int("resultRelation")
	oid := query.nodes("rtable")[entry-1].oid("relid")
	if writes != 1 || len(b.catalog.table(oid).kin) > 0 {
		return 0, false
	}
	for changed, how := range b.changed {
		if _, back := b.catalog.table(changed).leadsTo(how)[oid]; back {
			return 0, false
		}
	}
	return entry, true
}

// writtenRows reads what a statement says of the values of the rows that it changes.
type writtenRows struct {
	d                *deriver
	query            *node
	inserts, deletes bool
	// guards are those of the values that rows have, and given what they get, by number
	// of the column.
	guards map[int]guard
	given  map[int]*node
	// varies is set if other statements, with other literals, share what is found here.
	varies bool
}

func (w *writtenRows) read(target int) {
	w.d.dry++ // nothing is looked up
	defer func() { w.d.dry-- }()
	if !w.inserts {
		me := newScope(w.query, nil)
		w.d.from(me.around, w.query.child("jointree"))
		me.propagate()
		w.guards = me.of(target)
	}
	if w.deletes {
		return
	}
	for _, t := range w.query.nodes("targetList") {
		if !t.bool("resjunk") {
			w.given[t.int("resno")] = t.child("expr")
		}
	}
}

// values are those that rows changed have, or get, in a column; ok is false if there may
// be others.
func (w *writtenRows) values(column int) (values []ValueSource, ok bool) {
	if !w.inserts {
		g, ok := w.guards[column]
		if !ok || !w.certain(g) {
			return nil, false
		}
		values = append(values, g...)
	}
	expression := w.given[column]
	if expression == nil || isNull(expression) {
		return values, true
	}
	g, ok := w.d.value(expression)
	if !ok || !w.certain(g) {
		return nil, false
	}
	return append(values, g...), true
}

// certain reports whether the values of a guard can be told for each statement that
// shares the verdict: a constant that is no literal of its own may be made of one.
func (w *writtenRows) certain(g guard) bool {
	for _, v := range g {
		if v.Origin == Joined || v.Origin == Fixed && w.varies {
			return false
		}
	}
	return g.cost() <= guardValuesMax
}
