// Package cache reads a Postgres database with a cache in between: answers come from
// memory, and only while it can be proven that they are as fresh as promised.
//
// Open makes a DB of a pool. It has the methods of the pool, so that code that queries
// the one can query the other; Query and QueryRow are answered from the cache. Wrap makes
// a function that reads through a DB a cached one, NewRepository one with more to it: the
// statements of a load tell what its answer depends on, and a Policy how it is kept. Of
// any number of callers that miss one key together, one loads; through Options.Remote
// processes share what they load. A context says whose reads its calls are (WithSession,
// WithLevel, WithToken) and which must not be cached (Bypass).
//
// It guarantees what package engine, which keeps the answers, guarantees of
// entries: no order of loads, writes, events and forgotten messages makes a stale
// answer. Where Policy.DependsOn takes the place of the statements, that is as true as
// what it names is complete.
//
// All functions may be called concurrently.
package cache
