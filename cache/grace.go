package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
)

// StaleError says that the value beside it was good once, and may not be any more: the
// load that should have brought a new one failed, or took too long. No promise holds
// for the value. Only functions with Policy.Grace return it.
type StaleError struct {
	// Since is when the value was loaded.
	Since time.Time
	// Cause is how the load ended, or context.DeadlineExceeded if it goes on.
	Cause error
}

// Error says since when, and why.
func (e *StaleError) Error() string {
	return fmt.Sprintf("value of %s, perhaps outdated: %v", e.Since.Format(time.RFC3339), e.Cause)
}

// Unwrap returns the cause.
func (e *StaleError) Unwrap() error { return e.Cause }

// graceful is miss with the old value in case that a load fails or takes too long. An
// error stands beside it in any case.
func (w *wrapped[K, V]) graceful(ctx context.Context, k K, at place, outcome engine.Outcome, r reader) result[V] {
	old := w.old(k, at)
	if old == nil || w.policy.Patience == 0 {
		return w.orOld(ctx, old, w.miss(ctx, k, at, outcome, r))
	}
	if !w.cache.loads.begin() {
		return w.handedResult(w.miss(ctx, k, at, outcome, r))
	}
	done := make(chan result[V], 1)
	go func() {
		defer w.cache.loads.running.Done()
		loading, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.cache.loadMax)
		defer cancel()
		defer context.AfterFunc(w.cache.closing, cancel)()
		done <- w.miss(loading, k, at, outcome, r)
	}()
	patience := time.NewTimer(w.policy.Patience)
	defer patience.Stop()
	select {
	case got := <-done:
		return w.orOld(ctx, old, got)
	case <-patience.C:
		return w.orOld(ctx, old, failing[V](context.DeadlineExceeded))
	case <-ctx.Done():
		return failing[V](fmt.Errorf("wait for %s: %w", w.name, context.Cause(ctx)))
	}
}

// past is a value that was good.
type past[V any] struct {
	value V
	since time.Time
}

// old returns the last value of a key that is still in memory and not older than Grace.
// It is copied out now: the entry may be replaced.
func (w *wrapped[K, V]) old(k K, at place) *past[V] {
	e, p := w.find(k, at)
	if e == nil || !p.found {
		return nil
	}
	since := e.Born()
	if age := time.Since(since); age > w.policy.Grace || age < 0 {
		return nil
	}
	if loaded := e.Ticket.Loaded(); loaded != 0 && fence.Now().Sub(loaded) > w.policy.Grace {
		return nil
	}
	return &past[V]{p.value, since}
}

// orOld is an answer, or the old value with the error that the answer is. A caller that
// has left gets no value.
func (w *wrapped[K, V]) orOld(ctx context.Context, old *past[V], r result[V]) result[V] {
	if !w.failed(r.err) || old == nil || ctx.Err() != nil {
		return w.handedResult(r)
	}
	copied, problem := w.handed(old.value, nil)
	if problem != nil {
		r.err = problem
		return r
	}
	stale := course{outcome: OutcomeStale, load: r.course.load, age: max(time.Since(old.since), 0)}
	return result[V]{value: copied, err: &StaleError{old.since, r.err}, course: stale}
}
