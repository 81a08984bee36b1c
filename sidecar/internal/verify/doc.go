// Package verify compares answers that came from the cache with what Postgres says, a few
// of them, while the sidecar serves: so that an operator need not believe in freshness.
//
// A hit is answered first, and handed over. The statement is then executed on a connection
// of the verifier's own that takes over the session's role and settings, in a read-only
// transaction that takes a second at most. What becomes of it has one of the Results.
//
// It guarantees that Stale is proven. An entry that the fence admits at a head is, by the
// protocol, the answer of every state from its label to that head: no event for it came
// between. So if Postgres answered otherwise at a moment, and a look that began later still
// has the entry admitted, then the entry is wrong, whatever was written before or after.
// It says so only if that lasts for the staleness bound, if Postgres gave the same other
// answer both times, and if the statement's answer follows from the database's state alone.
// What it cannot prove it calls raced or incomparable.
//
// It costs a hit nothing but a countdown, and never makes a client wait. It proves only
// what bounded staleness promises: that a session sees its own writes it does not examine.
//
// A Verifier may be used concurrently.
package verify
