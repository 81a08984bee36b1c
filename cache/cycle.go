package cache

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/cache/fence"
)

// load is one of a wrapped function that is under way, and the one that asked for it. It
// learns what the answer depends on from the statements that are made in its context.
type load struct {
	of    any // the *wrapped
	key   string
	outer *load
	began fence.Instant
	ended atomic.Bool

	mu         sync.Mutex
	tags       []fence.Tag
	statements int
	refusal    string // why the answer must not be kept; empty if nothing speaks against it
}

// withLoad returns the context of a load that begins now.
//
// Its reads are a session of its own that demands what was acknowledged before the load
// began. That of the caller who leads may demand less than those who wait for him:
//
//  1. a reader who is content with what is a second old leads a load;
//  2. another writes, and joins the load before it begins;
//  3. a statement of the load is answered from the cache as the leader allows, without
//     the write;
//  4. the writer is given the answer, since its load began after he came.
//
// Forced by TestLoadDemandsWhatItsFollowersDo.
func withLoad(ctx context.Context, of any, key []byte) (context.Context, *load) {
	r := readerOf(ctx)
	l := &load{of: of, key: string(key), outer: r.load, began: fence.Now()}
	r.load, r.session = l, new(fence.Session)
	r.session.Received(l.began)
	return withReader(ctx, r), l
}

// waitsForItself reports whether ctx is that of a load of the same key, or of a load
// that one asked for. It would wait for an answer that nobody else brings: as long as
// Options.WaitMax, and then again one level deeper.
func waitsForItself(l *load, of any, key []byte) bool {
	for ; l != nil; l = l.outer {
		if l.of == of && l.key == string(key) && !l.ended.Load() {
			return true
		}
	}
	return false
}

// notes tells the load that what it read depends on tags. A nil load is told nothing, as
// is one that has ended.
func (l *load) notes(tags []fence.Tag) {
	if l == nil || l.ended.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.statements++
	for _, tag := range tags {
		if !slices.Contains(l.tags, tag) {
			l.tags = append(l.tags, tag)
		}
	}
}

// notesTicket is notes of an entry. What a standby showed bounds no load.
func (l *load) notesTicket(t *fence.Ticket) {
	if t.Label().Replica {
		l.refuses(refusedReplica)
		return
	}
	l.notes(t.Tags())
}

// refuses tells the load why its answer must not be kept.
func (l *load) refuses(reason string) {
	if l == nil || l.ended.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refusal == "" {
		l.refusal = reason
	}
}

// The reasons for which the answer of a load is not kept, beside those of its
// statements.
const (
	refusedNothing   = "the load makes no statement through the DB: read through it, or set Policy.DependsOn"
	refusedWrite     = "the load writes"
	refusedTx        = "the load opens a transaction"
	refusedBatch     = "the load sends a batch, which is not understood"
	refusedPassed    = "a statement of the load was answered by Postgres past the cache"
	refusedStatement = "a statement of the load is not cacheable: "
	refusedLarge     = "an answer is not known whole: it is too large, or an error"
	refusedReplica   = "a value of the load came from a standby"
	refusedUnwatched = "what the answer depends on is not watched"
)

// learned returns what the load depends on, or why its answer must not be kept.
func (l *load) learned() (tags []fence.Tag, refusal string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refusal == "" && l.statements == 0 {
		return nil, refusedNothing
	}
	return l.tags, l.refusal
}

// handOut tells the outer load what the answer of this one depends on.
func (l *load) handOut(tags []fence.Tag, refusal string) {
	if refusal != "" {
		l.outer.refuses(refusal)
		return
	}
	l.outer.notes(tags)
}
