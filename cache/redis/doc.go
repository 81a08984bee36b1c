// Package redis is the second tier: bytes that processes share, in a Redis that
// may be slow, wrong, restarted or gone. It is the only importer of go-redis.
//
// It guarantees that no call takes much longer than Options.Timeout, that a
// Redis that does not answer soon costs callers nothing at all (a breaker opens,
// and only a probe in the background goes on trying), and that no failure is
// ever more than a miss. It reads at most ValueMax bytes of a value.
//
// It does not judge the bytes: whoever gets them checks what they are and
// whether they may be used.
//
// All methods may be called concurrently.
package redis
