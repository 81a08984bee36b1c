package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
	"github.com/freshet/freshet/loadtest/allocations"
)

func TestHitUntilTheTagMoves(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	if _, outcome := find(c, "k", nil); outcome != Miss {
		t.Fatalf("%v on an empty cache", outcome)
	}
	if !c.Store(entry(c, "k", begin(t, c), "one")) {
		t.Fatal("not stored")
	}
	e, outcome := find(c, "k", nil)
	if outcome != Hit || e.Payload != text("one") {
		t.Fatalf("%v, %v", e, outcome)
	}
	w.Move(fence.NewTag(world.OtherText))
	w.Look()
	if _, outcome := find(c, "k", nil); outcome != Hit {
		t.Fatalf("%v after another row changed", outcome)
	}
	w.Commit()
	w.Look()
	if _, outcome := find(c, "k", nil); outcome != Miss {
		t.Fatalf("%v after the row changed", outcome)
	}
}

func TestSchemaChangeEndsEveryEntry(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	c.Store(entry(c, "k", begin(t, c), "one"))
	w.Move(fence.NewTag(fence.SchemaText))
	w.Look()
	if _, outcome := find(c, "k", nil); outcome != Miss {
		t.Fatalf("%v after the schema changed", outcome)
	}
}

func TestNewIncarnationEndsEveryEntry(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	c.Store(entry(c, "k", begin(t, c), "one"))
	w.Reset("second")
	if _, outcome := find(c, "k", nil); outcome != Miss {
		t.Fatalf("%v in another incarnation", outcome)
	}
}

func TestOneHashDoesNotMixKeys(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	e := entry(c, "k", begin(t, c), "one")
	c.Store(e)
	if got, outcome := c.Lookup([]byte("other"), c.Hash(e.Key), fence.Now(), nil); outcome != Miss {
		t.Fatalf("a key with the same hash was given %v", got)
	}
}

func TestUnprovenWhenTheClockIsOld(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, func(o *Options) { o.Staleness = time.Second })
	c.Store(entry(c, "k", begin(t, c), "one"))
	late := w.Fence.LookBegan().Add(time.Second + 1)
	if _, outcome := c.Lookup([]byte("k"), c.Hash([]byte("k")), late, nil); outcome != Unproven {
		t.Fatalf("%v when the last look is older than the staleness allowed", outcome)
	}
	if _, outcome := c.Lookup([]byte("k"), c.Hash([]byte("k")), late-1, nil); outcome != Hit {
		t.Fatalf("%v when the last look is just young enough", outcome)
	}
}

func TestSessionSeesItsOwnWrite(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	c.Store(entry(c, "k", begin(t, c), "one"))
	var s fence.Session
	if _, outcome := find(c, "k", &s); outcome != Hit {
		t.Fatal(outcome)
	}
	w.Commit()
	s.Received(fence.Now())
	if _, outcome := find(c, "k", &s); outcome != Unproven {
		t.Fatalf("%v for a session that wrote, before a look", outcome)
	}
	if _, outcome := find(c, "k", nil); outcome != Hit {
		t.Fatalf("%v for others, within the staleness allowed", outcome)
	}
	if !c.Prove(t.Context(), nil, &s) {
		t.Fatal("no proof from a follower that looks")
	}
	if _, outcome := find(c, "k", &s); outcome != Miss {
		t.Fatalf("%v for the session after the look", outcome)
	}
}

// No look is asked for about an entry that a received event has ended: a load answers, which
// needs no proof.
func TestWhatHasEndedNeedsNoProof(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, func(o *Options) { o.Staleness = time.Second })
	c.Store(entry(c, "k", begin(t, c), "one"))
	w.Commit()
	w.Look()
	var s fence.Session
	s.Received(fence.Now())
	if _, outcome := find(c, "k", &s); outcome != Miss {
		t.Errorf("%v for a session that wrote, of an entry that has ended", outcome)
	}
	late := w.Fence.LookBegan().Add(time.Second + 1)
	if _, outcome := c.Lookup([]byte("k"), c.Hash([]byte("k")), late, nil); outcome != Miss {
		t.Errorf("%v when the last look is too old, of an entry that has ended", outcome)
	}
}

// A session that was shown a new entry must not be shown, next, an older state
// of something else.
func TestSessionDoesNotGoBack(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, func(o *Options) { o.Confirm = nil })
	c.Store(entry(c, "old", begin(t, c), "one"))
	w.Commit()
	c.Store(entry(c, "new", begin(t, c), "two")) // loaded after the commit, which nobody received
	var s fence.Session
	if _, outcome := find(c, "new", &s); outcome != Hit {
		t.Fatal(outcome)
	}
	if _, outcome := find(c, "old", &s); outcome != Unproven {
		t.Fatalf("%v for an older state, after a newer one was shown", outcome)
	}
}

// The interleaving beside Cache.proven.
func TestEventBetweenChecks(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	c.Store(entry(c, "k", begin(t, c), "one"))
	forced := false
	c.betweenChecks = func() {
		if !forced {
			forced = true
			w.Commit()
			w.Look()
		}
	}
	if e, outcome := find(c, "k", nil); outcome != Miss || !forced {
		t.Fatalf("%v %v although the head that proved freshness knows of the commit", e, outcome)
	}
}

// The interleaving beside Cache.Begin: a write overtakes a load.
func TestOvertakenLoadInTheFirstTier(t *testing.T) {
	t.Parallel()
	for _, received := range []string{"before the load ended", "after it was stored"} {
		t.Run(received, func(t *testing.T) {
			t.Parallel()
			w := world.New()
			c := open(t, w, nil)
			start := begin(t, c) // 1. the query reads the row
			w.Commit()           // 2. a commit changes it,
			if received == "before the load ended" {
				w.Look() // and is received
			}
			stored := c.Store(entry(c, "k", start, "old")) // 3. the load ends
			w.Look()
			if stored != (received == "after it was stored") {
				t.Fatalf("stored: %v", stored)
			}
			if e, outcome := find(c, "k", nil); outcome != Miss {
				t.Fatalf("the overtaken load was served: %v", e)
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, func(o *Options) { o.TTL = time.Minute })
	e := entry(c, "k", begin(t, c), "one")
	c.Store(e)
	life := e.Expires.Sub(e.Ticket.Loaded())
	if life > time.Minute || life < 54*time.Second {
		t.Fatalf("a life of %v with a TTL of a minute", life)
	}
	if _, outcome := c.Lookup([]byte("k"), c.Hash([]byte("k")), e.Expires-1, nil); outcome != Hit {
		t.Fatalf("%v at the end of its life", outcome)
	}
	if _, outcome := c.Lookup([]byte("k"), c.Hash([]byte("k")), e.Expires, nil); outcome != Miss {
		t.Fatalf("%v after its life", outcome)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, func(o *Options) { o.EntryMax = 4096 })
	if c.Store(entry(c, "k", begin(t, c), strings.Repeat("x", 4096))) {
		t.Fatal("stored an entry above EntryMax")
	}
	if _, outcome := find(c, "k", nil); outcome != Miss {
		t.Fatal(outcome)
	}
	if st := c.Stats(); st.TooLarge != 1 || st.Stored != 0 {
		t.Fatalf("stats %+v", st)
	}
}

func TestDeadFollowerCostsOneWait(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	w.SetDeaf(true)
	var s fence.Session
	s.Received(fence.Now())
	if c.Prove(t.Context(), nil, &s) {
		t.Fatal("a proof from a follower that does not look")
	}
	began := time.Now()
	for range 1000 {
		if c.Prove(t.Context(), nil, &s) {
			t.Fatal("a proof from a follower that does not look")
		}
	}
	if took := time.Since(began); took > 100*proveMax {
		t.Fatalf("1000 attempts took %v after one was in vain", took)
	}
	w.SetDeaf(false)
	w.Look() // the follower is back: it is asked again at once
	s.Received(fence.Now())
	if !c.Prove(t.Context(), nil, &s) {
		t.Fatal("no proof from a follower that is back")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	f := fence.New(fence.Options{Slots: 1})
	for name, o := range map[string]Options{
		"no fence": {}, "negative": {Fence: f, TTL: -1}, "huge entries": {Fence: f, EntryMax: 1 << 30},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestClosedCacheFindsNothing(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	c.Store(entry(c, "k", begin(t, c), "one"))
	c.Close()
	if _, outcome := find(c, "k", nil); outcome != Miss {
		t.Fatal(outcome)
	}
	if c.Stats().Memory.Items != 0 {
		t.Fatal("a closed cache holds items")
	}
}

func TestNoAllocationsOnHit(t *testing.T) {
	w := world.New()
	c := open(t, w, nil)
	key := []byte("k")
	c.Store(entry(c, "k", begin(t, c), "one"))
	w.Look()
	var s fence.Session
	n := allocations.Fewest(1000, func() {
		if _, outcome := c.Lookup(key, c.Hash(key), fence.Now(), &s); outcome != Hit {
			t.Fatal(outcome)
		}
	})
	if n != 0 {
		t.Fatalf("%v allocations for a hit", n)
	}
}

func BenchmarkHit(b *testing.B) {
	w := world.New()
	c, err := New(Options{Fence: w.Fence, MemoryBytes: 1 << 22, Staleness: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	start, _ := c.Begin()
	keys := make([][]byte, 1024)
	for i := range keys {
		keys[i] = []byte("a key of usual length, with a query in it: " + string(rune('a'+i)))
		c.Store(entry(c, string(keys[i]), start, "one"))
	}
	w.Look()
	now := fence.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var s fence.Session
		for i := 0; pb.Next(); i++ {
			key := keys[i%len(keys)]
			if _, outcome := c.Lookup(key, c.Hash(key), now, &s); outcome != Hit {
				b.Error(outcome)
				return
			}
		}
	})
}
