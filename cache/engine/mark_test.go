package engine

import (
	"context"
	"testing"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
)

// Who demands more than bounded staleness is shown what this process has
// acknowledged as written, on whatever connection.
func TestMarkedWriteIsShown(t *testing.T) {
	t.Parallel()
	marks := map[string]func(*fence.Fence){
		"of its tag":   func(f *fence.Fence) { f.Mark(fence.Now(), []fence.Tag{world.NumberTag}) },
		"of its class": func(f *fence.Fence) { f.MarkClasses(fence.Now(), []fence.Class{fence.NewClass(16384, "id")}) },
		"of anything":  func(f *fence.Fence) { f.MarkAll(fence.Now()) },
	}
	for name, mark := range marks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world.New()
			c := open(t, w, nil)
			c.Store(entry(c, "k", begin(t, c), "one"))
			w.Look()
			var reader, strong, bounded fence.Session
			bounded.SetLevel(fence.Bounded)
			strong.SetLevel(fence.Strong)
			before := fence.Now()
			w.Look()
			w.Commit()
			mark(w.Fence)
			for name, s := range map[string]*fence.Session{"a session": &reader, "a strong session": &strong} {
				if _, outcome := find(c, "k", s); outcome != Unproven {
					t.Errorf("%v for %s behind the write", outcome, name)
				}
			}
			for name, s := range map[string]*fence.Session{"nobody in particular": nil, "a bounded session": &bounded} {
				if _, outcome := find(c, "k", s); outcome != Hit {
					t.Errorf("%v for %s, within the staleness allowed", outcome, name)
				}
			}
			if _, outcome := c.Lookup([]byte("k"), c.Hash([]byte("k")), before, &reader); outcome != Hit {
				t.Errorf("%v for a read that began before the acknowledgement", outcome)
			}
			if !c.Prove(t.Context(), c.Peek([]byte("k"), c.Hash([]byte("k"))), &reader) {
				t.Fatal("no proof from a follower that looks")
			}
			if _, outcome := find(c, "k", &reader); outcome != Miss {
				t.Errorf("%v after the look", outcome)
			}
		})
	}
}

func TestMarkOfAnotherTagDemandsNothing(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	c.Store(entry(c, "k", begin(t, c), "one"))
	w.Look()
	w.Fence.Mark(fence.Now(), []fence.Tag{fence.NewTag(world.OtherText)})
	var s fence.Session
	if _, outcome := find(c, "k", &s); outcome != Hit {
		t.Error(outcome)
	}
}

// The interleaving of cache/fence/mark.go: the look begins before the commit, the
// commit is acknowledged and marked, and the look completes.
func TestLookFromBeforeTheMark(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	c.Store(entry(c, "k", begin(t, c), "one"))
	began, head := fence.Now(), w.Fence.Head()
	w.Commit()
	w.Fence.Mark(fence.Now(), []fence.Tag{world.NumberTag})
	w.Fence.Advance(head, nil, began)
	var s fence.Session
	if _, outcome := find(c, "k", &s); outcome != Unproven {
		t.Errorf("%v by a look that lacks the commit", outcome)
	}
}

// Who waits for another's load is shown what was written before it came:
//
//  1. a leader's query reads the number;
//  2. a commit changes it, is acknowledged and marked;
//  3. a reader comes and joins the flight;
//  4. the leader finishes with the old number, and nobody has looked.
func TestFlightFromBeforeTheMark(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	leader := c.Join([]byte("k"))
	e := entry(c, "k", begin(t, c), "one")
	w.Commit()
	w.Fence.Mark(fence.Now(), []fence.Tag{world.NumberTag})
	reader := c.Join([]byte("k"))
	c.Store(e)
	leader.Finish(e)
	var s fence.Session
	<-reader.Done()
	if e, ok := reader.Take(context.Background(), &s); ok {
		t.Errorf("the reader is given %v from before the commit", e.Payload)
	}
	reader.Finish(nil)
}
