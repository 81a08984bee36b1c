// Package drivers holds the proof that clients need not change: small programs
// for the usual drivers, each run directly against Postgres and through the
// sidecar with nothing changed but host and port.
//
// Its tests guarantee that both runs print the same (rows, types, command tags,
// notices, errors with their SQLSTATE), that repeated reads are hits, that hits
// do not reach Postgres, by Postgres' own counters, and that a program sees its
// own writes at once. Those in Go are run through the library too, in place of the
// sidecar. They do not measure speed, and leave to the tests of
// package wire what no driver sends.
//
// The programs stand in testdata and, for Go's drivers, in the test files. There
// is nothing in this package to call.
package drivers
