// Package fence decides whether a cached entry may be served.
//
// It holds what the follower has told it about the database (the head, the
// events, the floor) and answers one question, Admits, for any number of
// concurrent readers. It does no I/O: a follower feeds it, a cache asks it.
//
// The words (docs/architecture.md explains the protocol):
//
//	event   a committed transaction changed what some tags stand for
//	head    a snapshot of the database of which every visible event was received
//	label   the bounds of the database state that an entry shows
//	floor   the snapshot at which the knowledge of events begins
//
// An entry is admitted if and only if it is of the current incarnation, the
// floor is visible in its label, and every event received for any of its tags
// is visible in its label. Forgetting (Del in a cache, a lost message, a Redis
// that answers with last week's bytes) can therefore cost a miss and never
// makes a stale answer.
package fence
