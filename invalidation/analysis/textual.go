package analysis

import "strings"

// ReadsPlainly reports whether a text is a read that calls nothing by name: a bracket
// is what it takes to call a function, and INTO to make a table.
func ReadsPlainly(sql string) bool {
	return BeginsLikeRead(sql) && !strings.Contains(sql, "(") && !strings.Contains(strings.ToLower(sql), "into")
}

// WritesRows reports whether a text begins like a statement that writes rows and
// defines nothing itself.
func WritesRows(sql string) bool { return writesRows[FirstKeyword(sql)] }

var writesRows = map[string]bool{
	"INSERT": true, "UPDATE": true, "DELETE": true, "MERGE": true, "COPY": true, "TRUNCATE": true, "LOCK": true, "VACUUM": true, "ANALYZE": true,
}
