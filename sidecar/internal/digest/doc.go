// Package digest names texts by a few bytes: the same text has the same name for ever
// and in every process, and no other text has it.
//
// It is pure. Names stand in the keys of entries in Redis, which outlive processes and
// versions: another way of naming would lose all of them.
package digest
