package cache

import (
	"context"
	"fmt"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
)

// Repository is a wrapped function with what can be done besides calling it.
type Repository[K comparable, V any] struct{ wrapped *wrapped[K, V] }

// NewRepository is Wrap for who wants more than the function.
func NewRepository[K comparable, V any](db *DB, name string, load func(context.Context, K) (V, error), p ...Policy[K, V]) *Repository[K, V] {
	return &Repository[K, V]{wrap(db, name, callerAt(1), load, p)}
}

// Get is the wrapped function.
func (r *Repository[K, V]) Get(ctx context.Context, k K) (V, error) { return r.wrapped.get(ctx, k) }

// GetMany returns the values of many keys; those without one are not in the map. What is
// not in memory is asked for in Redis in one round trip, and what is not there either is
// loaded by one call of Policy.LoadMany, in which others may join as in any load. Its
// error is that of any of the keys.
func (r *Repository[K, V]) GetMany(ctx context.Context, ks []K) (map[K]V, error) {
	return r.wrapped.getMany(ctx, ks)
}

// Refresh loads the value of a key now, and keeps it.
func (r *Repository[K, V]) Refresh(ctx context.Context, k K) (V, error) {
	began := fence.Now()
	return r.wrapped.observed(ctx, began, r.wrapped.handedResult(r.wrapped.refresh(ctx, k)))
}

// Peek returns what Get would return at once, from the memory of this process. It asks
// nobody and counts nothing.
func (r *Repository[K, V]) Peek(ctx context.Context, k K) (v V, ok bool) {
	w, reads := r.wrapped, readerOf(ctx)
	session, now := w.db.session(reads), fence.Now()
	at, err := w.place(k)
	if err != nil || reads.bypasses {
		return v, false
	}
	session.Begin(now)
	e, p := w.find(k, at)
	if e == nil || !p.found || w.cache.engine.Serve(e, now, session) != engine.Hit {
		return v, false
	}
	if reads.load != nil {
		reads.load.notesTicket(e.Ticket)
	}
	v, err = w.handed(p.answer())
	return v, err == nil
}

// invalidateMax is how many keys one statement ends.
const invalidateMax = 1000

// Invalidate ends what is kept of some keys, in every process. Within a transaction of
// one's own, InvalidateIn does.
func (r *Repository[K, V]) Invalidate(ctx context.Context, ks ...K) error {
	return r.InvalidateIn(ctx, r.wrapped.db, ks...)
}

// InvalidateIn is Invalidate by way of a transaction of the DB: what is kept ends when that
// commits.
func (r *Repository[K, V]) InvalidateIn(ctx context.Context, in Execer, ks ...K) error {
	w := r.wrapped
	names := make([]string, len(ks))
	for i, k := range ks {
		at, err := w.place(k)
		if err != nil {
			return err
		}
		names[i] = string(w.appendOwn(nil, w.written(k, at)))
	}
	for len(names) > 0 {
		n := min(len(names), invalidateMax)
		if err := Invalidate(ctx, in, names[:n]...); err != nil {
			return fmt.Errorf("of %s: %w", w.name, err)
		}
		names = names[n:]
	}
	return nil
}
