package wire

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// What a change ends and is read often is loaded again before anybody asks for it, where
// Options.WarmFrom says so. A change costs the readers of its keys nothing then: not the first
// of them a load, nor the others who come meanwhile the wait for it.
//
// Such a load runs on the connection of a client that is idle, and whose session has the very
// state that is in the key: so Postgres answers it as it would answer that client. It is a
// capture like any other (label, look, tags, publication), of whose answer the client hears
// nothing: see warming.go.
//
// It is never in the way, and never for nothing:
//
//   - What was read less than warmReadsMin times since it was loaded is left alone. So there are
//     at most half as many such loads of a key as there were reads of it, and a load that nobody
//     read is followed by none.
//   - At most warmAtOnce are under way, and none begins while warmCrowd loads are that clients
//     wait for.
//   - At most warmWatched answers are watched, those that took longest rather than others.
//   - What finds no idle session within warmIdleWait is left to who asks for it.

const (
	// warmReadsMin is how many reads an answer must have been good for to be loaded again.
	warmReadsMin = 2
	// warmWatched bounds the answers that are watched.
	warmWatched = 512
	// warmAtOnce bounds the loads that nobody asked for and that are under way.
	warmAtOnce = 2
	// warmCrowd is how many loads of clients keep them from beginning.
	warmCrowd = 8
	// warmTick is the time between two looks for answers that a change has ended.
	warmTick = 5 * time.Millisecond
	// warmIdleWait is how long one that has ended waits for a session and a place.
	warmIdleWait = time.Second
	// warmCompared is with how many of those that are watched a further one is compared.
	warmCompared = 8
)

// wish is what it takes to load an answer again. It belongs to the warmer.
type wish struct {
	key  []byte
	hash uint64
	// ticket and expires are those of the entry that was read.
	ticket  *fence.Ticket
	expires fence.Instant
	// took is how long the entry's load took.
	took time.Duration
	// state names that of the sessions which may load it.
	state digest.Digest
	// shape is the statement's.
	shape uint64
	// statement is nil for a Query, whose text is in the key. What follows belongs to others.
	statement *statements.Statement
	bound     []byte
	limit     uint32
	described bool
	told      *description.Description
	// ended is when it was found to have ended, 0 before.
	ended fence.Instant
}

// warmer watches what is read often, and has it loaded again when a change has ended it.
type warmer struct {
	server *Server
	// from is Options.WarmFrom.
	from time.Duration
	// patienceMin is warmPatienceMin, unless a test wants clients to wait.
	patienceMin time.Duration
	// idleWait is warmIdleWait, unless a test wants a load however late its session is idle.
	idleWait time.Duration
	// some holds an element when the first is watched.
	some chan struct{}
	// places has room for the loads under way.
	places chan struct{}

	mu      sync.Mutex
	watched map[uint64]*wish // by the hashes of their keys
}

// newWarmer returns nil if nothing is to be loaded again.
func newWarmer(s *Server, from time.Duration) *warmer {
	if from <= 0 {
		return nil
	}
	return &warmer{server: s, from: from, patienceMin: warmPatienceMin, idleWait: warmIdleWait, some: make(chan struct{}, 1), places: make(chan struct{}, warmAtOnce), watched: map[uint64]*wish{}}
}

// noteRead notes that a read is answered with an entry. w is what a group wants, nil of a Query.
func (s *session) noteRead(entry *engine.Entry, w *want) {
	m := s.server.warmer
	if m == nil || entry.Took() < m.from {
		return
	}
	a := entry.Payload.(*answer.Answer)
	n := a.NoteRead(warmReadsMin)
	if n == 1 && a.Warmed {
		s.server.counters.WarmedRead.Add(1)
	}
	if n == warmReadsMin && !a.Consented && s.state().Standby == "" {
		m.watch(s.wishFor(entry, w))
	}
}

// wishFor is what it takes to load an entry again. Of the entry it keeps only the ticket: the
// first tier may let go of the rest.
func (s *session) wishFor(entry *engine.Entry, w *want) *wish {
	made := &wish{
		key: slices.Clone(entry.Key), hash: s.server.cache.Hash(entry.Key), expires: entry.Expires, took: entry.Took(), state: s.state().ID, shape: entry.Shape(),
		ticket: fence.NewTicket(entry.Ticket.Label(), entry.Ticket.Tags(), entry.Ticket.Loaded()),
	}
	if w == nil {
		return made
	}
	of := w.prepared.Statement
	made.statement = &statements.Statement{ID: of.ID, SQL: of.SQL, ParamTypes: of.ParamTypes, KeepsSettings: of.KeepsSettings}
	made.bound, made.limit, made.described, made.told = slices.Clone(w.bound), w.limit, w.described, s.plan.toldBefore(w)
	return made
}

// watch watches one answer more, in place of one that is cheaper if there are too many.
func (m *warmer) watch(w *wish) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watched[w.hash] == nil && len(m.watched) >= warmWatched {
		m.server.counters.WarmRefused.Add(1)
		cheapest := m.cheapestLocked()
		if cheapest.took >= w.took {
			return
		}
		delete(m.watched, cheapest.hash)
	}
	m.watched[w.hash] = w
	select {
	case m.some <- struct{}{}:
	default:
	}
}

// cheapestLocked returns the cheapest of a few, and so not the same again and again.
func (m *warmer) cheapestLocked() (cheapest *wish) {
	left := warmCompared
	for _, w := range m.watched {
		if cheapest == nil || w.took < cheapest.took {
			cheapest = w
		}
		if left--; left == 0 {
			break
		}
	}
	return cheapest
}

// run loads what has ended until ctx ends.
func (m *warmer) run(ctx context.Context) {
	if m == nil {
		return
	}
	var loads sync.WaitGroup
	defer loads.Wait()
	ticker := time.NewTicker(warmTick)
	defer ticker.Stop()
	for {
		ticker.Stop()
		select {
		case <-ctx.Done():
			return
		case <-m.some:
		}
		ticker.Reset(warmTick)
		for m.any() {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			for _, w := range m.ended(fence.Now()) {
				if !m.begins(w) {
					break
				}
				loads.Go(func() {
					defer func() { <-m.places }()
					m.load(ctx, w)
				})
			}
		}
	}
}

func (m *warmer) any() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.watched) > 0
}

// begins takes a place for a load, and what is to be loaded out of what is watched.
func (m *warmer) begins(w *wish) bool {
	if m.server.cache.Loading() >= warmCrowd {
		return false
	}
	select {
	case m.places <- struct{}{}:
	default:
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watched[w.hash] == w {
		delete(m.watched, w.hash)
	}
	return true
}

// ended returns what a change has ended and nobody has loaded since. It lets go of what has
// expired, is kept no more, was loaded by a client, or has waited for too long.
func (m *warmer) ended(now fence.Instant) (all []*wish) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for hash, w := range m.watched {
		switch {
		case now >= w.expires:
			delete(m.watched, hash)
			continue
		case w.ended == 0 && m.server.fence.Admits(w.ticket):
			continue
		}
		if w.ended == 0 {
			w.ended = now
		}
		there := m.server.cache.Peek(w.key, w.hash)
		switch {
		case there == nil || m.server.cache.Admits(there):
			delete(m.watched, hash)
		case now > w.ended.Add(m.idleWait):
			m.server.counters.WarmRefused.Add(1)
			delete(m.watched, hash)
		default:
			all = append(all, w)
		}
	}
	return all
}

// load loads what has ended on the connection of an idle session, unless somebody else does, or
// another process has loaded it.
func (m *warmer) load(ctx context.Context, w *wish) {
	idle := m.idle(w.state)
	if len(idle) == 0 {
		m.watchAgain(w)
		return
	}
	c, loading := m.server.cache, answer.NewCapture()
	flight := loading.Join(c, w.key, w.hash)
	if !flight.Leads() {
		return
	}
	if c.AsksRemote(w.shape, w.key) {
		if entry, _ := flight.Fetch(ctx, w.shape, answer.Decode); entry != nil && c.Admits(entry) {
			loading.Release(entry)
			loading.Recycle()
			return
		}
	}
	for _, s := range idle {
		if over := s.beginWarming(w, loading); over != nil {
			m.server.counters.Warmed.Add(1)
			select {
			case <-over:
			case <-s.ctx.Done():
			}
			return
		}
	}
	loading.Release(nil)
	loading.Recycle()
	m.watchAgain(w)
}

// watchAgain watches what could not be loaded now, unless somebody has read it meanwhile.
func (m *warmer) watchAgain(w *wish) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watched[w.hash] == nil {
		m.watched[w.hash] = w
	}
	select {
	case m.some <- struct{}{}:
	default:
	}
}

const (
	// warmTried is how many idle sessions are tried for one load.
	warmTried = 3
	// warmIdleMin is how long a session has been idle that is tried.
	warmIdleMin = 2 * time.Millisecond
)

// idle returns a few sessions of a state that may load what nobody has asked for: those that
// have been idle for longest, which their pools are least likely to use next.
func (m *warmer) idle(state digest.Digest) (found []*session) {
	var since []fence.Instant
	latest := fence.Now().Add(-warmIdleMin)
	m.server.sessions.each(func(s *session) {
		at := s.idleSince(state)
		if at > latest {
			return
		}
		i := 0
		for i < len(since) && since[i] <= at {
			i++
		}
		if i == warmTried {
			return
		}
		since, found = slices.Insert(since, i, at), slices.Insert(found, i, s)
		since, found = since[:min(len(since), warmTried)], found[:min(len(found), warmTried)]
	})
	return found
}

// idleSince is when the client's last message came, if the session is idle and has a state;
// else never.
func (s *session) idleSince(state digest.Digest) fence.Instant {
	if !s.turn.TryLock() {
		return math.MaxInt64
	}
	defer s.turn.Unlock()
	if s.state() == nil || s.state().ID != state || !s.mayWarm() {
		return math.MaxInt64
	}
	return s.now
}
