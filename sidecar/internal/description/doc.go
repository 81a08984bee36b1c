// Package description says what a client was told of a prepared statement: its columns,
// and the types of its parameters.
//
// A client reads rows by the description that it was told of their statement, which
// Postgres keeps to: what a statement gives is fixed when it is parsed, and when a
// change of its tables would change that, it fails. An entry of the cache may be older
// or newer than the description:
//
//  1. a session prepares a statement and has it described, with two columns;
//  2. a column is added; the follower does not know yet;
//  3. another session loads three columns under the same statement and values;
//  4. the first session would be answered these, and read them as two.
//
// So what a client was told is part of the key of rows without a description of their
// own, and a description is answered only where it cannot be another than the one that
// Postgres keeps to. What was told before Postgres was asked at all is compared with
// what Postgres says before it is relied on. Forced by
// TestRowsFitTheDescriptionThatTheClientHas, in sidecar/wire.
//
// It is pure. A Description does not change, and may be read by any goroutine.
package description
