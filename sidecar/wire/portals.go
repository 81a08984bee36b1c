package wire

import (
	"bytes"
	"encoding/binary"

	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// Drivers give their portals names, and a limit of rows to read them by: pg8000 always, JDBC
// with a fetch size. Outside of a transaction such a portal ends with its Sync, as an unnamed
// one does. Only a cursor WITH HOLD can have its name already, and the Bind would fail then: so
// a session that names portals asks in its probes whether it has such cursors, and what may
// make one soils it as what changes a setting does.
//
// In a block whose BEGIN is held back, a portal outlives its Sync. One that was read to its end
// has nothing left to show, but it is there, until the client closes it or the block ends: it
// cannot be bound again, a FETCH finds it empty, and its table cannot be altered:
//
//  1. BEGIN is held back, and a read by the portal p is answered from the cache;
//  2. the client sends ALTER TABLE, which Postgres refuses while a portal reads the table.
//
// So a portal that was answered here is remembered, and made in Postgres before anything else
// is sent for the block; drivers close theirs before. Its statement is executed anew, unseen.
// With a savepoint or a setting in between, the block is opened, so that all portals come behind
// what is held back with BEGIN. Forced by TestSidecarAnswersAsPostgresDoes (named portals left
// in a transaction). The portal without a name outlives its Sync too, until it is bound again.
//
// A portal that is left suspended is never answered in a block, since what comes next would
// not be: with a limit, the read runs in its transaction, and is answered from then on if it
// came to its end. (TestSidecarAnswersAsPostgresDoes, a limit that is reached in a transaction)

// portalsMax bounds the portals that are remembered of a block, those of a group that names some,
// and those of parts: with one more, Postgres makes them all.
const portalsMax = 8

// portal is one of a block that is held back which the client has and Postgres has not.
type portal struct {
	name      string
	statement *statements.Statement
	bound     []byte // its Bind behind the names
}

// portals are those of a block that is held back which were answered outside of it.
// open makes them in Postgres, and perform forgets them when the block ends.
type portals struct {
	list []portal // the named ones
	// unnamed is the one without a name, as the last group left it. Its statement is nil if
	// there is none: a Query and a control statement end it. It is made only for who asks for
	// it without binding it, which drivers do not.
	unnamed portal
}

// any reports whether there are named ones.
func (p *portals) any() bool { return len(p.list) > 0 }

func (p *portals) forget() {
	p.list = nil
	p.forgetUnnamed()
}

func (p *portals) forgetUnnamed() { p.unnamed.statement = nil }

// due are the portals that are to be made before a unit that has this plan.
func (p *portals) due(of *plan) []portal {
	if of.asksUnnamed && p.unnamed.statement != nil {
		return append(p.list[:len(p.list):len(p.list)], p.unnamed)
	}
	return p.list
}

func (p *portals) find(name []byte) int {
	for i := range p.list {
		if p.list[i].name == string(name) {
			return i
		}
	}
	return -1
}

func (p *portals) add(name []byte, statement *statements.Statement, bound []byte) {
	p.list = append(p.list, portal{string(name), statement, bytes.Clone(bound)})
}

// close forgets the portal that a Close is of, if it is one of them.
func (p *portals) close(body []byte) {
	name, _, _ := protocol.CutString(body[min(1, len(body)):])
	if i := p.find(name); i >= 0 && body[0] == 'P' {
		p.list = append(p.list[:i], p.list[i+1:]...)
	}
}

// closeFirst forgets the portals that a unit begins by closing.
func (p *portals) closeFirst(unit []byte) {
	for kind, message := range protocol.Messages(unit) {
		if !p.any() || kind != 'C' {
			return
		}
		p.close(message[protocol.HeaderLength:])
	}
}

// take remembers the portals of a plan that stay behind its group, which is answered, or runs
// outside of the block.
func (p *portals) take(of *plan) {
	for i := range of.wants {
		w := &of.wants[i]
		switch {
		case w.describes:
		case len(w.portal) > 0 && !w.closed:
			p.add(w.portal, w.prepared.Statement, w.bound)
		case len(w.portal) == 0:
			p.unnamed.statement, p.unnamed.bound = w.prepared.Statement, append(p.unnamed.bound[:0], w.bound...)
		}
	}
	if of.closesUnnamed {
		p.forgetUnnamed()
	}
}

// describes reports whether a Describe is of the portal of this name.
func describes(body, name []byte) bool {
	return len(body) == len(name)+2 && body[0] == 'P' && body[len(body)-1] == 0 && bytes.Equal(body[1:len(body)-1], name)
}

// executes reports whether an Execute is of the portal of this name.
func executes(body, name []byte) bool {
	return len(body) == len(name)+5 && body[len(name)] == 0 && bytes.HasPrefix(body, name)
}

// portalsFree reports whether Postgres has no portal with a name, as far as is known without
// asking it.
func (u *understanding) portalsFree() bool {
	return !u.talk.MidGroup() && !u.inTransaction && u.known.BaseHolds() && u.known.Base().Cursors == probe.NoCursors
}

// mayNamePortals reports whether the portals of the plan may be bound, as far as is known without
// asking anybody.
func (s *sending) mayNamePortals() bool {
	return !s.plan.namesPortals || s.portalsFree() && s.fitsPortals()
}

// fitsPortals reports whether the plan binds no portal that the client has, nor too many.
func (s *sending) fitsPortals() bool {
	n := len(s.portals.list) + len(s.ahead.portals)
	for i := range s.plan.wants {
		if name := s.plan.wants[i].portal; len(name) > 0 {
			if n++; s.portals.find(name) >= 0 || s.ahead.find(name) != nil {
				return false
			}
		}
	}
	return n <= portalsMax
}

// askPortals finds out whether the portals of the plan may be bound, and says why not.
func (s *sending) askPortals() string {
	if !s.plan.namesPortals {
		return ""
	}
	if s.behind {
		return reasons.Pipelined
	}
	s.namesPortals = true
	if s.known.BaseHolds() && s.known.Base().Cursors == probe.CursorsNotAsked {
		if reason := s.refreshState(); reason != "" {
			return reason
		}
	}
	if !s.mayNamePortals() {
		return reasons.NamedPortal
	}
	return ""
}

// mayHoldAs reports whether a control statement may be held back that is executed by a portal of
// this name: it is of a kind whose portal can be made again, or ends with it.
func (s *sending) mayHoldAs(name []byte, c *block.Control) bool {
	if len(name) == 0 {
		return true
	}
	ends := s.block.Held && (c.Kind == block.Commit || c.Kind == block.Rollback) && !c.Chain
	if !ends && (s.block.Held || c.Kind != block.Begin) {
		return false
	}
	if base := s.known.Base(); s.db.shared.Load() || base != nil && base.Reason != "" {
		return false
	}
	s.namesPortals = true
	if !ends && !s.inTransaction && (!s.known.BaseHolds() || s.known.Base().Cursors == probe.CursorsNotAsked) && s.refreshState() != "" {
		return false
	}
	return s.portalsFree() && s.portals.find(name) < 0
}

// remakePortals has Postgres make the portals of the block that has just begun, unseen, and read
// them to their end. Where one fails, so does the transaction.
func (s *sending) remakePortals(list []portal) error {
	if len(list) == 0 {
		return nil
	}
	for i := range list {
		if err := s.remake(&list[i], true, 0, true); err != nil {
			return err
		}
	}
	s.expectUnit(conversation.Expectation{Kind: conversation.Sync, Hidden: true, Quiet: true, Harmless: true, ShowsNothing: true})
	return s.sendUpstream(syncMessage)
}

// parse is a Parse of the portal's statement, by the name of what begins a block.
func (p *portal) parse() []byte {
	types := binary.BigEndian.AppendUint16(nil, uint16(len(p.statement.ParamTypes)))
	for _, oid := range p.statement.ParamTypes {
		types = binary.BigEndian.AppendUint32(types, oid)
	}
	return protocol.AppendMessage(nil, 'P', openingParsed, []byte(p.statement.SQL), []byte{0}, types)
}

// bind is a Bind of the portal to that statement.
func (p *portal) bind() []byte {
	return protocol.AppendMessage(nil, 'B', []byte(p.name), []byte{0}, openingParsed, p.bound)
}
