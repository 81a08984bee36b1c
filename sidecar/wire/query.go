package wire

import (
	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// obstacle says why nothing can be served at this moment, whatever is asked. If
// there is nothing in the way, it also takes in what is known of the session.
func (s *session) obstacle() string {
	now := s.talk.standing()
	if now.reason != "" {
		return now.reason
	}
	s.noteChanged(now.dirty)
	s.changesSeen = now.changes
	s.wasShown = s.wasShown || now.shown
	return ""
}

// arrival is when the client's last message had arrived, or a little later.
func (s *session) arrival() fence.Instant {
	if s.now == 0 {
		s.now = fence.Now()
	}
	return s.now
}

// beginRead notes that a read begins which may be answered from the cache.
func (s *session) beginRead() {
	if s.wasShown {
		// Everything that the client was shown by Postgres was shown before now.
		s.wasShown = false
		s.now = fence.Now()
		s.reads.Received(s.now)
	}
	s.beginBlockRead()
	s.reads.Begin(s.arrival())
}

// servable reports whether a read may be answered without asking anybody first.
func (s *session) servable() bool { return s.stateHolds() && s.state.reason == "" }

// bypass counts statements that go to Postgres for a reason.
func (s *session) bypass(reason string, statements int) {
	for range statements {
		s.server.counters.bypass(reason)
	}
}

// handleQuery answers a simple Query or passes it on.
func (s *session) handleQuery(unit []byte) error {
	reason := s.obstacle()
	text, rest, ok := protocol.CutString(unit[protocol.HeaderLength:])
	malformed := !ok || len(rest) > 0
	switch {
	case reason != "":
	case malformed:
		reason = reasons.Malformed
	case s.talk.groupOpen:
		reason = reasons.OpenGroup
	}
	if reason != "" && (malformed || !s.block.Held) {
		s.bypass(reason, 1)
		if s.withholds(reason) {
			s.noteWithheld(string(text), nil)
		}
		return s.forwardQuery(unit, false, nil)
	}
	if reason == "" && s.servable() {
		s.key = appendKey(s.key[:0], &s.state.id, shapeSimple, nil, text)
		if entry := s.lookup(); entry != nil {
			return s.answerQuery(entry, HitL1)
		}
	}
	return s.obtainQuery(unit, string(text), reason)
}

// obtainQuery is the slow path of handleQuery. reason, unless empty, says why
// nothing but the end of a block can be answered.
func (s *session) obtainQuery(unit []byte, text, reason string) error {
	pass := func(reason string) error {
		s.bypass(reason, 1)
		return s.forwardQuery(unit, false, nil)
	}
	if tag, ok := s.perform(block.ParseControl(text), text); ok {
		s.statements.simpleQuery(answeredHere)
		s.out = s.appendReady(protocol.AppendComplete(s.out, tag))
		return s.limitOut()
	}
	if reason != "" {
		return pass(reason)
	}
	if name, ok := block.ParseDeallocate(text); ok {
		return s.forwardDeallocate(unit, name)
	}
	if reason := s.hopeless(text, nil); reason != "" {
		return pass(reason)
	}
	if s.spares(text, nil) {
		s.bypass(reasons.Spared, 1)
		return s.forwardQuery(unit, true, nil)
	}
	asks := !s.stateHolds()
	if reason := s.understand(); reason != "" {
		return pass(reason)
	}
	j := s.judge(text, nil)
	if j.reason != "" {
		return pass(j.reason)
	}
	r, ok := j.request(analysis.Params{Literals: j.literals})
	if !ok {
		return pass(reasons.Value)
	}
	s.key = appendKey(s.key[:0], &s.state.id, shapeSimple, nil, []byte(text))
	got := s.obtain(r)
	s.noteObtained(&got, asks)
	switch {
	case got.interrupted:
		return s.answerCancelled(true)
	case got.entry != nil:
		return s.answerQuery(got.entry, got.outcome)
	case got.capture != nil:
		s.server.counters.queries[Miss].Add(1)
	default:
		s.bypass(got.reason, 1)
	}
	return s.forwardQuery(unit, true, got.capture)
}

// answerQuery answers a simple Query from the cache.
func (s *session) answerQuery(entry *engine.Entry, how Outcome) error {
	a := entry.Payload.(*answer)
	s.server.counters.queries[how].Add(1)
	s.reading.reads++
	s.statements.simpleQuery(answeredHere)
	s.out = append(s.out, a.description...)
	if err := s.appendBody(a.body); err != nil {
		return err
	}
	s.out = s.appendReady(s.out)
	if err := s.keepAlive(); err != nil {
		return err
	}
	return s.limitOut()
}

// appendReady appends a ReadyForQuery, for a transaction that has not failed.
func (s *session) appendReady(dst []byte) []byte {
	if s.block.Held {
		return append(dst, protocol.ReadyInBlock...)
	}
	return append(dst, protocol.ReadyIdle...)
}

// answerCancelled says what Postgres says of a statement that its client
// cancelled.
func (s *session) answerCancelled(simple bool) error {
	s.server.counters.queries[Failed].Add(1)
	if simple {
		s.statements.simpleQuery(answeredHere)
	}
	s.out = append(s.out, cancelledResponse...)
	switch {
	case s.talk.groupOpen:
		return s.endOpenGroup()
	case s.block.Held:
		s.talk.failBlock(true)
		s.out = append(s.out, protocol.ReadyFailed...)
	default:
		s.out = append(s.out, protocol.ReadyIdle...)
	}
	return s.limitOut()
}

var cancelledResponse = protocol.ErrorResponse("ERROR", "57014", "canceling statement due to user request", "")

// appendBody gathers an answer's rows, or writes them from where they lie if
// they are many.
func (s *session) appendBody(body []byte) error {
	if len(body) <= bodyCopyMax {
		s.out = append(s.out, body...)
		return nil
	}
	if err := s.flushClient(); err != nil {
		return err
	}
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if s.talk.left.Load() {
		return errDone
	}
	_, err := s.client.Write(body)
	return err
}

func (s *session) limitOut() error {
	if len(s.out) < answersHeldMax {
		return nil
	}
	return s.flushClient()
}

// handleGroup answers a group that ends in Sync, or passes it on as a whole.
func (s *session) handleGroup(unit []byte) error {
	s.planGroup(unit)
	p := &s.plan
	reason := s.obstacle()
	if p.controls && (reason == "" || s.block.Held) {
		if handled, err := s.handleControl(unit); handled {
			return err
		}
	}
	if reason == "" && p.keepsSettings {
		s.beCertain(unit)
	}
	if reason == "" {
		reason = p.reason
	}
	if reason == "" {
		reason = s.checkNames(unit)
	}
	switch {
	case reason != "":
		s.bypass(reason, p.executions)
		if s.withholds(reason) && len(p.wants) == 1 && p.reason == "" {
			statement := p.wants[0].prepared.statement
			s.noteWithheld(statement.sql, statement.paramTypes)
		}
		return s.forwardGroup(unit, p.runsNothing())
	case len(p.wants) == 0:
		return s.forwardGroup(unit, true)
	}
	if reason := s.refusedAny(); reason != "" {
		s.bypass(reason, p.executions)
		return s.forwardGroup(unit, p.runsNothing())
	}
	if s.servable() && s.holds() && s.readsAllNow() && s.lookupAll() {
		return s.answerGroup(unit, HitL1)
	}
	return s.obtainGroup(unit)
}

// refusedAny is why a statement of the group was refused before, empty if none was.
func (s *session) refusedAny() string {
	for i := range s.plan.wants {
		if reason := s.refusedBefore(s.plan.wants[i].prepared.statement); reason != "" {
			return reason
		}
	}
	return ""
}

// lookupAll finds what a group wants in this process's memory, all or nothing.
func (s *session) lookupAll() bool {
	s.plan.toldOf = nil
	for i := range s.plan.wants {
		w := &s.plan.wants[i]
		s.keyOf(w)
		if entry := s.lookup(); entry == nil || !s.takes(w, entry) {
			return false
		}
	}
	return true
}

// obtainGroup is the slow path of handleGroup.
func (s *session) obtainGroup(unit []byte) error {
	p := &s.plan
	pass := func(reason string) error {
		s.bypass(reason, p.executions)
		return s.forwardGroup(unit, p.runsNothing())
	}
	for i := range p.wants {
		prepared := p.wants[i].prepared
		if prepared.noticed.Load() {
			return pass(reasons.Noticed)
		}
		if reason := s.refused(prepared.statement); reason != "" {
			return pass(reason)
		}
	}
	if len(p.wants) == 1 {
		if statement := p.wants[0].prepared.statement; !statement.keepsSettings && s.spares(statement.sql, statement.paramTypes) {
			s.bypass(reasons.Spared, p.executions)
			return s.forwardGroup(unit, true)
		}
	}
	asks := !s.stateHolds()
	if reason := s.understand(); reason != "" {
		return pass(reason)
	}
	if !s.readsAllNow() {
		return pass(reasons.ParsedUnder)
	}
	requests := make([]request, 0, len(p.wants))
	for i := range p.wants {
		r, reason := s.requestOf(&p.wants[i])
		if reason != "" {
			return pass(reason)
		}
		requests = append(requests, r)
	}
	if !s.holds() {
		s.bypass(reasons.Revalidated, p.executions)
		return s.forwardGroup(unit, true)
	}
	if reason := s.renewPlans(requests); reason != "" {
		return pass(reason)
	}
	if len(requests) > 1 {
		return s.obtainMany(unit, requests)
	}
	w := &p.wants[0]
	p.toldOf = nil
	s.keyOf(w)
	got := s.obtain(requests[0])
	s.noteObtained(&got, asks)
	switch {
	case got.interrupted:
		return s.answerCancelled(false)
	case got.entry != nil && s.takes(w, got.entry):
		return s.answerGroup(unit, got.outcome)
	case got.entry != nil:
		got.reason = reasons.Revalidated
	}
	w.capture = got.capture
	if got.capture == nil {
		s.bypass(got.reason, p.executions)
	} else {
		s.server.counters.queries[Miss].Add(uint64(p.executions))
	}
	return s.forwardGroup(unit, true)
}

// obtainMany serves a group that wants more than one answer: all from the tiers,
// or all from Postgres. It waits for nobody's load: two sessions that each led a
// load that the other waits for would wait for ever.
func (s *session) obtainMany(unit []byte, requests []request) error {
	p := &s.plan
	if s.prove(nil) {
		if how, ok := s.fetchAll(); ok {
			return s.answerGroup(unit, how)
		}
	}
	for i := range p.wants {
		s.keyOf(&p.wants[i])
		if start, ok := s.label(); ok {
			p.wants[i].capture = s.beginCapture(requests[i], start, nil)
		}
	}
	s.server.counters.queries[Miss].Add(uint64(p.executions))
	return s.forwardGroup(unit, true)
}

// fetchAll finds what a group wants in memory or in Redis, all or nothing, and
// says where the farthest was found.
func (s *session) fetchAll() (how Outcome, ok bool) {
	c := s.server.cache
	s.plan.toldOf = nil
	for i := range s.plan.wants {
		w := &s.plan.wants[i]
		s.keyOf(w)
		entry := s.lookup()
		if entry == nil {
			got := s.served(c.Fetch(s.ctx, s.key, c.Hash(s.key), decodeAnswer))
			entry, how = got.entry, max(how, got.outcome)
		}
		if entry == nil || !s.takes(w, entry) {
			return 0, false
		}
	}
	return how, true
}

// keyOf makes s.key that of a want.
func (s *session) keyOf(w *want) {
	s.key = w.appendKey(s.key[:0], &s.state.id, s.toldBefore(w))
}

// requestOf judges one want.
func (s *session) requestOf(w *want) (request, string) {
	statement := w.prepared.statement
	j := s.judge(statement.sql, statement.paramTypes)
	if j.reason != "" {
		return request{}, j.reason
	}
	if w.describes {
		return request{slot: j.slot, tags: schemaTags(j.verdict)}, ""
	}
	values, ok := boundValues(w.bound)
	if !ok {
		return request{}, reasons.Value
	}
	r, ok := j.request(analysis.Params{Bound: values, Literals: j.literals})
	if !ok {
		return request{}, reasons.Value
	}
	r.prepared = !w.parsed
	return r, ""
}

// request makes the wish for a statement's answer with these values; ok is false
// if they cannot be told.
func (j *judgement) request(p analysis.Params) (r request, ok bool) {
	tags, ok := tagsOf(j.verdict, p)
	return request{slot: j.slot, tags: tags, params: p, joins: j.verdict.Joins()}, ok
}

// endOpenGroup has Postgres end a group whose beginning it was sent, and whose
// rest was answered here.
func (s *session) endOpenGroup() error {
	if err := s.flushClient(); err != nil {
		return err
	}
	s.expectUnit(expect{kind: expectSync, harmless: true, showsNothing: true})
	return s.sendUpstream(syncMessage)
}

// answerGroup answers every message of a group; each want has its entry.
func (s *session) answerGroup(unit []byte, how Outcome) error {
	p := &s.plan
	wants := p.wants
	for kind, message := range protocol.Messages(unit) {
		switch kind {
		case 'P':
			s.out = append(s.out, protocol.ParseComplete...)
		case 'B':
			s.out = append(s.out, protocol.BindComplete...)
		case 'D':
			s.out = append(s.out, wants[0].entry.Payload.(*answer).description...)
			if message[protocol.HeaderLength] == 'S' {
				wants = wants[1:]
			}
		case 'E':
			if err := s.appendBody(wants[0].entry.Payload.(*answer).body); err != nil {
				return err
			}
			wants = wants[1:]
		case 'C':
			s.out = append(s.out, protocol.CloseComplete...)
		case 'S':
			if s.talk.groupOpen {
				if err := s.endOpenGroup(); err != nil {
					return err
				}
				break
			}
			s.out = s.appendReady(s.out)
		}
		if err := s.limitOut(); err != nil { // a group may ask for one answer very often
			return err
		}
	}
	s.noteTold()
	s.adoptUnnamed()
	s.noteUnseen()
	s.server.counters.queries[how].Add(uint64(p.executions))
	s.reading.reads += p.executions
	if err := s.keepAlive(); err != nil {
		return err
	}
	return s.limitOut()
}

// adoptUnnamed makes the unnamed statement what the group, answered here, leaves it.
func (s *session) adoptUnnamed() {
	p := &s.plan
	if p.unnamed == nil {
		return
	}
	p.unnamed = s.statements.adopt(p.unnamed, p.parsed)
	if p.parsed && !s.means(p.unnamed) {
		p.unnamed.meaning.Store(s.meaning())
	}
}
