// Package redis is the second tier: bytes that processes share, in a Redis that
// may be slow, wrong, restarted, failed over or gone. It is one server, what
// Sentinels watch, or a Cluster. It is the only importer of go-redis.
//
// It guarantees that no call takes much longer than Options.Timeout (twice that
// while a Cluster has not named its nodes yet), that a Redis, or a node of a
// Cluster, that does not answer soon costs callers nothing at all (a breaker
// opens, and only a probe in the background goes on trying), and that no failure
// is ever more than a miss. It reads at most ValueMax bytes of a value.
//
// It does not judge the bytes: whoever gets them checks what they are and
// whether they may be used. A lease is advice: Redis may forget it, or give it to
// two, and after a failover it does.
//
// All methods may be called concurrently.
package redis
