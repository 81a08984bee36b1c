package engine

import (
	"context"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
)

// pair is two processes with one remote tier and one database.
func pair(t *testing.T) (w *world.World, b *world.Bag, first, second *Cache) {
	t.Helper()
	w, b = world.New(), world.NewBag()
	shared := func(o *Options) { o.Remote = b }
	return w, b, open(t, w, shared), open(t, w, shared)
}

// publish stores an entry and waits until it is in the bag.
func publish(t *testing.T, c *Cache, b *world.Bag, e *Entry) {
	t.Helper()
	if !c.Store(e) {
		t.Fatal("not stored")
	}
	b.AwaitSet(t)
}

func TestAnotherProcessFindsTheEntry(t *testing.T) {
	t.Parallel()
	_, b, first, second := pair(t)
	publish(t, first, b, entry(first, "k", begin(t, first), "one"))
	e, tier := fetch(t, second, "k")
	if tier != Shared || e.Payload != text("one") {
		t.Fatalf("%v from %v", e, tier)
	}
	if e.Ticket.Loaded() != 0 {
		t.Fatal("an entry that the head includes makes sessions wait")
	}
	if _, outcome := find(second, "k", nil); outcome != Hit {
		t.Fatalf("%v in the first tier after a fetch", outcome)
	}
	if _, tier := fetch(t, second, "k"); tier != Memory {
		t.Fatalf("the second fetch came from %v", tier)
	}
	if _, tier := fetch(t, second, "other"); tier != Nowhere {
		t.Fatalf("an absent key came from %v", tier)
	}
	if st := second.Stats(); st.Fetched != 1 || st.Unusable != 0 || first.Stats().Published != 1 {
		t.Fatalf("stats %+v", st)
	}
}

// A write overtakes a load, and the entry must not reach another process:
//
//  1. the first process's query reads the row;
//  2. a commit changes the row;
//  3. the load ends, and its entry is stored before the event is received;
//  4. the publisher's look receives the event.
func TestOvertakenLoadIsNotPublished(t *testing.T) {
	t.Parallel()
	w, b, first, second := pair(t)
	start := begin(t, first)                           // 1
	w.Commit()                                         // 2
	if !first.Store(entry(first, "k", start, "old")) { // 3
		t.Fatal("not stored, although no event was received")
	}
	world.Until(t, "the publisher decides", func() bool { return first.Stats().Overtaken == 1 }) // 4
	if len(b.Snapshot()) != 0 {
		t.Fatal("an overtaken load was published")
	}
	if _, tier := fetch(t, second, "k"); tier != Nowhere {
		t.Fatal("an overtaken load was found by another process")
	}
}

// The same, but the entry is published, by a process that received less than the
// reader:
//
//  1. the first process loads and publishes the row;
//  2. a commit changes the row, and the second process receives the event;
//  3. the second process finds the bytes.
func TestOvertakenEntryIsNotServedFromTheRemoteTier(t *testing.T) {
	t.Parallel()
	w, b, first, second := pair(t)
	publish(t, first, b, entry(first, "k", begin(t, first), "old")) // 1
	w.Commit()                                                      // 2
	w.Look()
	if e, tier := fetch(t, second, "k"); tier != Nowhere { // 3
		t.Fatalf("served %v", e)
	}
	if st := second.Stats(); st.Unusable != 1 {
		t.Fatalf("stats %+v", st)
	}
}

// A failover to a lagging replica, or a restored dump, brings back old bytes.
func TestResurrectedEntries(t *testing.T) {
	t.Parallel()
	w, b, first, second := pair(t)
	publish(t, first, b, entry(first, "k", begin(t, first), "old"))
	then := b.Snapshot()
	w.Commit()
	w.Look()
	publish(t, first, b, entry(first, "k", begin(t, first), "new"))
	b.Restore(then)
	if e, tier := fetch(t, second, "k"); tier != Nowhere {
		t.Fatalf("served %v from a resurrected tier", e)
	}
	publish(t, first, b, entry(first, "k", begin(t, first), "new"))
	if e, tier := fetch(t, second, "k"); tier != Shared || e.Payload != text("new") {
		t.Fatalf("%v from %v after it was published again", e, tier)
	}
}

func TestLyingRemote(t *testing.T) {
	t.Parallel()
	w, b, first, second := pair(t)
	publish(t, first, b, entry(first, "k", begin(t, first), "one"))
	publish(t, first, b, entry(first, "other", begin(t, first), "two"))
	mine, others := remoteKey("first", []byte("k")), remoteKey("first", []byte("other"))
	honest := b.Snapshot()
	for name, bytes := range map[string][]byte{
		"another key's entry": honest[others],
		"half of it":          honest[mine][:len(honest[mine])/2],
		"garbage":             []byte("to be or not to be, that is the question"),
		"one byte":            {0},
		"zeros":               make([]byte, 1<<16),
	} {
		b.Restore(map[string][]byte{mine: bytes})
		refused := second.Stats().Unusable
		if e, tier := fetch(t, second, "k"); tier != Nowhere {
			t.Errorf("%s: served %v", name, e)
		}
		if n := second.Stats().Unusable - refused; n != 1 {
			t.Errorf("%s: refused %d times, want once", name, n)
		}
	}
	// An entry of an earlier incarnation, under the key of the present one.
	w.Reset("second")
	b.Restore(map[string][]byte{remoteKey("second", []byte("k")): honest[mine]})
	if e, tier := fetch(t, second, "k"); tier != Nowhere {
		t.Errorf("another incarnation: served %v", e)
	}
	if st := second.Stats(); st.Unusable != 6 || st.Fetched != 0 {
		t.Errorf("%d of 6 lies were refused, %d believed", st.Unusable, st.Fetched)
	}
}

// An entry that shows more than this process's head must make sessions wait.
func TestEntryFromTheFuture(t *testing.T) {
	t.Parallel()
	w, b, first, _ := pair(t)
	behind := world.New() // the same database, by a follower that has not looked since
	c := open(t, behind, func(o *Options) { o.Remote, o.Confirm = b, nil })
	start := begin(t, first)
	w.Move(fence.NewTag(world.OtherText))
	publish(t, first, b, entry(first, "k", start, "one"))
	e, tier := fetch(t, c, "k")
	if tier != Shared {
		t.Fatalf("found in %v", tier)
	}
	var s fence.Session
	if outcome := c.Serve(e, fence.Now(), &s); outcome != Hit {
		t.Fatal(outcome)
	}
	if s.Need() <= behind.Fence.LookBegan() {
		t.Fatal("the session may go back in time")
	}
}

func TestLifeGoesOnInTheRemoteTier(t *testing.T) {
	t.Parallel()
	_, b, first, second := pair(t)
	e := entry(first, "k", begin(t, first), "one")
	label := e.Ticket.Label()
	put := func(born time.Time) {
		e.born, e.life = born, time.Hour
		envelope, err := first.envelopes.append(nil, e, label, remoteKey(world.First, e.Key))
		if err != nil {
			t.Fatal(err)
		}
		b.Restore(map[string][]byte{remoteKey(world.First, e.Key): envelope})
	}
	put(time.Now().Add(-2 * time.Hour)) // brought back after its life
	if got, tier := fetch(t, second, "k"); tier != Nowhere {
		t.Fatalf("served %v after its life", got)
	}
	put(time.Now().Add(-50 * time.Minute))
	got, tier := fetch(t, second, "k")
	if tier != Shared {
		t.Fatal(tier)
	}
	if left := got.Expires.Sub(fence.Now()); left > 10*time.Minute {
		t.Fatalf("%v left of an hour after 50 minutes", left)
	}
	put(time.Now().Add(time.Hour)) // a clock that is ahead of this one
	second.memory.Del(second.Hash(e.Key))
	if got, tier := fetch(t, second, "k"); tier != Shared || got.Expires.Sub(fence.Now()) > time.Hour {
		t.Fatalf("%v from %v", got, tier)
	}
}

func TestPublisherNeverMakesReadersWait(t *testing.T) {
	t.Parallel()
	w := world.New()
	stuck := make(chan struct{})
	c := open(t, w, func(o *Options) {
		o.Remote = world.NewBag()
		o.Confirm = func(context.Context, fence.Instant) error {
			<-stuck // a Store that waited for this look would not return
			return world.ErrDeaf
		}
	})
	start := begin(t, c)
	const many = 2*publishQueueMax + 100 // those that wait for the look, and those behind them
	for range many {
		c.Store(entry(c, "k", start, "one"))
	}
	if st := c.Stats(); st.Dropped < 100 {
		t.Errorf("stats %+v: the queue has no end", st)
	}
	close(stuck)
	world.Until(t, "the queue drains", func() bool { return c.Stats().Dropped == many })
	world.Until(t, "no bytes are counted", func() bool { return c.publisher.held() == 0 })
}

func TestRunOnce(t *testing.T) {
	t.Parallel()
	c := open(t, world.New(), nil)
	world.Until(t, "Run runs", c.publisher.running.Load)
	if err := c.Run(t.Context()); err == nil {
		t.Fatal("a second Run runs")
	}
}

// held is how many bytes wait.
func (p *publisher) held() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}
