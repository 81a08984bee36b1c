package invalidation

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// statements counts what is asked of Postgres, by the statement's first line. It is a
// pgx.QueryTracer.
type statements struct {
	mu    sync.Mutex
	count map[string]int
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, _, _ := strings.Cut(strings.TrimSpace(data.SQL), "\n")
	s.count[first]++
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// take returns the counts, and begins anew.
func (s *statements) take() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := s.count
	s.count = map[string]int{}
	return counts
}

// connections are those that followers have to the test's database.
func (db *database) connections() string {
	return db.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'freshet follower' AND datname = current_database()")
}

// rests waits until a follower rests, and has hung up the doorbell.
func (f *followed) rests() {
	f.t.Helper()
	servers.Eventually(f.t, "the follower rests", func() bool { return f.Stats().Resting })
}

// Where nobody reads, a follower asks Postgres little, and that is counted: a look with each
// pulse, and eight statements with each trimming. That is 14 in a minute, over two
// connections.
func TestStatementsOfARest(t *testing.T) {
	t.Parallel()
	const perPulse, perTrim, perMinute = 1, 8, 14
	if got := int(time.Minute/restPulse)*perPulse + int(time.Minute/trimPauseMax)*perTrim; got != perMinute {
		t.Errorf("%d statements in a minute, want %d", got, perMinute)
	}
	db := newWatched(t, shop)
	asked := &statements{count: map[string]int{}}
	f := db.followWithoutWaiting(func(o *FollowerOptions) {
		o.ConnConfig.Tracer, o.RestAfter, o.Retention, o.Watch = asked, 50*time.Millisecond, time.Second, []string{"public.*"}
	})
	f.rests()
	servers.Eventually(t, "two connections are left", func() bool { return db.connections() == "2" })
	if s := f.Stats(); fmt.Sprint(s.Working) != "map[doorbell:true keeper:true looker:true]" || fmt.Sprint(s.ReconnectsOf) != "map[doorbell:0 keeper:0 looker:0]" {
		t.Errorf("parts work: %v, have failed: %v", s.Working, s.ReconnectsOf)
	}
	if n := db.sleepers(); n != "0" {
		t.Errorf("writers ring for %s sleepers, though nobody reads", n)
	}
	var counts map[string]int
	for range 2 { // at first some is of the time before
		asked.take()
		servers.Eventually(t, "the outbox is trimmed five times", func() bool { return asked.trimmings() >= 5 })
		counts = asked.take()
	}
	for first, n := range counts {
		if n < counts[trimming]-1 || n > counts[trimming]+1 { // the first and the last may be seen in part
			t.Errorf("%d times in %d trimmings: %s", n, counts[trimming], first)
		}
	}
	if len(counts) != perTrim {
		t.Errorf("%d kinds of statements are asked while trimming, want %d: %v", len(counts), perTrim, counts)
	}
	if !f.Stats().Resting {
		t.Error("the follower does not rest any more")
	}
}

// trimming is what is asked once in each trimming.
var trimming, _, _ = strings.Cut(markSQL, "\n")

func (s *statements) trimmings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[trimming]
}

// pulsing starts a follower that rests soon and has a pulse of its own.
func (db *database) pulsing(pulse time.Duration) *stepped {
	db.t.Helper()
	s := db.step()
	s.Follower.restAfter, s.Follower.pulse = time.Nanosecond, pulse
	return s
}

// rest has a stepped follower rest, until the returned function wants a look.
func (s *stepped) rest() (end func()) {
	s.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- s.looker.rest(s.t.Context()) }()
	end = sync.OnceFunc(func() {
		s.audience.open()
		if _, err := s.audience.join(fence.Now()); err != nil {
			s.t.Error(err)
		}
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(end)
	return end
}

// Nothing that was known before a rest serves who reads after it, whatever staleness it
// allows: see rest.go.
func TestWhoReadsAfterARestHasANewLook(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(func(o *FollowerOptions) { o.RestAfter = 50 * time.Millisecond })
	rests := 0
	servers.Eventually(t, "five rests that nobody else ended", func() bool {
		f.rests()
		ended := f.resting.change()
		if !f.Stats().Resting {
			return false // somebody woke it
		}
		before := fence.Now()
		entry := f.load(db.spell("users/id=1", "users/*")...)
		db.run("UPDATE users SET name = 'new' WHERE id = 1")
		if f.fence.LookBegan() != 0 || f.fence.Fresh(fence.Now(), time.Hour) {
			select {
			case <-ended:
				return false // somebody woke it
			default:
				t.Fatal("a reader that allows an hour is served by what was known before")
			}
		}
		f.confirmNow()
		f.wantAdmitted(entry, false, "what was written while nobody looked")
		if f.Stats().LookBegan < before {
			t.Error("the look began before the read")
		}
		rests++
		return rests == 5
	})
}

// A wish that comes as a rest begins ends it at once.
func TestWishBesideTheBeginningOfARest(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	s := db.pulsing(time.Hour)
	s.audience.open()
	g, err := s.audience.join(fence.Now()) // 1.
	if err != nil {
		t.Fatal(err)
	}
	if err := s.looker.rest(t.Context()); err != nil { // 2. and 3.
		t.Fatal(err)
	}
	if _, err := s.looker.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-g.done
	if g.err != nil {
		t.Errorf("who waited reads %v", g.err)
	}
}

// deaf is a Relay that nobody hears.
type deaf struct{}

func (deaf) Say(context.Context, []byte) error { return nil }

func (deaf) Hear(ctx context.Context, _ func([]byte)) error {
	<-ctx.Done()
	return ctx.Err()
}

// The pulse files events, and no read is served by it: what no event reports was not
// looked for.
func TestPulseVouchesForNothing(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	s := db.pulsing(time.Millisecond)
	entry := s.load(db.spell("users/id=1", "users/*")...)
	resets := s.Stats().Resets[resetRoles]
	s.hints.relay = deaf{}
	events := s.Stats().Events
	end := s.rest()
	db.run("UPDATE users SET name = 'new' WHERE id = 1", fmt.Sprintf("GRANT CREATE ON DATABASE %s TO CURRENT_USER WITH GRANT OPTION", db.value("SELECT quote_ident(current_database())")))
	servers.Eventually(t, "a pulse files the write", func() bool { return s.Stats().Events > events })
	s.wantAdmitted(entry, false, "what was written")
	looks := s.Stats().Looks
	servers.Eventually(t, "more pulses", func() bool { return s.Stats().Looks > looks+3 })
	if s.fence.LookBegan() != 0 {
		t.Error("a pulse vouches for its head")
	}
	if s.Stats().Resets[resetRoles] != resets {
		t.Error("a pulse audits")
	}
	end()
	if n := len(s.hints.untold.Events); n != 0 {
		t.Errorf("a pulse keeps %d events to tell, and a rest may be long", n)
	}
	s.auditedAt.Store(int64(fence.Now().Add(-time.Minute))) // as after a rest of a minute
	if _, err := s.looker.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Stats().Resets[resetRoles] != resets+1 || s.fence.LookBegan() == 0 {
		t.Errorf("the look of the first reader comes without an audit: %v", s.Stats().Resets)
	}
}

// Who reads keeps the follower from resting, also where no reader has to wait for a look.
func TestReadsKeepTheFollowerAwake(t *testing.T) {
	t.Parallel()
	var l looker
	reads := uint64(0)
	l.f = &Follower{restAfter: time.Minute, audience: newAudience(), reads: func() uint64 { return reads }}
	at := fence.Instant(time.Hour)
	l.resting.since = at
	for _, step := range []struct {
		what  string
		after time.Duration
		reads uint64
		wish  time.Duration // 0: none
		want  bool
	}{
		{"half of it", 30 * time.Second, 0, 0, false},
		{"somebody has read", time.Minute, 1, 0, false},
		{"a minute later nobody has", 2 * time.Minute, 1, 0, true},
		{"somebody wishes a look", 2*time.Minute + 1, 1, 2 * time.Minute, false},
		{"a minute after that", 3 * time.Minute, 1, 2 * time.Minute, true},
	} {
		reads = step.reads
		if step.wish != 0 {
			l.f.audience.wishedAt.Store(int64(at.Add(step.wish)))
		}
		if got := l.restDue(at.Add(step.after)); got != step.want {
			t.Errorf("%s: rest %v, want %v", step.what, got, step.want)
		}
	}
	l.f.restAfter = 0
	if l.restDue(at.Add(time.Hour)) {
		t.Error("who never rests does")
	}
}
