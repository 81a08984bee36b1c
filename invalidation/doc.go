// Package invalidation is how Postgres tells us what changed.
//
// Install puts an outbox, triggers and event triggers into a database; a
// Follower looks at the outbox and keeps a fence.Fence informed.
//
// It guarantees: every committed statement that changed a watched table, and
// every DDL command, is an event of the fence before the fence's head includes
// the commit. Notifications only make that happen sooner; without them a look
// is made every poll interval. Whatever cannot be followed (a crash, a trimmed
// outbox, too many events at once, changed roles or settings) resets the fence
// to trust nothing older. A table whose triggers are not exactly in place, on it
// and on all its partitions and children, is not in the follower's State.
//
// It does not see: what a superuser changes behind the triggers' back (reported
// within the verification interval, if it is still so by then), foreign tables.
//
// Install, Script and Uninstall use one connection and must not share it. A
// Follower may be used by any number of goroutines.
package invalidation
