package wire

import (
	"bytes"
	"encoding/binary"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// want is one answer that a unit asks for: that of a Query, the rows of a Bind and
// Execute, or the description of a statement.
type want struct {
	prepared *statements.Prepared
	// bound is the Bind message behind the names: formats, values, formats; or the text of
	// a Query.
	bound []byte
	// limit is the most rows that the Execute asks for, 0 for all of them.
	limit uint32
	// portal is the name of the portal that is bound, empty of the unnamed one, and closed is
	// set if the unit closes it behind its Execute.
	portal []byte
	closed bool
	// whole is set if the limit must not be reached: in a block the portal would stay, to be
	// read on.
	whole bool
	// described is set if the portal's description is asked for too.
	described bool
	// describes is set if it is the statement's description that is wanted.
	describes bool
	// parsed is set if the statement is parsed in the same unit.
	parsed bool
	// first is, in a part, the most rows that its first Execute asks for, 0 for all of them: the
	// answer is the whole one, whatever the client fetches of it. awaits is set if that Execute
	// has yet to come.
	first  uint32
	awaits bool

	// state names the settings of the application's own that the answer depends on, with the
	// session's state; settled is set with it. Otherwise the state alone is in the key.
	state   digest.Digest
	settled bool

	entry   *engine.Entry   // what it is answered with
	capture *answer.Capture // what it is captured into
	missed  engine.Cause    // what there was instead of an entry
	effect  *shapes.Effect  // what it may write, if understood has found that out
}

func (w *want) form() answer.Form {
	switch {
	case w.describes:
		return answer.Description
	case w.described && w.limit != 0:
		return answer.DescribedLimited
	case w.limit != 0:
		return answer.RowsLimited
	case w.described:
		return answer.Described
	default:
		return answer.Rows
	}
}

// plan is what a unit asks for: a Query, which has one want, or a group. It holds slices
// of the unit's bytes.
type plan struct {
	// simple is set if the unit is a Query. query is its statement, which has no name; it
	// is kept for the next one.
	simple bool
	query  *statements.Prepared
	// commands is set if the Query's text begins like one that handleCommand deals with.
	commands bool
	// reason, unless empty, says why the unit can be neither answered locally nor
	// captured.
	reason string
	// wants are in the order of the messages. requests, as many, are what they ask of the
	// tiers: set by judge.
	wants      []want
	requests   []request
	executions int
	// found is how many wants, from the first on, have their entry. lookupAll and fetchAll set
	// it.
	found int
	// understood is set by forward if all wants have their effect.
	understood bool
	// asked is set by understand if the session's state had to be asked for, or rests on an
	// assumption that takes a look.
	asked bool
	// binds is the number of portals that are made.
	binds int
	// controls is set if a control statement is among what is bound.
	controls bool
	// part is set if the unit ends in a Flush: its Sync has not come. freely is set if nothing of
	// it belongs to a block, so that its portals end with the Sync.
	part, freely bool
	// unnamed is the unnamed statement as the group leaves it.
	unnamed *statements.Prepared
	// parsed is set if the group parses unnamed.
	parsed bool
	// keepsSettings is set if a statement is parsed that settings of now will go on to
	// matter for.
	keepsSettings bool
	// named is set if the group uses a named statement that is known.
	named bool
	// told is what was told last of the statement toldOf, by the entries found so far.
	told   *description.Description
	toldOf *statements.Prepared
	// portal is the index in wants of the portal that is bound and not yet executed, -1 if
	// there is none.
	portal int
	// namesPortals is set if a portal with a name is bound or closed, asksPortals if one is
	// executed or described that the group has not bound. closesOnly is set if it closes
	// portals, and does nothing else.
	namesPortals, asksPortals, closesOnly bool
	// asksUnnamed is set if the portal without a name is executed or described that the group
	// has not bound, closesUnnamed if that is closed behind the last that it has bound.
	asksUnnamed, closesUnnamed bool
}

func (p *plan) refuse(reason string) {
	if p.reason == "" {
		p.reason = reason
	}
}

// runsNothing reports whether no code of a user's runs for the group. A Bind may
// run some, with no Execute behind it: planning calls functions to find out what
// they give, stable ones included. Parse and Describe analyse and rewrite alone.
func (p *plan) runsNothing() bool { return p.executions == 0 && p.binds == 0 }

// planQuery makes s.plan that of a Query with this text. Nothing else changes.
func (s *sending) planQuery(text []byte, wellFormed bool) {
	s.plan.readQuery(text, wellFormed, s.talk.MidGroup())
}

// planGroup reads the messages of a unit into s.plan. Nothing else changes.
func (s *sending) planGroup(unit []byte) {
	s.plan.readGroup(unit, &s.statements, s.meaning(), blockStanding{held: s.block.Held, inTransaction: s.inTransaction})
}

// readQuery makes the plan that of a Query with this text.
func (p *plan) readQuery(text []byte, wellFormed, midGroup bool) {
	p.readNothing()
	if p.query == nil {
		p.query = &statements.Prepared{Statement: &statements.Statement{}}
	}
	sql := string(text)
	statement := statements.Statement{SQL: sql, Control: block.ParseControl(sql)}
	*p.query.Statement = statement // nothing is left of the one before
	p.simple, p.executions = true, 1
	p.commands, p.controls = block.MayCommand(sql), statement.Control.Kind != block.None
	w := p.add()
	w.prepared, w.bound, w.parsed = p.query, text, true
	switch {
	case !wellFormed:
		p.refuse(reasons.Malformed)
	case midGroup:
		p.refuse(reasons.OpenGroup)
	}
}

// readNothing makes the plan that of a unit which is not looked into: a function call, or a message
// longer than the buffer.
func (p *plan) readNothing() {
	query, wants, requests := p.query, p.wants[:0], p.requests[:0]
	*p = plan{}
	p.query, p.wants, p.requests, p.portal = query, wants, requests, -1
}

// add adds a want with nothing in it, to be filled where it lies: to copy it would take a hit longer.
func (p *plan) add() *want {
	if len(p.wants) == cap(p.wants) {
		p.wants = append(p.wants, want{})
	} else {
		p.wants = p.wants[:len(p.wants)+1]
		p.wants[len(p.wants)-1] = want{}
	}
	return &p.wants[len(p.wants)-1]
}

// blockStanding is which block the client is in: one that is held back, one that Postgres knows
// of, or none.
type blockStanding struct{ held, inTransaction bool }

// readGroup makes the plan that of a group, or of a part of one. What it asks for depends on
// more than its bytes: on the statements that the client has, on what a text means now, nil
// if that is not known, and on the block that the client is in.
func (p *plan) readGroup(unit []byte, known *statements.Set, now *statements.Meaning, in blockStanding) {
	p.readNothing()
	p.unnamed, p.part = known.Unnamed(), endsInFlush(unit)
	p.freely = p.part && !in.held && !in.inTransaction
	flushed, others := false, false
	for kind, message := range protocol.Messages(unit) {
		body := message[protocol.HeaderLength:]
		switch kind {
		case 'P':
			p.readParse(message, body, known, now)
		case 'B':
			p.readBind(body, known, in)
		case 'D':
			p.readDescribe(body, known)
		case 'E':
			p.readExecute(body, in)
		case 'C':
			p.readClose(body)
		case 'H':
			flushed = true // with its Sync all is there at once
		case 'S':
			flushed = false
			if len(body) > 0 {
				p.refuse(reasons.Malformed)
			}
		}
		others = others || kind != 'C' && kind != 'H' && kind != 'S'
	}
	p.closesOnly = p.namesPortals && !others && p.reason == "" && !p.part
	if flushed && (!p.part || p.controls) {
		p.refuse(reasons.OpenGroup)
	}
	if p.freely && p.portal >= 0 {
		p.wants[p.portal].awaits = true
		p.portal = -1
	}
	p.leavePortal()
}

// leavePortal notes that the portal which is bound will not be executed: its want would be
// taken for that of the next Execute.
func (p *plan) leavePortal() {
	if p.portal >= 0 {
		p.refuse(reasons.PortalReused)
	}
	p.portal = -1
}

func (p *plan) readParse(message, body []byte, known *statements.Set, now *statements.Meaning) {
	name, rest, ok := protocol.CutString(body)
	if !ok {
		p.refuse(reasons.UnknownStatement)
		return
	}
	statement, ok := known.Intern(rest)
	p.keepsSettings = p.keepsSettings || ok && statement.KeepsSettings
	if len(name) > 0 {
		p.refuse(reasons.UnknownStatement) // a named one is sent at once, so that SQL can name it too
		return
	}
	p.parsed = true
	if !ok {
		p.refuse(reasons.UnknownStatement)
		p.unnamed = nil
		return
	}
	if u := p.unnamed; u != nil && u.Statement == statement && !u.Failed.Load() && u.Means(now) && known.ReadsNow(u) {
		return
	}
	p.unnamed = &statements.Prepared{Statement: statement, Parse: append([]byte(nil), message...)}
}

// prepared returns the statement of a name, as the group has left it so far. A
// named statement counts only when Postgres has acknowledged it.
func (p *plan) prepared(name []byte, known *statements.Set) *statements.Prepared {
	if len(name) == 0 {
		if u := p.unnamed; u != nil && !u.Failed.Load() {
			return u
		}
		return nil
	}
	if named := known.Named(name); named != nil && named.Accepted.Load() {
		p.named = true
		return named
	}
	return nil
}

func (p *plan) readBind(body []byte, known *statements.Set, in blockStanding) {
	p.binds++
	portal, rest, ok1 := protocol.CutString(body)
	name, rest, ok2 := protocol.CutString(rest)
	prepared := p.prepared(name, known)
	switch {
	case !ok1 || !ok2 || len(portal) > 0 && (in.inTransaction || p.binds > portalsMax):
		p.refuse(reasons.NamedPortal)
	case prepared == nil || prepared.Statement == nil:
		p.refuse(reasons.UnknownStatement)
	case p.portal >= 0 || len(portal) > 0 && p.boundAs(portal) != nil:
		p.refuse(reasons.PortalReused)
	default:
		p.controls = p.controls || prepared.Statement.Control.Kind != block.None
	}
	p.namesPortals = p.namesPortals || len(portal) > 0
	p.closesUnnamed = p.closesUnnamed && len(portal) > 0
	p.portal = len(p.wants)
	w := p.add()
	w.prepared, w.bound, w.portal, w.parsed = prepared, rest, portal, p.parsed && len(name) == 0
}

// boundAs returns the want of a portal that the group has bound under a name and not closed,
// nil if there is none.
func (p *plan) boundAs(portal []byte) *want {
	for i := range p.wants {
		if w := &p.wants[i]; !w.closed && !w.describes && bytes.Equal(w.portal, portal) {
			return w
		}
	}
	return nil
}

// atHand reports whether a portal is the one that is bound and not yet executed.
func (p *plan) atHand(portal []byte) bool {
	return p.portal >= 0 && bytes.Equal(p.wants[p.portal].portal, portal)
}

func (p *plan) readClose(body []byte) {
	name, rest, ok := protocol.CutString(body[min(1, len(body)):])
	switch {
	case len(body) == 0 || body[0] != 'P' || !ok || len(rest) > 0:
		p.refuse(reasons.NamedPortal)
	case p.atHand(name):
		p.leavePortal()
	case len(name) == 0:
		p.closesUnnamed = true
	default:
		p.namesPortals = true
		if w := p.boundAs(name); w != nil {
			w.closed = true
		}
	}
}

func (p *plan) readDescribe(body []byte, known *statements.Set) {
	if len(body) < 2 {
		p.refuse(reasons.UnknownStatement)
		return
	}
	name, rest, ok := protocol.CutString(body[1:])
	switch {
	case !ok || len(rest) > 0 || body[0] != 'P' && body[0] != 'S':
		p.refuse(reasons.Malformed)
		return
	case body[0] == 'P' && p.atHand(name) && !p.wants[p.portal].described:
		p.wants[p.portal].described = true
	case body[0] == 'P':
		p.asksPortals = true
		p.asksUnnamed = p.asksUnnamed || len(name) == 0 && p.boundAs(name) == nil
		p.refuse(reasons.NamedPortal)
	default:
		prepared := p.prepared(name, known)
		if prepared == nil || prepared.Statement == nil || p.portal >= 0 {
			p.refuse(reasons.UnknownStatement)
		}
		w := p.add()
		w.prepared, w.describes, w.parsed = prepared, true, p.parsed && len(name) == 0
	}
}

// readExecute accepts the one Execute of the portal just bound. With a row limit
// the portal may be left suspended, but not for long: the Sync of the group ends
// it, and another Execute before that is refused. In a block it outlives the Sync: there
// the answer has to be the whole one.
func (p *plan) readExecute(body []byte, in blockStanding) {
	p.executions++
	portal, rest, ok := protocol.CutString(body)
	switch {
	case !ok || len(rest) != 4:
		p.refuse(reasons.Malformed)
	case !p.atHand(portal) && len(portal) > 0:
		p.asksPortals = true
		p.refuse(reasons.NamedPortal)
	case !p.atHand(portal):
		p.asksUnnamed = p.asksUnnamed || p.boundAs(portal) == nil
		p.refuse(reasons.PortalReused)
	case in.inTransaction && binary.BigEndian.Uint32(rest) != 0:
		p.refuse(reasons.RowLimit)
	case p.freely:
		p.wants[p.portal].first = binary.BigEndian.Uint32(rest)
	default:
		w := &p.wants[p.portal]
		w.limit = binary.BigEndian.Uint32(rest)
		w.whole = in.held && w.limit != 0
	}
	p.portal = -1
}
