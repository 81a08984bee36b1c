package engine

import (
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
)

// A session that reads from the cache behind its loads has its looks made before it
// comes; one that only loads has none made, nor have those who demand none.
func TestLooksAreMadeAheadOfWhoReadsOn(t *testing.T) {
	t.Parallel()
	w, asked := world.New(), 0
	c := open(t, w, func(o *Options) {
		o.Wake = func() { asked++; w.Look() }
	})
	c.Store(entry(c, "k", begin(t, c), "one"))
	var misses, reads fence.Session
	load := func(s *fence.Session) {
		time.Sleep(anticipatePause) // no look began just now
		if s != nil {
			s.Received(fence.Now())
		}
		c.Anticipate(s)
	}
	for range 10 {
		load(&misses)
	}
	if asked != 0 {
		t.Fatalf("%d looks were made for a session that only loads", asked)
	}
	for range 10 {
		load(&reads)
		if !c.Prove(t.Context(), nil, &reads) {
			t.Fatal("no proof")
		}
		if _, outcome := find(c, "k", &reads); outcome != Hit {
			t.Fatal(outcome)
		}
	}
	if asked < 5 {
		t.Fatalf("%d looks were made ahead of ten reads that followed loads", asked)
	}
	// A transaction that begins behind a write asks too, and is not held against the reads.
	for range 10 {
		c.Anticipate(&reads)
		time.Sleep(anticipatePause)
		before := asked
		c.AnticipateRead(&reads)
		if asked != before+1 {
			t.Fatal("no look was made ahead of a transaction whose reads are served")
		}
		if _, outcome := find(c, "k", &reads); outcome != Hit {
			t.Fatal(outcome)
		}
	}
	time.Sleep(anticipatePause)
	before := asked
	c.AnticipateRead(&misses)
	if asked != before {
		t.Fatal("a look was made ahead of a transaction of a session that only loads")
	}
	load(nil)
	if asked != before {
		t.Fatal("a look was made for who demands none")
	}
}

// However many sessions load and read on, looks that nobody waits for are few, whether or not
// the follower makes those that it is asked for.
func TestLooksAheadAreFew(t *testing.T) {
	t.Parallel()
	const pauses = 5
	w, asked := world.New(), 0
	c := open(t, w, func(o *Options) { o.Wake = func() { asked++ } })
	time.Sleep(anticipatePause) // no look began just now
	var sessions [100]fence.Session
	began := time.Now()
	for time.Since(began) < pauses*anticipatePause {
		for i := range sessions {
			c.Anticipate(&sessions[i])
			sessions[i].Served()
		}
	}
	if most := 1 + int(time.Since(began)/anticipatePause); asked < 1 || asked > most {
		t.Fatalf("%d looks in %v, want 1 to %d", asked, time.Since(began), most)
	}
}
