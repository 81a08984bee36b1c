package probe

import (
	"bytes"
	"encoding/hex"
)

// namesSQL are the names of the statements made by the protocol, which is never
// NULL: that is what a probe says that was not asked.
const namesSQL = `(SELECT COALESCE(pg_catalog.string_agg(pg_catalog.encode(pg_catalog.convert_to(name, 'UTF8'), 'hex'), ','), '')` +
	` FROM pg_catalog.pg_prepared_statements WHERE NOT from_sql)`

// cursorsSQL is how many cursors there are that outlive their transactions: their names are
// those of portals, too.
const cursorsSQL = `(SELECT pg_catalog.count(*) FROM pg_catalog.pg_cursors WHERE is_holdable)`

// parseNames reads the column.
func parseNames(column []byte) (names map[string]bool, ok bool) {
	names = map[string]bool{}
	if len(column) == 0 {
		return names, true
	}
	for _, coded := range bytes.Split(column, []byte{','}) {
		name, err := hex.DecodeString(string(coded))
		if err != nil {
			return nil, false
		}
		names[string(name)] = true
	}
	return names, true
}
