package wire

import (
	"encoding/binary"
	"strconv"

	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// A portal shows what was committed when it was bound, however late its rows are fetched. One
// that a part has bound, and that is answered, is read on here, by the entry that was good for its
// Bind. It ends with its Sync, as in Postgres: in a block it would not, and so there no portal
// is answered that may be read on.
//
//  1. Bind and Describe of a portal are answered, with an entry at hand;
//  2. another client's commit ends the entry;
//  3. the client executes the portal: Postgres would show the row of 1, and so does the entry.
//
// And a load of such a portal is labelled as of its Bind:
//
//  1. Bind goes to Postgres, which takes the portal's snapshot;
//  2. another client's commit is received, and is in the head;
//  3. the client executes the portal, and the answer is captured.
//
// A label taken at 3 would have the row of 1 served for good. Forced by
// TestPortalShowsWhatItWasBoundTo.
//
// What is sent meanwhile may ask for such a portal in a way that only Postgres can answer, by
// SQL or in a message of several: then Postgres is given it first, unseen, and read up to where
// the client is. (TestSidecarAnswersAsPostgresDoes, portals of parts)

// ahead is what was answered of a group whose Sync has not come yet, outside of blocks. end
// resets it.
type ahead struct {
	// answered is set by answerGroup if a part was answered, in a block too.
	answered bool
	// portals are the client's that Postgres has not.
	portals []portalAhead
	// bound is the read that Postgres has bound for the last part that was sent.
	bound boundRead
}

// portalAhead is a portal that is read here.
type portalAhead struct {
	portal
	// description is its RowDescription, empty if it was not asked for.
	description []byte
	// left is what was not fetched yet: rows and the CommandComplete, nil behind that.
	left []byte
	// fetched is how many rows were.
	fetched uint32
}

// boundRead is a portal that Postgres has, of a statement that is known to read alone.
type boundRead struct {
	is      bool
	name    string
	capture *answer.Capture // of its answer, fetched in however many portions
	reason  string          // that it is not captured for
}

// end forgets all: the group has ended.
func (a *ahead) end() {
	if a.answered || len(a.portals) > 0 || a.bound.is {
		clear(a.portals)
		*a = ahead{portals: a.portals[:0]}
	}
}

// any reports whether there are portals that SQL could find, or that have rows left.
func (a *ahead) any() bool {
	for i := range a.portals {
		if p := &a.portals[i]; p.name != "" || p.left != nil {
			return true
		}
	}
	return false
}

func (a *ahead) find(name []byte) *portalAhead {
	for i := range a.portals {
		if a.portals[i].name == string(name) {
			return &a.portals[i]
		}
	}
	return nil
}

// add notes that the portal of a want is answered with a body.
func (a *ahead) add(w *want, body []byte) *portalAhead {
	a.forget(w.portal)
	p := portalAhead{portal: portal{string(w.portal), w.prepared.Statement, append([]byte(nil), w.bound...)}, left: body}
	if w.described {
		p.description = w.entry.Payload.(*answer.Answer).Description
	}
	a.portals = append(a.portals, p)
	return &a.portals[len(a.portals)-1]
}

// captureOf returns the capture that an Execute of the bound read contributes to, nil if the
// Execute is another.
func (a *ahead) captureOf(body []byte) *answer.Capture {
	if a.bound.capture == nil || !executes(body, []byte(a.bound.name)) {
		return nil
	}
	return a.bound.capture
}

// continues reports whether a unit does nothing but fetch rows of the bound read, or close it.
func (a *ahead) continues(unit []byte) bool {
	if !a.bound.is {
		return false
	}
	name, fetches := []byte(a.bound.name), false
	for kind, message := range protocol.Messages(unit) {
		body := message[protocol.HeaderLength:]
		switch kind {
		case 'E':
			fetches = true
			if !executes(body, name) {
				return false
			}
		case 'C', 'D':
			if !describes(body, name) {
				return false
			}
		case 'H', 'S':
			if len(body) > 0 {
				return false
			}
		default:
			return false
		}
	}
	return fetches
}

func (a *ahead) forget(name []byte) {
	for i := range a.portals {
		if a.portals[i].name == string(name) {
			a.portals = append(a.portals[:i], a.portals[i+1:]...)
			return
		}
	}
}

// close forgets the portal that a Close is of.
func (a *ahead) close(body []byte) {
	if len(body) > 0 && body[0] == 'P' {
		name, _, _ := protocol.CutString(body[1:])
		a.forget(name)
		a.unbind(name)
	}
}

// rebind forgets the portal without a name, if a Bind is of that.
func (a *ahead) rebind(body []byte) {
	if len(body) > 0 && body[0] == 0 {
		a.forget(nil)
		a.unbind(nil)
	}
}

func (a *ahead) unbind(name []byte) {
	if a.bound.name == string(name) {
		a.bound = boundRead{}
	}
}

// mayReadOn reports whether a unit does nothing but read on portals that were answered, or end
// a group that was.
func (a *ahead) mayReadOn(unit []byte) bool {
	if !a.answered {
		return false
	}
	closed := false
	for kind, message := range protocol.Messages(unit) {
		body := message[protocol.HeaderLength:]
		ok := false
		switch kind {
		case 'E':
			name, rest, whole := protocol.CutString(body)
			ok = whole && len(rest) == 4 && !closed && a.find(name) != nil
		case 'D', 'C':
			if len(body) == 0 || body[0] != 'P' {
				return false
			}
			name, rest, whole := protocol.CutString(body[1:])
			p := a.find(name)
			ok = whole && len(rest) == 0 && !closed && p != nil && (kind == 'C' || len(p.description) > 0)
			closed = closed || kind == 'C'
		case 'H', 'S':
			ok = len(body) == 0
		}
		if !ok {
			return false
		}
	}
	return true
}

// readOn answers such a unit.
func (s *session) readOn(unit []byte) error {
	for kind, message := range protocol.Messages(unit) {
		body := message[protocol.HeaderLength:]
		var err error
		switch kind {
		case 'E':
			name, rest, _ := protocol.CutString(body)
			err = s.appendPortion(s.ahead.find(name), binary.BigEndian.Uint32(rest))
		case 'D':
			name, _, _ := protocol.CutString(body[1:])
			s.out = append(s.out, s.ahead.find(name).description...)
		case 'C':
			s.ahead.close(body)
			s.out = append(s.out, protocol.CloseComplete...)
		case 'S':
			if s.talk.MidGroup() {
				err = s.endOpenGroup()
			} else {
				s.out = s.appendReady(s.out)
			}
		}
		if err == nil {
			err = s.limitOut()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// appendPortion gathers the next rows of a portal, at most limit of them, or all that are left
// if that is 0. Like Postgres it finds out that there are no more rows when it is asked for
// them, and counts those that it has shown last.
func (s *session) appendPortion(p *portalAhead, limit uint32) error {
	if limit == 0 && p.fetched == 0 && p.left != nil {
		rows := p.left
		p.left = nil
		return s.appendBody(rows)
	}
	rows, n := uint32(0), 0
	for kind, message := range protocol.Messages(p.left) {
		if kind != 'D' {
			break
		}
		rows++
		n += len(message)
		if rows == limit {
			break
		}
	}
	portion := p.left[:n]
	p.fetched += rows
	if suspended := limit > 0 && rows == limit; suspended {
		p.left = p.left[n:]
		if err := s.appendBody(portion); err != nil {
			return err
		}
		s.out = append(s.out, protocol.PortalSuspended...)
		return nil
	}
	p.left = nil
	if err := s.appendBody(portion); err != nil {
		return err
	}
	s.out = protocol.AppendComplete(s.out, "SELECT "+strconv.FormatUint(uint64(rows), 10))
	return nil
}

// makeAhead has Postgres make the portals that were answered, unseen, and read them as far as
// the client has. An error is the client's: its group has failed.
func (s *sending) makeAhead() error {
	for i := range s.ahead.portals {
		p := &s.ahead.portals[i]
		if err := s.remake(&p.portal, p.fetched > 0 || p.left == nil, p.rowsFetched(), false); err != nil {
			return err
		}
	}
	s.ahead.portals = s.ahead.portals[:0]
	return nil
}

// rowsFetched is what an Execute is to ask for so that the portal is as far as here: 0 for all.
func (p *portalAhead) rowsFetched() uint32 {
	if p.left == nil {
		return 0
	}
	return p.fetched
}

// remake has Postgres make a portal, unseen, and fetch rows of it; quiet hides its errors too.
func (s *sending) remake(p *portal, fetch bool, rows uint32, quiet bool) error {
	unseen := func(e conversation.Expectation, message []byte) error {
		e.Hidden, e.Quiet, e.Effect = true, quiet, shapes.NoEffect
		s.talk.Owe(e)
		return s.sendUpstream(message)
	}
	parsed := conversation.Expectation{Kind: conversation.Parse, Prepared: &statements.Prepared{}, Change: &statements.Change{}}
	if err := unseen(parsed, p.parse()); err != nil {
		return err
	}
	if err := unseen(conversation.Expectation{Kind: conversation.Bind}, p.bind()); err != nil {
		return err
	}
	if fetch {
		limit := binary.BigEndian.AppendUint32([]byte{0}, rows)
		if err := unseen(conversation.Expectation{Kind: conversation.Execute}, protocol.AppendMessage(nil, 'E', []byte(p.name), limit)); err != nil {
			return err
		}
	}
	return unseen(conversation.Expectation{Kind: conversation.Close}, openingForgot)
}
