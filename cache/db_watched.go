package cache

// WatchedTable is a table whose changes are followed.
type WatchedTable struct {
	// Name is schema.table.
	Name string
	// Columns are those by whose values changes are told apart.
	Columns []string
}

// Watched lists the tables whose changes are followed, none before the first look.
func (db *DB) Watched() []WatchedTable {
	if db.follower == nil {
		return nil
	}
	known := db.follower.State().Tables()
	tables := make([]WatchedTable, len(known))
	for i, t := range known {
		tables[i] = WatchedTable{t.Schema + "." + t.Name, t.Columns}
	}
	return tables
}

// Problems says, each in a sentence with what to do, what keeps tables from being watched.
func (db *DB) Problems() []string {
	if db.follower == nil {
		return nil
	}
	problems := db.follower.State().Problems()
	if wanting := db.follower.Stats().Wanting; wanting != "" {
		problems = append(problems, wanting)
	}
	return problems
}
