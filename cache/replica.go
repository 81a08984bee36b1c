package cache

import (
	"context"
	"errors"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// Replica says what a load on a standby shows. An invalidation.Standby is one.
type Replica interface {
	// Begin returns the label of a load that begins now on the standby, with Replica
	// set, or false if none should be made there.
	Begin() (fence.Label, bool)
	// Confirm returns nil once it is certain that the load with that label, which
	// began and ended at moments of this process, was made on the standby that the
	// label is about.
	Confirm(ctx context.Context, label fence.Label, began, ended fence.Instant) error
}

// replicaConfirmMax bounds the wait for the confirmation of a load on a standby.
const replicaConfirmMax = time.Second

type replicaKey struct{}

// OnReplica reports whether the load that ctx belongs to is to be made on the
// standby of Policy.Replica. Of any other context it says no.
func OnReplica(ctx context.Context) bool { return ctx.Value(replicaKey{}) != nil }

// StartReplica is Begin for a load on a standby.
func (c *Cache) StartReplica(r Replica) (Start, bool) {
	at := fence.Now()
	label, ok := r.Begin()
	if !ok {
		return Start{}, false
	}
	label.Replica = true
	return Start{Label: label, At: at}, true
}

// ConfirmReplica reports whether a load on a standby, which ended at a moment,
// was made where its label says. It waits for a bounded time.
func (c *Cache) ConfirmReplica(ctx context.Context, r Replica, start Start, end fence.Instant) bool {
	ctx, cancel := context.WithTimeout(ctx, replicaConfirmMax)
	defer cancel()
	return r.Confirm(ctx, start.Label, start.At, end) == nil
}

// obtainReplica loads on the standby, for a reader that may be shown what it
// has. It reports false if the answer must come from the primary: the standby is
// too far behind, cannot be vouched for, or answered with an error, for which
// there may be no other reason than that it is a standby.
func (w *wrapped[K, V]) obtainReplica(ctx context.Context, k K, key []byte, s *fence.Session) (*Entry, bool) {
	r := w.policy.Replica
	if r == nil || !s.Bounded() {
		return nil, false
	}
	start, ok := w.cache.StartReplica(r)
	if !ok {
		w.cache.counters.replicaRefused.Add(1)
		return nil, false
	}
	v, err := w.call(context.WithValue(ctx, replicaKey{}, true), k, s)
	end := fence.Now()
	if err != nil && (w.policy.NotFound == nil || !errors.Is(err, w.policy.NotFound)) {
		w.cache.counters.replicaRefused.Add(1)
		return nil, false
	}
	e := w.entry(k, key, v, err, start, end)
	if e == nil || !w.cache.ConfirmReplica(ctx, r, start, end) || !w.cache.serveProving(ctx, e, s) {
		w.cache.counters.replicaRefused.Add(1)
		return nil, false
	}
	w.cache.counters.replicaLoads.Add(1)
	w.cache.Store(e)
	return e, true
}
