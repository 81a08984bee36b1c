// Package wire serves Postgres clients on a socket: each client gets its own
// upstream connection, whatever is not answered from the cache is relayed byte
// for byte and in order, and a cacheable answer is captured on its way.
//
// It guarantees that a client sees what Postgres would have sent, that a
// statement which is not known to be cacheable reaches Postgres unchanged, and
// that one client's bytes never hurt another client. It does not decide what is
// cacheable (package analysis) or fresh (package fence).
//
// A Server may be used by many goroutines. Inside, each client has a session
// with two goroutines, one for each direction.
package wire
