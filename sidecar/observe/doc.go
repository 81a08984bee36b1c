// Package observe finds out what the cache would bring, from what passes between clients
// and Postgres while nothing is cached and nothing installed.
//
// A Tap reads what passes in one session and hands whole units to the Observer, which
// plays through what the cache would have done with each: which reads would have found an
// answer, which written rows would have ended it, what would have passed through and for
// which reason. What a statement depends on is the word of the analysis, as ever; its
// connection is the observer's own, as any role.
//
// It guarantees that observing never holds up a client and never ends one: what comes
// faster than it is looked at is left out, and counted. What it says is an estimate. Writes
// from elsewhere are known by the counters of pg_stat_user_tables alone, so there are two
// ratios: one for changes that meet nothing that was read, one for changes that meet it all.
//
// A Tap is used by the two goroutines of its session, an Observer by any number.
package observe
