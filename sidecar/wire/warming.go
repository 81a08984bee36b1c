package wire

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// A load that no client has asked for runs on the connection of one that is idle (see warm.go),
// and must not show there. What the client sends meanwhile is dealt with when the load has ended:
// so nothing of the client's is ever behind it in Postgres, and all that is decided by what
// Postgres owes is decided as ever. Five things may happen while it runs.
//
// The client sends something:
//
//  1. the load is sent;
//  2. the client sends a statement, which waits here;
//  3. the load takes long: a lock is in its way, say.
//
// Who waits has waited for one load when it has waited for as long as the answer took the last
// time: then the load is cancelled. The statement is sent when Postgres has answered, and has
// acted on the cancel request, or the request could meet the statement. Forced by
// TestWarmingGivesWayToTheClient.
//
// The client cancels. An idle client's cancel request means nothing, and is not passed on: it
// would end the load. But the client may have sent a statement:
//
//  1. the load is sent;
//  2. the client sends a statement, which waits here, or lies in the socket still;
//  3. it asks to cancel: the request would meet the load, and the statement run as if nobody
//     had.
//
// So the load is cancelled, and the request is kept: it ends the statement's wait for another's
// load, or is passed on behind the statement. Forced by
// TestCancelWhileWarmingEndsTheClientsStatementAlone.
//
// A change comes:
//
//  1. the label is taken, and the load sent;
//  2. another client's commit changes a row, before Postgres reads it or behind;
//  3. the answer is stored, and the look brings the event of 2.
//
// The label lacks the change, whether the answer shows it or not: the entry has ended, as that of
// any other load. Nobody has read it, so that it is not loaded again. Forced by
// TestAnswerOvertakenWhileWarmingIsNotServed.
//
// The settings change: by the client, and that waits; by a reload of the configuration, and that
// ends with its event what was labelled before (see pipeline.go).
//
// The session ends. If it is the client that leaves, the load is cancelled, which Postgres would
// otherwise go on with for nobody. Who waits for it chooses another leader. Forced by
// TestWarmingEndsWhenItsClientLeaves.
//
// Its errors and notices are not shown, and store nothing. It is one more statement to
// pg_stat_statements, statement_timeout and the log of Postgres. Where idle_session_timeout would
// end the session, it is not asked: the load would be a sign of life.

// warming is a load on a session's connection that its client has not asked for.
type warming struct {
	// over is closed when Postgres has answered it all; nil if there is none.
	over chan struct{}
	// patience is how long the client waits for it.
	patience time.Duration
}

// warmPatienceMin is the least that a client waits for such a load before it is cancelled.
const warmPatienceMin = 20 * time.Millisecond

// mayWarm reports whether the session is idle, and Postgres would answer a statement that is sent
// now without the client's notice. The caller has the turn.
func (s *session) mayWarm() bool {
	if !s.resting || s.cancel.processID() == 0 || !s.talk.NothingOpen() || s.block.Held || s.opening || s.ahead.answered || s.ahead.bound.is {
		return false
	}
	s.takeBack()
	s.statements.BeginUnit(nil)
	if s.obstacle() != "" || s.inTransaction {
		return false
	}
	s.dropOutdatedAssumption()
	return s.servable() && s.state().Standby == "" && s.state().IdleMax == 0 && s.server.offReason() == "" && s.sameServer() && s.mayProbe() &&
		!s.client.Readable()
}

// beginWarming sends the load of a wish, unless the session is not idle any more or would load
// something else. over is closed when all is answered; nil if nothing was sent, and then loading is
// the caller's as before.
func (s *session) beginWarming(w *wish, loading *answer.Capture) (over chan struct{}) {
	if !s.turn.TryLock() {
		return nil
	}
	defer s.turn.Unlock()
	var fault error
	defer func() {
		if fault != nil {
			over = make(chan struct{}) // nobody knows what was sent: the session ends, and with it the load
			s.end()
		}
	}()
	defer s.contain(&fault)
	if s.state() == nil || s.state().ID != w.state || !s.mayWarm() || !s.planWarming(w) {
		return nil
	}
	start, ok := s.label()
	if !ok {
		return nil
	}
	r := &s.plan.requests[0]
	c := s.beginCapture(r, start, loading)
	if c == nil {
		return nil
	}
	c.Warming = true
	over = make(chan struct{})
	s.warming = warming{over: over, patience: max(w.took, s.server.warmer.patienceMin)}
	s.cancels.beginWarming()
	s.sendLookup(r, c)
	if s.sendWarming(w, c) == nil {
		_ = s.flushUpstream() // if it fails, the session ends
	}
	return over
}

// planWarming makes the plan that of a wish, and its request. It reports false if somebody would
// have to be asked, or the answer is there, or would be another.
func (s *session) planWarming(w *wish) bool {
	if w.statement == nil {
		s.planQuery(answer.TextOfQuery(w.key), true)
	} else {
		p := &statements.Prepared{Statement: w.statement, Parse: parseOf(w.statement)}
		p.Told.Store(w.told)
		s.plan.readNothing()
		s.plan.unnamed, s.plan.executions = s.statements.Unnamed(), 1
		asked := s.plan.add()
		asked.prepared, asked.bound, asked.limit, asked.described = p, w.bound, w.limit, w.described
	}
	asked := &s.plan.wants[0]
	statement := asked.prepared.Statement
	slot, verdict := s.knownVerdict(statement)
	if verdict == nil || !verdict.Cacheable || block.ParseControl(statement.SQL).Kind != block.None {
		return false
	}
	if !s.noteKeyed(asked, settingsOf(asked, slot)) {
		return false
	}
	s.keyOf(asked)
	if !bytes.Equal(s.key, w.key) || s.server.mayServe(s.peek()) || s.judge() != "" {
		return false
	}
	r := &s.plan.requests[0]
	r.prepared = false // it is parsed for this load
	return r.consent == noConsent
}

// parseOf is a Parse of the unnamed statement.
func parseOf(of *statements.Statement) []byte {
	types := binary.BigEndian.AppendUint16(nil, uint16(len(of.ParamTypes)))
	for _, t := range of.ParamTypes {
		types = binary.BigEndian.AppendUint32(types, t)
	}
	return protocol.AppendMessage(nil, 'P', []byte{0}, []byte(of.SQL), []byte{0}, types)
}

// sendWarming sends the load of a wish, in groups of its own that leave nothing behind.
func (s *session) sendWarming(w *wish, c *answer.Capture) error {
	over := s.warming.over
	ended := func() { close(over) }
	if w.statement == nil {
		s.expectUnit(conversation.Expectation{Kind: conversation.Query, Hidden: true, Harmless: true, Capture: c, Change: s.statements.SimpleQuery(statements.AskedHere), Over: ended})
		return s.sendUpstream(protocol.AppendMessage(nil, 'Q', answer.TextOfQuery(w.key), []byte{0}))
	}
	p := s.plan.wants[0].prepared
	if err := s.sendParse(p, s.certain(), true); err != nil {
		return err
	}
	hidden := conversation.Expectation{Hidden: true, Quiet: true, Effect: shapes.NoEffect}
	expect := func(kind conversation.Kind) conversation.Expectation {
		e := hidden
		e.Kind = kind
		return e
	}
	var messages []byte
	if c.Form().DescribesNothing() {
		c.Told = &p.Told
		if w.told != nil { // what the client was told of the rows has to hold for these
			e := expect(conversation.Describe)
			e.Statement, e.Prepared = true, p
			s.talk.Owe(e)
			messages = protocol.AppendMessage(messages, 'D', []byte("S\x00"))
		}
	}
	s.talk.Owe(expect(conversation.Bind))
	messages = protocol.AppendMessage(messages, 'B', []byte{0, 0}, w.bound)
	if w.described {
		e := expect(conversation.Describe)
		e.Capture = c
		s.talk.Owe(e)
		messages = protocol.AppendMessage(messages, 'D', []byte("P\x00"))
	}
	e := expect(conversation.Execute)
	e.Capture = c
	s.talk.Owe(e)
	messages = protocol.AppendMessage(messages, 'E', []byte{0}, binary.BigEndian.AppendUint32(nil, w.limit))
	e = expect(conversation.Sync)
	e.Harmless, e.ShowsNothing = true, true
	s.expectUnit(e)
	messages = append(messages, syncMessage...)
	closing := expect(conversation.Close) // in a group of its own: the first may fail
	closing.Change = s.statements.Provide(nil)
	s.talk.Owe(closing)
	e.Over = ended
	s.expectUnit(e)
	return s.sendUpstream(append(append(messages, closeUnnamed...), syncMessage...))
}

// awaitWarming waits for the load on the session's connection that its client has not asked for,
// if there is one, before something of the client's is dealt with.
func (s *session) awaitWarming() error {
	over := s.warming.over
	if over == nil {
		return nil
	}
	patience, hurry := time.NewTimer(s.warming.patience), s.cancels.awaitWarming()
	defer patience.Stop()
	for s.talk.TransactionStatus() != 0 { // else nothing is understood any more
		select {
		case <-over:
			s.warming = warming{}
			s.cancelsUnit = s.cancels.endWarming()
			s.takeBack()
			return nil
		case <-s.ctx.Done():
			return errDone
		case <-patience.C:
			s.giveUpWarming()
		case <-hurry:
			hurry = nil
			s.giveUpWarming()
		}
		patience.Reset(cancelWaitMax)
	}
	return errDone
}

// giveUpWarming cancels such a load, and returns when Postgres has acted: what is sent then, the
// request cannot meet. If it meets a lookup, the load behind is cancelled when that is heard.
func (s *session) giveUpWarming() {
	s.cancels.passed.Store(true)
	s.server.sendCancel(s.ctx, cancelRequest(s.cancel))
}

// passKeptCancel passes on a cancel request that came for the unit at hand while it waited for a
// load that its client has not asked for.
func (s *session) passKeptCancel() error {
	if !s.cancelsUnit {
		return nil
	}
	s.cancelsUnit = false
	if !s.cancels.takeKept() {
		return nil // it has ended a wait
	}
	if err := s.flush(); err != nil {
		return err
	}
	// Postgres ignores a request that comes before it has read the statement. Nothing is sent
	// behind that meanwhile which a further request could meet.
	wait := keptAgainAfter
	for range keptAgainMax {
		if !s.talk.Owed() {
			return nil
		}
		s.server.sendCancel(s.ctx, cancelRequest(s.cancel))
		select {
		case <-s.ctx.Done():
			return errDone
		case <-time.After(wait):
		}
		wait *= 2
	}
	return nil
}

// A request that was kept is passed on until its statement is answered: after keptAgainAfter, then
// after twice as long each time, and keptAgainMax times.
const (
	keptAgainAfter = 5 * time.Millisecond
	keptAgainMax   = 10
)

// leaveTurn keeps loads from being begun on the session's connection, and gives up the one under
// way: the client has left.
func (s *session) leaveTurn() {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.resting = false
	if s.warming.over != nil && s.talk.Owed() && s.ctx.Err() == nil {
		s.giveUpWarming()
	}
}

// keptCancel is what becomes of cancel requests while a load runs that the client has not asked
// for. It is guarded by the lock of cancels.
type keptCancel struct {
	// warming is set by beginWarming, and reset by endWarming when something of the client's is
	// dealt with again; awaited is set in between by awaitWarming, when that has come.
	warming, awaited bool
	// kept is set by keep, and reset by who acts on it.
	kept bool
	// hurry is closed when a request is kept.
	hurry chan struct{}
}

func (c *cancels) beginWarming() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keptCancel = keptCancel{warming: true, hurry: make(chan struct{})}
}

// awaitWarming is for a client that waits for the end of the load: what it returns is closed when
// the client asks to cancel.
func (c *cancels) awaitWarming() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.awaited = true
	return c.hurry
}

// endWarming reports whether the client has asked to cancel what is dealt with next.
func (c *cancels) endWarming() (kept bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.warming = false
	return c.kept
}

// keep reports whether Postgres is at a load that the client has not asked for. A request of the
// client is kept then if it has sent something; sent says so, unless that waits here.
func (c *cancels) keep(sent func() bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.warming {
		return false
	}
	if !c.kept && (c.awaited || sent()) {
		c.kept = true
		close(c.hurry)
	}
	return true
}

// takeKept reports whether a request is kept, and forgets it.
func (c *cancels) takeKept() (kept bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept, c.kept = c.kept, false
	return kept
}
