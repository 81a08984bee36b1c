package fence

import (
	"sync"
	"testing"
	"time"
)

func TestSessionNeedsTheLatestOfWhatItReceived(t *testing.T) {
	var s Session
	if s.Need() != 0 {
		t.Errorf("a new session needs %d", s.Need())
	}
	for _, c := range []struct{ received, need Instant }{{5, 5}, {3, 5}, {5, 5}, {9, 9}, {-1, 9}} {
		s.Received(c.received)
		if s.Need() != c.need {
			t.Errorf("after %d it needs %d, want %d", c.received, s.Need(), c.need)
		}
	}
}

func TestSessionReceivedConcurrently(t *testing.T) {
	const goroutines, each = 8, 2000
	var s Session
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := range each {
				at := Instant(i*goroutines + g)
				s.Received(at)
				if s.Need() < at {
					t.Errorf("received %d and needs only %d", at, s.Need())
				}
			}
		})
	}
	all.Wait()
	if s.Need() != goroutines*each-1 {
		t.Errorf("needs %d, want %d", s.Need(), goroutines*each-1)
	}
}

func TestDemandByLevel(t *testing.T) {
	const second = Instant(time.Second)
	now := 100 * second
	for _, c := range []struct {
		name      string
		level     Level
		staleness time.Duration
		received  Instant
		want      Instant
	}{
		{"own writes, nothing seen", OwnWrites, 0, 0, now - second},
		{"own writes, something seen", OwnWrites, 0, now - second/2, now - second/2},
		{"own writes, seen long ago", OwnWrites, 0, now - 50*second, now - second},
		{"bounded forgets what it saw", Bounded, 0, now, now - second},
		{"bounded with a bound of its own", Bounded, 5 * time.Second, now, now - 5*second},
		{"own writes with a bound of its own", OwnWrites, 100 * time.Millisecond, 0, now - second/10},
		{"strong", Strong, 0, 0, now},
	} {
		var s Session
		s.SetLevel(c.level)
		s.SetStaleness(c.staleness)
		s.Received(c.received)
		s.Begin(now)
		if got := s.Demand(now, time.Second); got != c.want {
			t.Errorf("%s: demands %d, want %d", c.name, got, c.want)
		}
	}
	var nobody *Session
	nobody.Begin(now)
	if got := nobody.Demand(now, time.Second); got != now-second {
		t.Errorf("no session demands %d, want the bound", got)
	}
}

func TestAfterWaitsForTheHeadOfAToken(t *testing.T) {
	token, err := ParseHead((&Head{"life", mustSnapshot(t, 5, 9, 6)}).String())
	if err != nil {
		t.Fatal(err)
	}
	var s Session
	s.SetAfter(token)
	for _, c := range []struct {
		name               string
		head               *Head
		reached, reachable bool
	}{
		{"none yet", nil, false, false},
		{"an older one", &Head{"life", mustSnapshot(t, 5, 8)}, false, true},
		{"one that lacks a transaction", &Head{"life", mustSnapshot(t, 5, 12, 5)}, false, true},
		{"one of another life", &Head{"other", mustSnapshot(t, 50, 90)}, false, false},
		{"one that lacks its last", &Head{"life", mustSnapshot(t, 7, 12, 7)}, false, true},
		{"the same", token, true, true},
	} {
		if got := s.Reachable(c.head); got != c.reachable {
			t.Errorf("%s: reachable %v", c.name, got)
		}
		if got := s.Reached(c.head); got != c.reached {
			t.Errorf("%s: reached %v", c.name, got)
		}
	}
	if !s.Reached(nil) {
		t.Error("a token that was reached is demanded again")
	}
	for _, text := range []string{"", "life", "@5:9:", "life@", "life@5:4:", "life@x"} {
		if _, err := ParseHead(text); err == nil {
			t.Errorf("%q is read as a token", text)
		}
	}
}

func mustSnapshot(t *testing.T, xmin, xmax XID, inProgress ...XID) Snapshot {
	t.Helper()
	s, err := NewSnapshot(xmin, xmax, inProgress)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOnlyBoundedSessionsAcceptWhatAReplicaShowed(t *testing.T) {
	t.Parallel()
	primary := NewTicket(Label{Incarnation: one, Lower: at(1)}, nil, 0)
	replica := NewTicket(Label{Incarnation: one, Lower: at(1), Replica: true}, nil, 0)
	bounded, own, strong := &Session{}, &Session{}, &Session{}
	bounded.SetLevel(Bounded)
	strong.SetLevel(Strong)
	for s, want := range map[*Session]bool{nil: true, bounded: true, own: false, strong: false} {
		if got := s.Accepts(replica); got != want {
			t.Errorf("level %v: accepts %v, want %v", s, got, want)
		}
		if !s.Accepts(primary) {
			t.Error("an entry from the primary was not accepted")
		}
	}
}

func TestReplicaLabelNeverSettles(t *testing.T) {
	t.Parallel()
	f := New(Options{Slots: 1})
	f.Reset(&Head{one, at(5)}, at(1), nil, 1)
	l := Label{Incarnation: one, Lower: at(2), Upper: at(3)}
	if !f.Settled(l) {
		t.Fatal("the label of the primary is not settled")
	}
	if l.Replica = true; f.Settled(l) {
		t.Error("what a replica showed is called settled")
	}
}

// A derived session has one past with the session that it comes from, and demands of
// its own.
func TestDerivedSessionSharesThePast(t *testing.T) {
	t.Parallel()
	var s Session
	s.SetStaleness(time.Minute)
	derived := s.Derive()
	derived.SetLevel(Strong)
	again := derived.Derive()
	again.SetLevel(Bounded)
	again.Received(5)
	derived.Begin(7)
	s.Begin(9)
	if s.Need() != 7 || derived.Need() != 7 || again.Need() != 7 {
		t.Errorf("needs %d, %d and %d, want 7 of all", s.Need(), derived.Need(), again.Need())
	}
	if !again.Bounded() || derived.Bounded() || s.Bounded() {
		t.Error("the level of one is that of another")
	}
	if got, want := again.Demand(Instant(2*time.Hour), time.Second), Instant(2*time.Hour).Add(-time.Minute); got != want {
		t.Errorf("demands %v, want %v: the staleness at first is that of the session it comes from", got, want)
	}
}
