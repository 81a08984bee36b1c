package cache

import (
	"encoding/hex"
	"reflect"
	"slices"
	"strconv"

	"github.com/freshet/freshet/cache/fence"
)

// Dependency names something that an answer depends on. Make one with Row,
// Table or Custom.
type Dependency struct {
	// Table is the qualified name of a table, "schema.name", or empty.
	Table string
	// Column and Value restrict it to the rows that have a value, in Postgres'
	// text form. An empty Column stands for the whole table.
	Column, Value string
	// Name is a tag of the program's own, which its writers move themselves, or
	// empty.
	Name string
}

// RowValue is what Row compares with: types whose text is the same in Go and in
// Postgres. An array of 16 bytes is a uuid.
type RowValue interface {
	~string | ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~[16]byte
}

// Row is a dependency on the rows of table, "schema.name", whose column has
// value, now or in the future: those that have it, get it or lose it. The column
// should be one that is watched; if it is not, every change of the table counts.
func Row[T RowValue](table, column string, value T) Dependency {
	return Dependency{Table: table, Column: column, Value: postgresText(reflect.ValueOf(value))}
}

// Table is a dependency on everything in table, "schema.name".
func Table(table string) Dependency { return Dependency{Table: table} }

// Custom is a dependency on a tag of the program's own.
func Custom(name string) Dependency { return Dependency{Name: name} }

// Tags returns the tags of d in a watched table whose tags carry root, and whose
// columns have tags of their values. It is what an Options.Resolve returns once
// it found the table.
func (d Dependency) Tags(root uint32, columns []string) []fence.Tag {
	schema := fence.NewTag(fence.RelationSchemaText(root))
	if d.Column == "" || !slices.Contains(columns, d.Column) {
		return []fence.Tag{fence.NewTag(fence.TableText(root)), schema}
	}
	return []fence.Tag{
		fence.NewTag(fence.ValueText(root, d.Column, d.Value)), fence.NewTag(fence.WholesaleText(root)), schema,
	}
}

func postgresText(v reflect.Value) string {
	switch {
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10)
	case v.Kind() == reflect.String:
		return v.String()
	}
	var id [16]byte
	reflect.Copy(reflect.ValueOf(id[:]), v)
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// resolve returns the tags of all dependencies for a load with a label. None at
// all is as bad as one that is not watched: nothing would end the entry.
//
// It is called with the label, and after it was taken. Before it:
//
//  1. the tags are resolved, in the schema as it is;
//  2. a change of the schema commits that moves other tags from now on;
//  3. the label is taken and includes the change;
//  4. the entry's tags are never moved again, and its label sees the schema's.
func (c *Cache) resolve(dependencies []Dependency, label fence.Label) ([]fence.Tag, bool) {
	if c.resolver == nil || len(dependencies) == 0 {
		return nil, false
	}
	var tags []fence.Tag
	for _, d := range dependencies {
		found, ok := c.resolver(d, label)
		if !ok {
			return nil, false
		}
		tags = append(tags, found...)
	}
	return tags, len(tags) > 0
}
