package cache

import (
	"context"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
)

type replicaKey struct{}

// OnReplica reports whether the load that ctx belongs to is to be made on the
// standby of Policy.Replica. Of any other context it says no.
func OnReplica(ctx context.Context) bool { return ctx.Value(replicaKey{}) != nil }

// obtainReplica loads on the standby, for a reader that may be shown what it
// has. It reports false if the answer must come from the primary: the standby is
// too far behind, cannot be vouched for, or answered with an error, for which
// there may be no other reason than that it is a standby.
func (w *wrapped[K, V]) obtainReplica(ctx context.Context, k K, at place, s *fence.Session) (*engine.Entry, bool) {
	r := w.policy.Replica
	if r == nil || !s.Bounded() {
		return nil, false
	}
	start, ok := w.cache.engine.StartReplica(r)
	if !ok {
		w.cache.counters.replicaRefused.Add(1)
		return nil, false
	}
	v, under, err := w.call(context.WithValue(ctx, replicaKey{}, true), k, at, s)
	end := fence.Now()
	if w.failed(err) {
		w.cache.counters.replicaRefused.Add(1)
		return nil, false
	}
	tags, _, problem := w.depends(k, v, err != nil, under, start.Label)
	if problem != nil || tags == nil {
		w.cache.counters.replicaRefused.Add(1)
		return nil, false
	}
	e := w.entry(k, at, v, err, tags, start, end)
	if !w.cache.engine.ConfirmReplica(ctx, r, start, end) || !w.cache.engine.ServeProving(ctx, e, s) {
		w.cache.counters.replicaRefused.Add(1)
		return nil, false
	}
	w.cache.counters.replicaLoads.Add(1)
	w.cache.engine.Store(e)
	return e, true
}
