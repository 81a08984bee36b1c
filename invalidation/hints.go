package invalidation

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// Relay carries hints between the followers of one database: what one says, all hear who
// do so at that moment. It may lose, delay, repeat, mix up and invent messages.
type Relay interface {
	// Say sends a message.
	Say(ctx context.Context, message []byte) error
	// Hear calls heard with each message, also with those that Say sent from here, until
	// ctx ends or it fails.
	Hear(ctx context.Context, heard func(message []byte)) error
}

const (
	// hintTagsMax bounds the tags of one hint. Where there are more, the others look.
	hintTagsMax = 4096
	// hintBytesMax bounds a message that is read.
	hintBytesMax = 1 << 20
	// reliedPolls is for how many of the intervals at which a leader speaks its silence is
	// borne; reliedMax bounds that, whatever it says.
	reliedPolls = 3
	reliedMax   = time.Second
	// hintPause is the least time between two looks that doubts ask for, and between two
	// hints with events.
	hintPause = announcePause
	// hearPause is the time before a relay that failed is tried again.
	hearPause = time.Second
)

// hint is what a leader says after a look. Its JSON form is the message.
type hint struct {
	// From names the follower that says it.
	From string `json:"from"`
	// Incarnation is that of the server which the look was made at.
	Incarnation fence.Incarnation `json:"incarnation"`
	// AgainMS is in how many milliseconds the follower speaks again, at the latest.
	AgainMS int64 `json:"again_ms"`
	// Events are those that the look brought.
	Events []fence.Event `json:"events,omitempty"`
	// Look says that there was something which only a look can tell.
	Look bool `json:"look,omitempty"`
}

// hints are what a follower says to the others of its fleet, and hears from them. Who
// leads says what its looks bring: the sleeper, and who is awake. The others look at once
// where that ends something which is in use, and otherwise file it as foretold
// (fence.Foretell): what it ends is refused. As long as they hear a leader, they look seldom, every
// Proof, and do not listen for notifications, which each commit's batch would wake them by.
//
// A hint moves neither head nor clock nor label, so nothing depends on who leads:
//
//  1. the leader dies, pauses, or is cut off from Redis: it is silent, and after three of
//     its intervals the others listen, look at every poll and elect, as without hints
//     (TestWhoHearsNothingLooksAsEver, TestDeadLeaderIsReplaced);
//  2. it goes on later, and says what it has said or what all know: known events are left
//     out, and others are dropped by the next look (TestLateHintsChangeNothing);
//  3. two lead, the sleeper and who is awake: the same events are said twice, and filed
//     once (TestForetoldEventsRefuse);
//  4. its hints are lost on the way to one follower, while others of its are heard: that
//     one serves what it would have served without hints, and for no longer, because only
//     its own looks prove that it is fresh (TestHintsProveNothing);
//  5. it leads at another server, such as a primary that was replaced: the incarnation is
//     another, and it is not heard (TestLateHintsChangeNothing);
//  6. a commit's writer finds the sleeper's lock taken and rings, when the sleeper's
//     connection has just ended, and the others do not listen: nobody hears the ring, and
//     the commit is found by a look of each, within Proof (TestWhoHearsNothingLooksAsEver).
type hints struct {
	f     *Follower
	relay Relay // nil: nothing is said or heard
	id    string

	// until is the moment up to which a leader was promised to speak again.
	until atomic.Int64
	// askedAt is when a doubt asked for a look last.
	askedAt atomic.Int64

	// These belong to the goroutine that looks: what its looks brought that nobody was told
	// of yet, and when it spoke last.
	untold hint
	spoke  fence.Instant

	mu sync.Mutex
	// next is what is to be said, nil if that is nothing; ready holds one element then.
	next  *hint
	ready chan struct{}
}

func newHints(f *Follower, relay Relay) *hints {
	h := &hints{f: f, relay: relay, id: rand.Text(), ready: make(chan struct{}, 1)}
	if relay != nil {
		f.fence.OnDoubt(h.ask)
	}
	return h
}

// run says and hears until ctx ends.
func (h *hints) run(ctx context.Context) {
	if h.relay == nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { h.sayAll(ctx) })
	both.Go(func() { h.hearAll(ctx) })
	both.Wait()
}

func (h *hints) sayAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.ready:
		}
		h.mu.Lock()
		next := h.next
		h.next = nil
		h.mu.Unlock()
		if next == nil {
			continue
		}
		text, err := json.Marshal(next)
		if err == nil {
			err = h.relay.Say(ctx, text)
		}
		if err == nil {
			h.f.stats.hintsSaid.Add(1)
		}
	}
}

func (h *hints) hearAll(ctx context.Context) {
	for ctx.Err() == nil {
		err := h.relay.Hear(ctx, h.hear)
		if ctx.Err() != nil {
			return
		}
		h.f.logger.Debug("other followers are not heard", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(hearPause):
		}
	}
}

// hear takes one message.
func (h *hints) hear(message []byte) {
	var said hint
	head := h.f.fence.Head()
	if len(message) > hintBytesMax || json.Unmarshal(message, &said) != nil ||
		said.From == h.id || head == nil || said.Incarnation != head.Incarnation {
		return
	}
	heard := fence.Now()
	again := min(max(time.Duration(said.AgainMS)*time.Millisecond, 0), reliedMax)
	h.until.Store(int64(heard.Add(min(reliedPolls*again, reliedMax))))
	h.f.stats.hintsHeard.Add(1)
	if (h.f.fence.Foretell(said.Incarnation, said.Events, heard) || said.Look) && !h.f.resting.now() {
		h.f.audience.ring()
	}
}

// ask asks for a look because of a doubt, unless one was asked for just now: who goes on
// doubting asks again. Who rests has no reader to look for.
func (h *hints) ask() {
	if h.f.resting.now() {
		return
	}
	now, last := fence.Now(), h.askedAt.Load()
	if now.Sub(fence.Instant(last)) >= hintPause && h.askedAt.CompareAndSwap(last, int64(now)) {
		h.f.audience.ring()
	}
}

// relied reports whether this follower leaves it to another to look.
func (h *hints) relied() bool {
	return h.relay != nil && !h.f.stats.sleeper.Load() && !h.f.stats.awake.Load() && fence.Now() < fence.Instant(h.until.Load())
}

// brought notes what a look has brought, for tell. only says that there is something which
// only a look can tell.
func (h *hints) brought(incarnation fence.Incarnation, events []fence.Event, only bool) {
	if h.relay == nil {
		return
	}
	h.untold.Incarnation = incarnation
	h.untold.Look = h.untold.Look || only
	h.untold.Events = append(h.untold.Events, events...)
}

// tell says what the last looks have brought if this follower leads, and that it is there
// if it has not spoken for long. It does not wait.
func (h *hints) tell(began fence.Instant) {
	if h.relay == nil {
		return
	}
	if (len(h.untold.Events) > 0 || h.untold.Look) && h.f.stats.awake.Load() && began.Sub(h.spoke) < hintPause {
		return // who is awake looks again soon
	}
	said := h.untold
	h.untold = hint{}
	if !h.f.stats.sleeper.Load() && !h.f.stats.awake.Load() {
		return // who leads tells it
	}
	if len(said.Events) == 0 && !said.Look && began.Sub(h.spoke) < h.f.poll {
		return
	}
	h.spoke = began
	said.From, said.AgainMS = h.id, max(2*h.f.poll, time.Millisecond).Milliseconds()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next != nil && h.next.Incarnation == said.Incarnation { // still unsaid
		said.Events, said.Look = append(h.next.Events, said.Events...), said.Look || h.next.Look
	}
	said.bound()
	h.next = &said
	select {
	case h.ready <- struct{}{}:
	default:
	}
}

// bound leaves the events out if they are too many to be said.
func (s *hint) bound() {
	tags := 0
	for _, e := range s.Events {
		tags += len(e.Tags)
	}
	if tags > hintTagsMax {
		s.Events, s.Look = nil, true
	}
}

// pace is the longest time until the next look. Where definitions are compared by looks,
// these stay as frequent as ever.
func (l *looker) pace() time.Duration {
	if l.f.hints.relied() && !l.comparing() {
		return max(l.f.poll, time.Duration(l.f.proof.Load()))
	}
	return l.f.poll
}
