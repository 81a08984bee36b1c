package conversation

import "bytes"

// The tag of a CommandComplete tells what a statement may have done that no other message
// tells of.

// endsStatements reports whether a command of this tag may end prepared statements, and
// give their names to others. A DEALLOCATE inside of a function that a SELECT calls, or in
// a trigger, goes unnoticed: to ask for the names after each of those would cost sessions
// that are passed through a question a read.
func endsStatements(tag []byte) bool {
	return bytes.HasPrefix(tag, []byte("DEALLOCATE")) || bytes.HasPrefix(tag, []byte("DISCARD ALL")) ||
		bytes.HasPrefix(tag, []byte("DO\x00")) || bytes.HasPrefix(tag, []byte("CALL\x00"))
}

// loadsLibrary reports whether a command of this tag has loaded a library. What
// the library hooks into, nobody can tell. A LOAD inside of a function goes
// unnoticed, as any function in C does that comes with such a library.
func loadsLibrary(tag []byte) bool { return string(tag) == "LOAD\x00" }

// concernsRoles reports whether a command of this tag may have changed what no event
// reports: roles, whose privileges they have, or settings of databases. A function that
// does so goes unnoticed until the follower compares.
func concernsRoles(tag []byte) bool {
	switch string(tag) {
	case "CREATE ROLE\x00", "ALTER ROLE\x00", "DROP ROLE\x00", "GRANT ROLE\x00", "REVOKE ROLE\x00", "GRANT\x00", "REVOKE\x00",
		"REASSIGN OWNED\x00", "DROP OWNED\x00", "ALTER DATABASE\x00", "ALTER SYSTEM\x00", "DO\x00":
		return true
	}
	return false
}
