package cache

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
