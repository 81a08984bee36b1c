package analysis

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A many-to-one join (orders JOIN users ON users.id = orders.user_id WHERE
// orders.id = $1) restricts the table joined to by values that only the data
// tell, and so does a subquery (users WHERE id IN (SELECT user_id FROM orders WHERE
// orders.id = $1)). They are asked for before the load, on the same server, after its label
// was taken:
//
//  1. the label is taken;
//  2. the lookup reads that order 1 is of user 5;
//  3. a commit gives order 1 to user 6;
//  4. the load reads order 1 and user 6, and is stored with the tags orders/id=1
//     and users/id=5;
//  5. a commit changes user 6.
//
// Whoever knows of 5 knows of 3, which is no part of the label and moved the tag
// orders/id=1: the entry is refused. Asked after the load, the lookup could read a
// user that the load did not. Hence only what is guarded by itself is asked, or by
// what another lookup finds, in the same statement and so in the same snapshot: the
// country of user 5 is known until users/id=5 moves. (TestLookupThatACommitOvertookIsNotTrusted)

// lookup asks for the values of a column of the rows of a table that a guard
// leaves.
type lookup struct {
	schema, table, column string
	columnType            uint32
	guardColumn           string
	guardType             uint32
	guard                 guard
	through               *lookup     // finds the values of the guard; nil: the guard has its own
	rowsTag               TagTemplate // moves when the rows change that the guard leaves
}

// lookupsMax bounds the lookups of one statement; joins beyond it depend on the
// whole table.
const lookupsMax = 8

// lookupLevelsMax bounds the lookups that one goes through, itself included.
const lookupLevelsMax = 3

// behindMax bounds the queries behind columns that lookups are sought in; columns
// of others are not looked up.
const behindMax = 64

// lookupBytesMax bounds the answer of one lookup, so that it can be waited for as
// a whole.
const lookupBytesMax = 4 << 10

// Joins tells whether the values of some tags are found by [Verdict.LookupSQL].
func (v *Verdict) Joins() bool { return len(v.lookups) > 0 }

// LookupSQL returns the statement that finds what [Params.Joined] needs, in one
// row with a column for each lookup. It names everything with its schema, reads
// tables that the statement reads, in the same columns, and changes nothing. It
// has to run on the server of the load, before the load and after the load's label
// was taken, with the rights of the client. ok is false if a value cannot be read.
func (v *Verdict) LookupSQL(p Params) (sql string, ok bool) {
	if !v.Cacheable || !v.fits(p) {
		return "", false
	}
	columns := make([]string, len(v.lookups))
	for i := range v.lookups {
		if columns[i], ok = v.lookups[i].sql(p); !ok {
			return "", false
		}
	}
	return "SELECT " + strings.Join(columns, ", "), true
}

// sql is a subquery that gives the values as JSON, NULL if they are too many.
func (l *lookup) sql(p Params) (string, bool) {
	rows, ok := l.rows(p)
	if !ok {
		return "", false
	}
	names := quoteIdentifiers([]string{l.column})
	return fmt.Sprintf(`(SELECT CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.<=) %d AND pg_catalog.octet_length(pg_catalog.string_agg(d.v, ',')) OPERATOR(pg_catalog.<=) %d`+
		` THEN pg_catalog.json_agg(d.v)::pg_catalog.text WHEN pg_catalog.count(*) OPERATOR(pg_catalog.=) 0 THEN '[]' END`+
		` FROM (SELECT DISTINCT g.%s::pg_catalog.text COLLATE "C" AS v %s AND g.%s IS NOT NULL LIMIT %d) d)`,
		arrayValuesMax, lookupBytesMax, names, rows, names, arrayValuesMax+1), true
}

// rows are the FROM and WHERE of the rows g that the guard leaves.
func (l *lookup) rows(p Params) (string, bool) {
	from := fmt.Sprintf(`FROM %s.%s g WHERE g.%s OPERATOR(pg_catalog.=) ANY `,
		quoteIdentifiers([]string{l.schema}), quoteIdentifiers([]string{l.table}), quoteIdentifiers([]string{l.guardColumn}))
	if l.through != nil {
		rows, ok := l.through.rows(p)
		return from + fmt.Sprintf("(SELECT g.%s %s)", quoteIdentifiers([]string{l.through.column}), rows), ok
	}
	var values []string
	for _, s := range l.guard {
		texts, ok := s.texts(p)
		if !ok {
			return "", false
		}
		for _, text := range texts {
			values = append(values, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)+`"`)
		}
	}
	if len(values) > arrayValuesMax {
		return "", false
	}
	return from + fmt.Sprintf("(%s::%s)", quoteLiteral("{"+strings.Join(values, ",")+"}"), arrayTypeOf(l.guardType)), true
}

// arrayTypeOf names the type of values that a column of a canonical type is
// compared with: one that holds them all.
func arrayTypeOf(typ uint32) string {
	switch typ {
	case typeBool:
		return "pg_catalog.bool[]"
	case typeInt2, typeInt4, typeInt8:
		return "pg_catalog.int8[]"
	case typeUUID:
		return "pg_catalog.uuid[]"
	}
	return "pg_catalog.text[]"
}

// ReadLookup reads the columns of the row that LookupSQL gave, nil for NULL.
func (v *Verdict) ReadLookup(columns [][]byte) (joined [][]string, ok bool) {
	if len(columns) != len(v.lookups) {
		return nil, false
	}
	for _, c := range columns {
		var values []string
		if c != nil {
			if json.Unmarshal(c, &values) != nil {
				return nil, false
			}
		}
		joined = append(joined, values)
	}
	return joined, true
}

// join gives columns that have no guard one that lookups find: they have one of the
// values looked up.
func (d *deriver) join(me *scope) {
	for again := true; again; {
		again = false
		for _, e := range me.edges {
			if _, known := me.known[e.to]; known {
				continue
			}
			g, ok := me.known[e.from]
			if !ok {
				g, ok = d.lookedUp(me, e.from)
			}
			if ok {
				me.known[e.to] = g
				again = true
			}
		}
		for _, m := range me.members {
			again = d.lookIn(me, m) || again
		}
	}
}

// lookedUp returns the values that a column has in the rows that matter of an
// occurrence of a table, which are guarded by something else. A guard of the
// occurrence itself it is not: that would be asked for by itself.
func (d *deriver) lookedUp(s *scope, c column) (guard, bool) {
	if g, ok := s.looked[c]; ok {
		return g, true
	}
	if d.dry > 0 {
		return nil, false
	}
	from, guards := s.entry(c.entry), s.of(c.entry)
	var g guard
	var ok bool
	if q, outer, _ := d.inner(s, s.around, c.entry); q != nil {
		// Other readers of a CTE may see other rows, this one does not.
		if inner := d.behind(q, outer, guards); inner != nil {
			g, ok = d.valuesIn(inner, output(q, c.number))
		}
	} else if from.int("rtekind") == rteRelation && from.atom("relkind") != "v" {
		g, ok = d.inTable(from.oid("relid"), guards, c.number)
	}
	if ok {
		s.looked[c] = g
	}
	return g, ok
}

// inTable has a column of a table looked up in the rows that the guards leave.
func (d *deriver) inTable(oid uint32, guards map[int]guard, number int) (guard, bool) {
	l, ok := d.lookupFor(oid, guards, number)
	if !ok || !d.through(&l) {
		return nil, false
	}
	i := slices.IndexFunc(d.lookups, l.same)
	if i < 0 {
		if len(d.lookups) >= lookupsMax {
			return nil, false
		}
		i = len(d.lookups)
		d.lookups = append(d.lookups, l)
	}
	return guard{{Origin: Joined, Index: i, Text: l.schema + "." + l.table + "." + l.column, level: l.level()}}, true
}

// behind returns a query level with all guards of it, those found by lookup included, to
// look up what its columns have in the rows that matter to its reader, of whom the outer
// guards are; nil if it cannot be.
func (d *deriver) behind(q *node, outer []*scope, outerGuards map[int]guard) *scope {
	if d.behinds >= behindMax || q.field("setOperations") != nil {
		return nil
	}
	d.behinds++
	visits := d.dryVisits
	d.dryVisits = 0
	me := newScope(q, outer)
	d.knowledge(me, passable(q, outerGuards))
	d.join(me)
	d.dryVisits = visits
	return me
}

// valuesIn returns the values that a plain column of a query level has. They come
// from the rows of a table that its own guards leave, however the query groups,
// orders or limits what it returns, or they are NULL.
func (d *deriver) valuesIn(s *scope, v any) (guard, bool) {
	of, c, ok := d.variable(s.around, v)
	if !ok || of != s {
		return nil, false
	}
	if g, ok := s.known[c]; ok {
		return g, true
	}
	return d.lookedUp(s, c)
}

// through has a lookup that is guarded by what another finds go through that. It
// reports false if it cannot.
func (d *deriver) through(l *lookup) bool {
	if l.guard.level() == 0 {
		return true
	}
	if len(l.guard) > 1 {
		return false
	}
	first := d.lookups[l.guard[0].Index]
	typ := arrayTypeOf(l.guardType)
	if typ == arrayTypeOf(typeText) || typ != arrayTypeOf(first.columnType) || first.level() == lookupLevelsMax {
		return false
	}
	l.through, l.guard = &first, nil
	return true
}

// same tells whether two lookups find the same.
func (l *lookup) same(other lookup) bool {
	return l.schema == other.schema && l.table == other.table && l.column == other.column && l.rowsTag.same(other.rowsTag)
}

// level is how many lookups a lookup goes through, itself included.
func (l *lookup) level() int {
	if l.through == nil {
		return 1
	}
	return 1 + l.through.level()
}

// level is how many lookups stand one behind another before the values of a guard
// are known.
func (g guard) level() int {
	level := 0
	for _, v := range g {
		level = max(level, v.level)
	}
	return level
}

// lookupFor makes the lookup of a column of a table that has a tag of its own.
func (s *statement) lookupFor(oid uint32, guards map[int]guard, number int) (lookup, bool) {
	table, ok := s.watch.Table(oid)
	if !ok || s.hides(oid) {
		return lookup{}, false
	}
	t, relation := s.template(oid, table, guards), s.catalog.relation(oid)
	c, ok := relation.columns[number]
	if !ok || t.Column == "" || !canonical[c.typ] {
		return lookup{}, false
	}
	l := lookup{schema: relation.schema, table: relation.name, column: c.name, columnType: c.typ, guardColumn: t.Column, guard: t.Values, rowsTag: t}
	for _, g := range relation.columns {
		if g.name == t.Column {
			l.guardType = g.typ
		}
	}
	return l, true
}

// withRowsLookedUp adds the tags of the rows in which the values of others are
// looked up. Most stand there anyway, but an occurrence may have a guard that is
// better, or an outer one that its own lookup led to:
//
//  1. v, which joins a.id = 1 to b by b.x = a.k, is joined to c by c.z = v.y and
//     c.z = v.x. The lookups find b.x = 5 and, as no such b is there, no b.y;
//  2. c.z and so v.x and b.x have one of the values of b.y, of which there is none;
//  3. a row of b with x = 5 is inserted, and y = 5, as c has.
//
// Its tag b/x=5 is what the lookup of b.y rests on.
func withRowsLookedUp(tags []TagTemplate, lookups []lookup) []TagTemplate {
	// A lookup goes through earlier ones only.
	for i, l := range slices.Backward(lookups) {
		uses := func(v ValueSource) bool { return v.Origin == Joined && v.Index == i }
		if slices.ContainsFunc(tags, func(t TagTemplate) bool { return slices.ContainsFunc(t.Values, uses) }) {
			tags = compact(append(tags, l.rowsTag))
		}
	}
	return tags
}

// usedLookups keeps those lookups that tags need.
func usedLookups(tags []TagTemplate, all []lookup) []lookup {
	number, used := map[int]int{}, []lookup(nil)
	for i := range tags {
		values := append(guard(nil), tags[i].Values...)
		for j, v := range values {
			if v.Origin != Joined {
				continue
			}
			if _, ok := number[v.Index]; !ok {
				number[v.Index] = len(used)
				used = append(used, all[v.Index])
			}
			values[j].Index = number[v.Index]
		}
		tags[i].Values = values
	}
	return used
}
