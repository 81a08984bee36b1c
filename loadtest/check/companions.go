package check

import (
	"context"
	"sync/atomic"
	"time"
)

// publishedAfter is what it takes a sidecar, usually, to put into Redis what it
// loaded.
const publishedAfter = 8 * time.Millisecond

// firstText is above the numbers of the texts that all readers share.
const firstText = int64(1) << 50

// accompany sends a scout ahead, until ctx ends: it reads one half of a pair in
// a text of its own, which makes its sidecar load it. The companion then reads
// the same, which it finds loaded, and then the other half, of which its sidecar
// may have an older answer. The companion was shown the present without asking
// PostgreSQL for it; the second answer must not be older.
func (w *world) accompany(ctx context.Context, scout, companion *session, text *atomic.Int64, pace time.Duration) {
	defer scout.close()
	defer companion.close()
	p := pacer{each: pace}
	for ctx.Err() == nil {
		if !scout.ready(ctx) || !companion.ready(ctx) {
			continue
		}
		p.wait(ctx)
		id := scout.hot(pairCount)
		first, second := key{left, id}, key{right, id}
		if scout.random.IntN(2) == 0 {
			first, second = second, first
		}
		number := text.Add(1)
		scout.readOneAnew(first, readHalfAnewSQL[first.kind], number)
		if scout.door != companion.door {
			pause(ctx, publishedAfter)
		}
		if companion.ready(ctx) {
			companion.readOneAnew(first, readHalfAnewSQL[first.kind], number)
		}
		if companion.conn != nil {
			companion.readOne(second, readHalfSQL[second.kind], id)
		}
	}
}

// startCompanions starts scouts: on every sidecar one for a companion there, and
// one for a companion on the next.
func (w *world) startCompanions(ctx context.Context, start func(func())) {
	const each = 25 * time.Millisecond
	text := new(atomic.Int64)
	text.Store(firstText)
	for i := range w.options.Sidecars {
		for step := range min(2, w.options.Sidecars) {
			number := firstCompanion + 4*i + 2*step
			p := protocol(number/2) % protocols
			scout := w.newSession("scout", number, i, levelBounded, p)
			companion := w.newSession("companion", number+1, (i+step)%w.options.Sidecars, levelSession, p)
			start(func() { w.accompany(ctx, scout, companion, text, each) })
		}
	}
}
