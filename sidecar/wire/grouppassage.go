package wire

import (
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// groupPassage is a group on its way to Postgres, message by message.
type groupPassage struct {
	*sending
	// onlyReads is set if the group does nothing but read, harmless if it leaves the session's
	// settings, and its names of statements, as they are, understood if each want has its effect.
	onlyReads, harmless, understood bool
	// settled is set if Postgres owed nothing before the group: the names that it binds are those
	// of statements that are there.
	settled bool
	// meaning is what a text means, nil where that is not certain: behind the first message that
	// may change it.
	meaning *statements.Meaning
	// wants are those whose last message has not been sent.
	wants []want
	// parsed is the statement that was parsed last.
	parsed *statements.Prepared
	// portal is the name of the portal that was bound last, and writes what its execution may
	// write, nil if that is not known.
	portal []byte
	writes *shapes.Effect
}

// forwardGroup sends extended messages upstream, with the captures that the
// plan's wants hold. Statements that the client believes to be there, because
// their Parse was answered from what is known, are sent before they are needed.
func (s *sending) forwardGroup(unit []byte, harmless bool) error {
	g := groupPassage{
		sending: s, meaning: s.certain(), settled: !s.talk.MidGroup() && !s.talk.Owed(),
		onlyReads: harmless, understood: s.plan.understood,
	}
	g.harmless = harmless || g.understood && !s.reads.Bounded()
	if g.onlyReads {
		g.writes = shapes.NoEffect
	}
	if err := g.clearTheWay(unit); err != nil {
		return err
	}
	g.wants = s.plan.wants
	ended := false
	for kind, message := range protocol.Messages(unit) {
		if err := g.forwardMessage(kind, message); err != nil {
			return err
		}
		ended = ended || kind == 'S'
	}
	if !ended {
		s.talk.LeaveOpen(g.harmless, s.plan.executions > 0)
	}
	return nil
}

// clearTheWay sends, and notes, what has to come before the group.
func (g *groupPassage) clearTheWay(unit []byte) error {
	g.portals.closeFirst(unit)
	if !g.harmless {
		g.noteMayChange()
	}
	outside := g.outsideBlock(unit)
	if kind, _ := protocol.NextUnit(unit); !g.harmless || kind != protocol.UnitGroup || g.block.Held && !outside {
		if err := g.catchUpInBlock(); err != nil {
			return err
		}
	}
	if g.block.Held && !outside {
		if _, err := g.openFor(unit); err != nil {
			return err
		}
	}
	if g.block.Held {
		g.portals.take(&g.plan)
	}
	if !g.onlyReads {
		g.ahead.bound = boundRead{}
	}
	if !g.onlyReads || g.plan.asksPortals || g.plan.asksUnnamed {
		if err := g.makeAhead(); err != nil {
			return err
		}
	}
	g.db.counters.UpstreamQueries.Add(uint64(g.plan.executions))
	return g.provideShown(unit, g.plan.shownByExecuted())
}

// forwardMessage sends one message of the group.
func (g *groupPassage) forwardMessage(kind byte, message []byte) error {
	body := message[protocol.HeaderLength:]
	switch kind {
	case 'P':
		err := g.forwardParse(message, body, g.meaning)
		if name, _, ok := protocol.CutString(body); ok {
			g.parsed = g.statements.Named(name)
		}
		return err
	case 'B':
		return g.forwardPortal(message, body)
	case 'D':
		return g.forwardDescribe(message, body, g.meaning, &g.wants, g.portal)
	case 'E':
		g.talk.Owe(g.execution(body))
		if !g.harmless {
			g.meaning = nil
		}
	case 'C':
		g.portals.close(body)
		g.ahead.close(body)
		g.forwardClose(body)
	case 'S':
		g.expectUnit(conversation.Expectation{Kind: conversation.Sync, Harmless: g.harmless})
	}
	return g.sendUpstream(message)
}

// forwardPortal sends a Bind, and notes the portal that it makes.
func (g *groupPassage) forwardPortal(message, body []byte) error {
	switch {
	case g.understood:
		g.writes = g.wants[0].effect
	case !g.onlyReads:
		g.writes = nil
		if name, ok := protocol.StatementOfBind(body); ok && g.settled {
			g.writes = g.effectOfBound(g.statements.Named(name), g.parsed)
		}
	}
	g.portal, _, _ = protocol.CutString(body)
	g.ahead.rebind(body)
	err := g.forwardBind(message, body, g.meaning, g.wants, g.writes)
	if !g.harmless {
		g.meaning = nil // the statement was looked at before what its planning calls
		g.statements.MayExecute(g.statements.Bound())
	}
	return err
}

// execution is what Postgres will owe for an Execute.
func (g *groupPassage) execution(body []byte) conversation.Expectation {
	c := nextCapture(&g.wants, true)
	bound := g.statements.Bound()
	if c != nil && bound != nil && c.Form().DescribesNothing() {
		c.Told = &bound.Told
	}
	if c == nil {
		c = g.ahead.captureOf(body)
	}
	e := conversation.Expectation{Kind: conversation.Execute, Capture: c, Effect: g.writes}
	if !g.onlyReads && !executes(body, g.portal) {
		e.Effect = nil
	}
	if e.Effect != nil && bound != nil && bound.Statement != nil {
		e.Done = g.proven.proves(bound.Statement.Control)
	}
	return e
}
