package invalidation

import (
	"strings"
)

// Advisory lock keys of the database. Any role may take them: whoever holds the
// doorbell's key costs the others latency, at most one poll interval, and whoever
// holds the sleeper's makes writers ring.
const (
	doorbellLock int64 = 7306086874853462001
	sleeperLock  int64 = 7306086874853462004
	trimLock     int64 = 7306086874853462002
	installLock  int64 = 7306086874853462003
)

// doorbellChannel is the NOTIFY channel. Its payload is always empty.
const doorbellChannel = "freshet"

// triggerPrefix begins the name of every trigger of ours, so that they fire
// after others of the same kind.
const triggerPrefix = "zz_freshet_"

// identifier quotes a name for SQL.
func identifier(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// literal quotes a string for SQL, whatever standard_conforming_strings says
// when the text is parsed.
func literal(text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		quoted = "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// qualified quotes a name with its schema.
func qualified(schema, name string) string { return identifier(schema) + "." + identifier(name) }
