// Package cache makes functions of Go that read the database cached ones: their
// answers come from memory, and only while it can be proven that they are as fresh
// as promised.
//
// Wrap is its face. A Cache is shared by all wrapped functions of a process, and
// through CacheOptions.Remote by all processes; of any number of callers that miss one
// key together, one loads. What an answer depends on, a Policy says with Row, Table
// and Tag; a context says whose reads its calls are (WithSession) and which must
// not be cached (Bypass).
//
// It guarantees what package engine, which keeps the answers, guarantees of
// entries: no order of loads, writes, events and forgotten messages makes a stale
// answer, as far as the policy names what the answer depends on. It does not watch
// the database (package invalidation does) and does not know SQL.
//
// All functions may be called concurrently.
package cache
