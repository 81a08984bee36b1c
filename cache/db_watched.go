package cache

import "time"

// WatchedTable is a table whose changes are followed.
type WatchedTable struct {
	// Name is schema.table.
	Name string
	// Columns are those by whose values changes are told apart.
	Columns []string
	// Statements have changed rows of the table since the DB was opened, its partitions'
	// counting for the root. Ended are the tags that they moved: rows' values, or the table.
	Statements, Ended uint64
	// StatementsPerSecond and EndedPerSecond are how often they come, of the last ten seconds or so.
	StatementsPerSecond, EndedPerSecond float64
	// Answers counts those in memory that they have ended.
	Answers uint64
	// At is when the last of them was received, zero before.
	At time.Time
}

// Watched lists the tables whose changes are followed, none before the first look.
func (db *DB) Watched() []WatchedTable {
	if db.follower == nil {
		return nil
	}
	known, written := db.follower.State().Tables(), db.follower.Stats().Written
	tables, now := make([]WatchedTable, len(known)), time.Now()
	for i, t := range known {
		tables[i] = WatchedTable{Name: t.Schema + "." + t.Name, Columns: t.Columns}
		if t.OID == t.Root {
			w := written[t.Root]
			tables[i].StatementsPerSecond, tables[i].EndedPerSecond = w.StatementsPace.PerSecond(now), w.TagsPace.PerSecond(now)
			tables[i].Statements, tables[i].Ended, tables[i].Answers, tables[i].At = w.Statements, w.Tags, w.Ended, w.At
		}
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
