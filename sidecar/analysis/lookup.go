package analysis

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A many-to-one join (orders JOIN users ON users.id = orders.user_id WHERE
// orders.id = $1) restricts the table joined to by values that only the data
// tell. They are asked for before the load, on the same server, after its label
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
// country of user 5 is known until users/id=5 moves. (TestF5LookupBeforeTheLoad)

// lookup asks for the values of a column of the rows of a table that a guard
// leaves.
type lookup struct {
	schema, table, column string
	columnType            uint32
	guardColumn           string
	guardType             uint32
	guard                 guard
	through               *lookup // finds the values of the guard; nil: the guard has its own
}

// lookupsMax bounds the lookups of one statement; joins beyond it depend on the
// whole table.
const lookupsMax = 8

// lookupLevelsMax bounds the lookups that one goes through, itself included.
const lookupLevelsMax = 3

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

// join learns, for columns of which nothing is known, that they have one of the
// values that a lookup finds.
func (d *deriver) join(me *scope) {
	for again := true; again; {
		again = false
		for _, e := range me.edges {
			if _, known := me.known[e.to]; known {
				continue
			}
			if g, ok := d.lookedUp(me, e.from); ok {
				me.known[e.to] = g
				again = true
			}
		}
		me.propagate()
	}
}

// lookedUp returns the values that a column has in the rows that matter of an
// occurrence of a table, which are guarded by something else. A guard of the
// occurrence itself it is not: that would be asked for by itself.
func (d *deriver) lookedUp(s *scope, c column) (guard, bool) {
	if g, ok := s.looked[c]; ok {
		return g, true
	}
	if d.dry > 0 || len(d.lookups) >= lookupsMax {
		return nil, false
	}
	from := s.entry(c.entry)
	if from.int("rtekind") != rteRelation || from.atom("relkind") == "v" {
		return nil, false
	}
	guards := map[int]guard{}
	for other, g := range s.known {
		if other.entry == c.entry {
			guards[other.number] = g
		}
	}
	l, ok := d.lookupFor(from.oid("relid"), guards, c.number)
	if !ok || !d.through(&l) {
		return nil, false
	}
	g := guard{{Origin: Joined, Index: len(d.lookups), Text: l.schema + "." + l.table + "." + l.column, level: l.level()}}
	d.lookups = append(d.lookups, l)
	s.looked[c] = g
	return g, true
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
	if !ok {
		return lookup{}, false
	}
	t, relation := s.template(oid, table, guards), s.catalog.relation(oid)
	c, ok := relation.columns[number]
	if !ok || t.Column == "" || !canonical[c.typ] {
		return lookup{}, false
	}
	l := lookup{schema: relation.schema, table: relation.name, column: c.name, columnType: c.typ, guardColumn: t.Column, guard: t.Values}
	for _, g := range relation.columns {
		if g.name == t.Column {
			l.guardType = g.typ
		}
	}
	return l, true
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
