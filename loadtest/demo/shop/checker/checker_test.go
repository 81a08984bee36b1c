package checker

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

const bound = time.Second

// setup returns a checker, a session of it, and a moment to count from.
func setup(t *testing.T) (*Checker, *Session, time.Time) {
	t.Helper()
	c := New(bound)
	return c, c.Session("test"), time.Now()
}

var product = Key{Kind: "product", ID: 42}

func version(number int64) Version { return Version{product, number} }

func read(s *Session, began time.Time, number int64) {
	s.Read(began, []Version{version(number)})
}

func TestReadOlderThanTheBoundIsStale(t *testing.T) {
	c, s, start := setup(t)
	c.Acknowledge(version(2), start)
	c.Acknowledge(version(3), start.Add(100*time.Millisecond))

	read(s, start.Add(bound+50*time.Millisecond), 2) // 3 is not yet due
	if r := c.Report(); r.Checked != 1 || r.Stale != 0 || r.Contested != 1 || r.Late != 1 {
		t.Fatalf("within the bound: %+v", r)
	}
	read(s, start.Add(bound+100*time.Millisecond), 2) // now it is
	r := c.Report()
	if r.Checked != 2 || r.Stale != 1 || r.Violations() != 1 || len(r.Examples) != 1 {
		t.Fatalf("a planted stale read was not caught: %+v", r)
	}
	if r.Age.Max < bound-time.Millisecond || r.Age.Max > bound+time.Millisecond {
		t.Errorf("age of the stale read %v, want about %v", r.Age.Max, bound)
	}
}

func TestReadOfWhatWasNeverWrittenIsFresh(t *testing.T) {
	c, s, start := setup(t)
	read(s, start, 1)
	if r := c.Report(); r.Checked != 1 || r.Violations() != 0 || r.Contested != 0 {
		t.Errorf("%+v", r)
	}
}

func TestReadAheadOfItsAcknowledgementIsFresh(t *testing.T) {
	c, s, start := setup(t)
	c.Acknowledge(version(2), start)
	read(s, start.Add(time.Minute), 3) // committed, its reply still under way
	if r := c.Report(); r.Violations() != 0 || r.Late != 0 {
		t.Errorf("%+v", r)
	}
}

func TestOneStaleRowMakesTheWholeReadStaleOnce(t *testing.T) {
	c, s, start := setup(t)
	other := Key{"product", 43}
	c.Acknowledge(version(5), start)
	c.Acknowledge(Version{other, 5}, start)
	s.Read(start.Add(2*bound), []Version{version(4), {other, 4}, {Key{"product", 44}, 1}})
	if r := c.Report(); r.Checked != 1 || r.Stale != 1 || r.Versions != 3 || len(r.Examples) != 2 {
		t.Errorf("%+v", r)
	}
}

func TestConnectionMustSeeItsOwnWriteAtOnce(t *testing.T) {
	c, s, start := setup(t)
	s.Acknowledge(version(2), start)
	read(c.Session("test"), start.Add(time.Millisecond), 1) // another connection may be late
	if r := c.Report(); r.OwnChecked != 0 || r.OwnLost != 0 {
		t.Fatalf("another connection's read counts as the writer's: %+v", r)
	}
	read(s, start.Add(time.Millisecond), 1)
	read(s, start.Add(time.Millisecond), 2)
	if r := c.Report(); r.OwnChecked != 2 || r.OwnLost != 1 || r.Stale != 0 || r.Violations() != 1 {
		t.Errorf("%+v", r)
	}
}

func TestConnectionMustNotGoBack(t *testing.T) {
	c, s, start := setup(t)
	read(s, start, 7)
	read(s, start, 7)
	read(c.Session("test"), start, 6) // another connection may
	if r := c.Report(); r.WentBack != 0 {
		t.Fatalf("%+v", r)
	}
	read(s, start, 6)
	if r := c.Report(); r.WentBack != 1 || r.Violations() != 1 {
		t.Errorf("%+v", r)
	}
}

func TestTotalMustEqualItsParts(t *testing.T) {
	c, s, _ := setup(t)
	s.Total(100, 100)
	s.Total(100, 60)
	if r := c.Report(); r.Totals != 2 || r.TotalsWrong != 1 || r.Violations() != 1 {
		t.Errorf("%+v", r)
	}
}

func TestForgottenWritesMakeAReadUnjudged(t *testing.T) {
	c, s, start := setup(t)
	for i := range int64(historyMax + 10) {
		c.Acknowledge(version(i+1), start.Add(time.Duration(i)*time.Millisecond))
	}
	read(s, start.Add(bound), 1) // needs the first ten
	if r := c.Report(); r.Unjudged != 1 || r.Checked != 0 {
		t.Fatalf("%+v", r)
	}
	read(s, start.Add(time.Hour), 1)
	if r := c.Report(); r.Checked != 1 || r.Stale != 1 {
		t.Errorf("%+v", r)
	}
}

func TestOldWritesStayRequired(t *testing.T) {
	c, s, start := setup(t)
	for i := range int64(5) {
		c.Acknowledge(version(i+1), start.Add(time.Duration(i)*2*historyKept))
	}
	p := c.part(product)
	if n := len(p.keys[product].known); n != 2 {
		t.Errorf("%d acknowledgements are kept, want 2", n)
	}
	read(s, start.Add(10*historyKept), 4)
	if r := c.Report(); r.Stale != 1 {
		t.Errorf("%+v", r)
	}
}

// TestHistoryAgainstAllAcknowledgements compares the pruned, ordered history
// with the plain definition over every acknowledgement there was.
func TestHistoryAgainstAllAcknowledgements(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	start := time.Now()
	for range 500 {
		var h history
		var all []acknowledgement
		for range 12 {
			a := acknowledgement{1 + random.Int64N(10), start.Add(time.Duration(random.IntN(10)) * time.Second)}
			h.acknowledge(a.version, a.at)
			all = append(all, a)
		}
		for second := range 12 {
			moment := start.Add(time.Duration(second) * time.Second)
			var want int64
			for _, a := range all {
				if !a.at.After(moment) {
					want = max(want, a.version)
				}
			}
			if got, known := h.at(moment); !known || got != want {
				t.Fatalf("at second %d: version %d (known %v), want %d, of %v", second, got, known, want, all)
			}
		}
		for v := range int64(12) {
			var want time.Time
			for _, a := range all {
				if a.version > v && (want.IsZero() || a.at.Before(want)) {
					want = a.at
				}
			}
			if got, superseded := h.supersededAt(v); superseded == want.IsZero() || !got.Equal(want) {
				t.Fatalf("version %d superseded at %v (%v), want %v, of %v", v, got, superseded, want, all)
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	c, _, start := setup(t)
	var group sync.WaitGroup
	for g := range int64(8) {
		group.Go(func() {
			s := c.Session("test")
			for i := range int64(200) {
				key := Key{"stock", i % 5}
				s.Acknowledge(Version{key, g*200 + i + 1}, start)
				s.Read(start, []Version{{key, g*200 + i + 1}})
				_ = c.Report()
			}
		})
	}
	group.Wait()
	if r := c.Report(); r.Checked != 8*200 || r.OwnChecked != 8*200 || r.OwnLost != 0 {
		t.Errorf("%+v", r)
	}
}
