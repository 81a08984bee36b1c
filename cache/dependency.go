package cache

import "github.com/freshet/freshet/cache/fence"

// Dependency names something that an answer depends on. Make one with Row,
// Table or Tag.
type Dependency struct {
	// Table is the qualified name of a table, "schema.name", or empty.
	Table string
	// Column and Value restrict it to the rows that have a value. An empty Column
	// stands for the whole table.
	Column string
	Value  any
	// Name is a tag of the program's own, which its writers move themselves, or
	// empty.
	Name string
}

// Row is a dependency on the rows of table, "schema.name", whose column has
// value, now or in the future: those that have it, get it or lose it. The column
// should be one that is watched. value is a string, an integer, a bool or an array of
// 16 bytes, which is a uuid, or of a type made of these; a string may be spelled as
// Postgres reads it, whatever the column's type. Where the column has no tags, or the
// value is none of its type, every change of the table counts.
func Row(table, column string, value any) Dependency {
	return Dependency{Table: table, Column: column, Value: value}
}

// Table is a dependency on everything in table, "schema.name".
func Table(table string) Dependency { return Dependency{Table: table} }

// Tag is a dependency on a tag of the program's own. Invalidate moves it, and so does
// SELECT freshet.touch(name, …) in whatever transaction makes answers wrong. Names that begin
// with freshet/ are reserved: no answer is kept that depends on one.
func Tag(name string) Dependency { return Dependency{Name: name} }

// resolve returns the tags of all dependencies for a load of a function with a label.
// None at all is as bad as one that is not watched: nothing would end the entry.
//
// It is called with the label, and after it was taken. Before it:
//
//  1. the tags are resolved, in the schema as it is;
//  2. a change of the schema commits that moves other tags from now on;
//  3. the label is taken and includes the change;
//  4. the entry's tags are never moved again, and its label sees the schema's.
func (c *Cache) resolve(f *function, dependencies []Dependency, label fence.Label) ([]fence.Tag, bool) {
	if c.resolver == nil {
		return nil, false
	}
	var tags []fence.Tag
	for _, d := range dependencies {
		found := c.resolver(d, label)
		if found.Doubt != nil {
			f.doubts(c.logger, d, found.Doubt)
		}
		if len(found.Tags) == 0 {
			return nil, false
		}
		if tags == nil {
			tags = found.Tags[:len(found.Tags):len(found.Tags)]
			continue
		}
		tags = append(tags, found.Tags...)
	}
	return tags, len(tags) > 0
}
