// Package shop is a small web shop on PostgreSQL with its customers: a data set,
// readers and writers through ordinary drivers, and a measurement of what they
// got and how long it took.
//
// A Workload reads and writes through any number of doors to one database (a
// door is an address that speaks PostgreSQL's protocol) and, to compare, at
// PostgreSQL itself. Every read is judged by package checker. Every figure in its
// Report is from the clients' side or from PostgreSQL's own counters; the package
// knows nothing of what stands behind a door and imports nothing of it.
//
// It guarantees that a read is judged by when it was sent and by writes whose
// commit was acknowledged before. It does not drive the doors to their limit: it
// offers a fixed load, so its rates measure nothing but itself.
//
// Report may be called by any goroutine at any time; the rest is for one.
package shop

import "time"

const (
	// skew is the exponent of popularity: YCSB's usual one.
	skew = 0.99
	// queryWaitMax bounds one statement; one that takes longer is an error.
	queryWaitMax = 15 * time.Second
)
