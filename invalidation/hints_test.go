package invalidation

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// hub is a Relay in this process, which may be cut.
type hub struct {
	mu   sync.Mutex
	ears map[int]func([]byte)
	next int
	cut  bool
}

func (h *hub) Say(_ context.Context, message []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cut {
		return errors.New("cut")
	}
	for _, heard := range h.ears {
		heard(message)
	}
	return nil
}

func (h *hub) Hear(ctx context.Context, heard func([]byte)) error {
	h.mu.Lock()
	h.next++
	me := h.next
	if h.ears == nil {
		h.ears = map[int]func([]byte){}
	}
	h.ears[me] = heard
	h.mu.Unlock()
	<-ctx.Done()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.ears, me)
	return ctx.Err()
}

func (h *hub) set(cut bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut = cut
}

// never is a moment that nobody lives to see, and rarely a Proof that is not reached.
const (
	never  = fence.Instant(math.MaxInt64)
	rarely = time.Hour
)

// hearing follows beside a sleeper, hears what the test says, and relies on it.
func (db *database) hearing() (sleeper, f *followed) {
	db.t.Helper()
	sleeper = db.follow(nil)
	servers.Eventually(db.t, "one sleeps", func() bool { return sleeper.Stats().Sleeper })
	f = db.follow(func(o *FollowerOptions) { o.Relay, o.Proof, o.Retention = &hub{}, rarely, 10*rarely })
	f.hints.until.Store(int64(never))
	servers.Eventually(db.t, "it does not listen", f.stats.deaf.Load)
	f.confirmNow()
	f.rest()
	return sleeper, f
}

// rest waits until looks that were asked for are over.
func (f *followed) rest() {
	f.t.Helper()
	looks := uint64(0)
	servers.Eventually(f.t, "nobody looks", func() bool {
		before := looks
		looks = f.Stats().Looks
		time.Sleep(5 * pollDefault)
		return looks == before
	})
}

// said has the follower hear a hint, and rely on hints.
func (f *followed) said(h hint) {
	f.t.Helper()
	text, err := json.Marshal(h)
	if err != nil {
		f.t.Fatal(err)
	}
	f.hints.hear(text)
	f.hints.until.Store(int64(never))
}

// changed changes a user, and returns the transaction.
func (db *database) changed() (xid uint64) {
	db.t.Helper()
	if err := db.QueryRow(db.t.Context(), "UPDATE users SET name = 'other' WHERE id = 1 RETURNING pg_current_xact_id()::text::int8").Scan(&xid); err != nil {
		db.t.Fatal(err)
	}
	return xid
}

// Who hears a leader neither looks nor listens, whatever is written; a hint of what it
// uses ends that at once, and has it look, once.
func TestWhoHearsALeaderLooksSeldom(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	db.install("public.users")
	sleeper, f := db.hearing()
	users := fence.TableText(db.oid("users"))
	entry := f.load(users)
	f.confirmNow()
	f.wantAdmitted(entry, true, "the entry of before")
	f.rest()
	before := f.Stats()
	var xid uint64
	for range 50 {
		xid = db.changed()
	}
	sleeper.confirmNow()
	f.rest()
	if now := f.Stats(); now.Looks != before.Looks || now.Notifications != before.Notifications {
		t.Errorf("%d looks and %d notifications for what nobody said", now.Looks-before.Looks, now.Notifications-before.Notifications)
	}
	f.wantAdmitted(entry, true, "what nobody has said anything about")
	f.said(hint{From: "leader", Incarnation: f.fence.Head().Incarnation, AgainMS: 1000, Events: []fence.Event{{XID: fence.XID(xid), Tags: []fence.Tag{fence.NewTag(users)}}}})
	servers.Eventually(t, "a look that the hint asked for", func() bool { return f.fence.Head().Snapshot.Sees(fence.XID(xid)) })
	f.wantAdmitted(entry, false, "what a hint has ended")
	f.rest()
	f.wantAdmitted(f.load(users), true, "what was loaded afterwards")
	looks := f.Stats().Looks
	f.said(hint{From: "leader", Incarnation: f.fence.Head().Incarnation, AgainMS: 1000, Events: []fence.Event{{XID: fence.XID(xid + 100), Tags: []fence.Tag{fence.NewTag(users) ^ 1}}}})
	f.rest()
	if now := f.Stats().Looks; now != looks {
		t.Errorf("%d looks for what nobody here uses", now-looks)
	}
}

// However many hints are heard, and whatever they say, neither head nor clock moves.
func TestHintsProveNothing(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	db.install("public.users")
	_, f := db.hearing()
	head, began := f.fence.Head(), f.fence.LookBegan()
	for i := range 100 {
		f.said(hint{From: "leader", Incarnation: head.Incarnation, AgainMS: 1000, Events: []fence.Event{{XID: fence.XID(1<<40 + i), Tags: []fence.Tag{fence.Tag(7 + i)}}}})
	}
	f.rest()
	if f.fence.Head() != head || f.fence.LookBegan() != began {
		t.Errorf("head %v, clock %v; before %v and %v", f.fence.Head(), f.fence.LookBegan(), head, began)
	}
	// The next look begins when its time has come, whatever is heard.
	f.SetProof(pollDefault)
	servers.Eventually(t, "looks are made", func() bool { return f.fence.LookBegan() > began.Add(5*pollDefault) })
}

// What is late, of another server, one's own or no hint at all is not heard.
func TestLateHintsChangeNothing(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	db.install("public.users")
	_, f := db.hearing()
	users := fence.TableText(db.oid("users"))
	xid := db.changed()
	f.confirmNow()
	entry := f.load(users)
	f.confirmNow()
	f.wantAdmitted(entry, true, "the entry")
	f.rest()
	heard := f.Stats().HintsHeard
	known := []fence.Event{{XID: fence.XID(xid), Tags: []fence.Tag{fence.NewTag(users)}}}
	f.said(hint{From: "leader", Incarnation: f.fence.Head().Incarnation, AgainMS: 1000, Events: known}) // heard, and known
	f.hints.until.Store(0)
	f.said(hint{From: "leader", Incarnation: "another", AgainMS: 1000, Events: []fence.Event{{XID: fence.XID(xid + 100), Tags: known[0].Tags}}, Look: true})
	f.said(hint{From: f.hints.id, Incarnation: f.fence.Head().Incarnation, AgainMS: 1000, Look: true})
	f.hints.hear([]byte("nonsense"))
	f.hints.hear(make([]byte, hintBytesMax+1))
	f.wantAdmitted(entry, true, "the entry that no hint has ended")
	if now := f.Stats().HintsHeard - heard; now != 1 {
		t.Errorf("%d hints heard, want 1", now)
	}
}

// Who hears nothing any more listens and looks at every poll.
func TestWhoHearsNothingLooksAsEver(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	db.install("public.users")
	_, f := db.hearing()
	looks := f.Stats().Looks
	f.hints.until.Store(0)
	servers.Eventually(t, "looks", func() bool { return f.Stats().Looks > looks+3 })
	xid := db.changed()
	servers.Eventually(t, "the commit", func() bool { return f.fence.Head().Snapshot.Sees(fence.XID(xid)) })
}

// The sleeper's looks are said, and end what others hold; when it has gone, another takes
// its place.
func TestDeadLeaderIsReplaced(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	db.install("public.users")
	air := &hub{}
	relayed := func(o *FollowerOptions) { o.Relay, o.Proof, o.Retention = air, rarely, 10*rarely }
	leader := db.follow(relayed)
	servers.Eventually(t, "one sleeps", func() bool { return leader.Stats().Sleeper })
	f := db.follow(relayed)
	servers.Eventually(t, "a leader is relied on", func() bool { return f.Stats().Relying })
	// Until it has stopped listening, it may hear the writer itself.
	servers.Eventually(t, "an entry is ended by a hint", func() bool {
		f.confirmNow() // the head includes what a hint has ended before
		entry := f.load(fence.TableText(db.oid("users")))
		f.confirmNow()
		f.wantAdmitted(entry, true, "the entry")
		heard := f.Stats().HintsHeard
		db.changed()
		servers.Eventually(t, "the entry is ended", func() bool { return !f.fence.Admits(entry) })
		return f.Stats().HintsHeard > heard
	})
	// Its messages are lost: everybody looks.
	air.set(true)
	servers.Eventually(t, "nobody is relied on", func() bool { return !f.Stats().Relying })
	xid := db.changed()
	servers.Eventually(t, "the commit", func() bool { return f.fence.Head().Snapshot.Sees(fence.XID(xid)) })
	air.set(false)
	servers.Eventually(t, "the leader is relied on again", func() bool { return f.Stats().Relying })
	leader.stop()
	servers.Eventually(t, "another leads", func() bool { return f.Stats().Sleeper && !f.Stats().Relying })
	xid = db.changed()
	servers.Eventually(t, "the commit", func() bool { return f.fence.Head().Snapshot.Sees(fence.XID(xid)) })
}

// What is too much for a message is told as a reason to look.
func TestLongHintsAreLooks(t *testing.T) {
	t.Parallel()
	long := hint{Events: []fence.Event{{XID: 1, Tags: make([]fence.Tag, hintTagsMax)}}}
	if long.bound(); long.Look || len(long.Events) != 1 {
		t.Errorf("%v", long.Look)
	}
	long.Events = append(long.Events, fence.Event{XID: 2, Tags: make([]fence.Tag, 1)})
	if long.bound(); !long.Look || long.Events != nil {
		t.Error("it is said as it is")
	}
}
