package engine

import (
	"sync/atomic"
	"time"
)

// Limits are those of Options that can be changed while the cache runs.
type Limits struct {
	Staleness time.Duration
	EntryMax  int
	TTL       time.Duration
}

// limits hold Limits for readers that must not wait.
type limits struct {
	staleness, entryMax, ttl atomic.Int64
}

// Limits are those of o.
func (o Options) Limits() Limits {
	return Limits{Staleness: o.Staleness, EntryMax: o.EntryMax, TTL: o.TTL}
}

// SetLimits changes the limits of all that is asked for and stored from now on. What
// is kept already keeps its life. The caller gives what New would take, no zeroes.
func (c *Cache) SetLimits(l Limits) {
	c.limits.staleness.Store(int64(l.Staleness))
	c.limits.entryMax.Store(int64(l.EntryMax))
	c.limits.ttl.Store(int64(l.TTL))
}

// Staleness is Limits.Staleness.
func (c *Cache) Staleness() time.Duration { return time.Duration(c.limits.staleness.Load()) }

// EntryMax is Limits.EntryMax.
func (c *Cache) EntryMax() int { return int(c.limits.entryMax.Load()) }

// TTL is Limits.TTL.
func (c *Cache) TTL() time.Duration { return time.Duration(c.limits.ttl.Load()) }
