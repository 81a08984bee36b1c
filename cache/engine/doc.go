// Package engine keeps answers in two tiers and hands them out only while it can
// prove that they are as fresh as promised.
//
// A Cache is two tiers (memory, and a Remote that the processes share, usually
// Redis) and one load: of any number of readers that miss one key together, one
// asks Postgres. It is shared by everything in a process; the first bytes of a
// key keep its users apart. A read is made of steps, for callers that load in
// their own way: package cache, which wraps functions of Go, and the sidecar's
// relay of wire messages.
//
//	Lookup   the hit: no allocation, no I/O
//	Prove    after Unproven: makes the newest head new enough, then Lookup again
//	Join     after Miss: one of all who miss the key leads, the others Wait
//	Fetch    the leader asks the second tier; as a method of Flight it also takes
//	         care that of all processes one loads, if loads are long
//	Begin    the leader takes the label, and then loads
//	Store    the leader gives the entry to both tiers
//	Finish   the leader hands the entry to those who wait
//
// It guarantees that whatever Lookup, Wait and Serve hand out was admitted by
// the fence after the reader came, or was loaded after the reader came: no
// order of loads, writes, events and forgotten messages makes a stale answer.
// The tiers are trusted with nothing but bytes; and with Options.Keys the second
// one not even with those: what others write there is not used. It does not
// watch the database (package invalidation does, and feeds the fence) and does
// not know SQL.
//
// All functions and methods may be called concurrently, except where a type
// says otherwise.
package engine
