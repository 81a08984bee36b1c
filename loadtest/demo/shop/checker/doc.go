// Package checker judges reads by the promises about freshness, knowing only
// what a client can know: which versions were written, when each write was
// acknowledged, and what each read returned.
//
// It guarantees that a violation it counts is one: a write counts from the moment
// its acknowledgement was received, which is after the commit, and a read from
// the moment before it was sent. Both moments are of this process's monotonic
// clock. It cannot see a violation that is shorter than these two delays, and it
// says of how many reads it could have caught one (Report.Contested).
//
// It knows nothing of how the reads were answered and imports nothing that takes
// part in it.
//
// A Checker may be used by many goroutines; a Session, which stands for one
// connection, by one.
package checker
