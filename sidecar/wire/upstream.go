package wire

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// wholeMessageMax is the longest message, in bytes, that is waited for as a
// whole; of a longer one, each piece is passed on as it comes.
const wholeMessageMax = 8 << 10

// relayed is a message of which only a part has come yet.
type relayed struct {
	left    int // bytes still to come
	kind    byte
	capture *capture
	hidden  bool
}

// relayHeld passes on what Postgres has sent.
func (s *session) relayHeld() (more bool, err error) {
	held := s.fromUp.Held()
	if len(held) == 0 {
		return false, nil
	}
	// Who holds mu may find that nothing is owed any more: the client's turn to
	// be written to is taken before, so that these bytes stay ahead of it. Only in
	// this order, or a client that does not read would hold up those who need mu,
	// the follower among them.
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	n, shown := s.takeLocking(held)
	if len(shown) > 0 {
		if _, err := s.client.Write(shown); err != nil {
			return false, err
		}
	}
	if cap(shown) <= answersHeldMax && len(shown) > 0 && &shown[0] != &held[0] {
		s.show = shown
	}
	s.fromUp.Drop(n)
	return n < len(held) || s.partial.left > 0 || s.leaving, nil
}

// takeLocking is take, holding mu.
func (s *session) takeLocking(held []byte) (n int, shown []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take(held, &s.partial, s.show[:0])
}

// take deals with the messages in held: it reports how many bytes it took and
// what of them the client is to see, which is a part of held unless something
// in between is hidden; then it is gathered in scratch.
func (s *session) take(held []byte, partial *relayed, scratch []byte) (n int, shown []byte) {
	whole := true // everything so far is shown
	hide := func(upTo int) {
		if whole {
			scratch = append(scratch, held[:upTo]...)
			whole = false
		}
	}
	for n < len(held) {
		piece, kind, c, hidden := s.nextPiece(held[n:], partial)
		if len(piece) == 0 {
			break
		}
		if c != nil {
			c.add(kind, piece)
		}
		if hidden {
			hide(n)
			scratch = append(scratch, s.instead...)
			s.instead = nil
		} else if !whole {
			scratch = append(scratch, piece...)
		}
		n += len(piece)
	}
	s.mark()
	if s.pending.len() < pendingMax {
		s.room.Signal()
	}
	if whole {
		return n, held[:n]
	}
	return n, scratch
}

// nextPiece takes one message, or a piece of a long one, and notes what it
// means. An empty piece means that more must be read.
func (s *session) nextPiece(held []byte, partial *relayed) (piece []byte, kind byte, c *capture, hidden bool) {
	if partial.left > 0 {
		piece = held[:min(partial.left, len(held))]
		partial.left -= len(piece)
		return piece, partial.kind, partial.capture, partial.hidden
	}
	length := protocol.MessageLength(held)
	switch {
	case length == 0 && !s.confused:
		return nil, 0, nil, false
	case length < 0 || s.confused:
		s.confused = true
		return held, held[0], nil, false
	case length > len(held) && length <= s.waitedFor():
		return nil, 0, nil, false
	}
	message := held[:min(length, len(held))]
	c, hidden = s.note(message[0], message[protocol.HeaderLength:])
	if len(message) < length {
		*partial = relayed{left: length - len(message), kind: message[0], capture: c, hidden: hidden}
	}
	return message, message[0], c, hidden
}

// waitedFor is the longest message that is waited for as a whole. What the sidecar
// reads itself always is, if it fits into the buffer.
func (s *session) waitedFor() int {
	due := s.pending.head()
	if due != nil && (due.row || due.kind == expectDescribe || due.instead != nil) {
		return transport.BufferLengthMax
	}
	return wholeMessageMax
}

// note updates what is known by one message from Postgres. body may be cut off
// if the message is long. It returns where the message is to be captured, and
// whether it is hidden from the client.
func (s *session) note(kind byte, body []byte) (c *capture, hidden bool) {
	due := s.pending.head()
	switch kind {
	case 'N':
		s.group.noticed = true
		if due != nil {
			s.noteWritten(due)
		}
		if due != nil && due.prepared != nil {
			due.prepared.noticed.Store(true)
		}
		return nil, due.hides()
	case 'A':
		// Who was notified of a commit must not be shown what was before it.
		s.reads.Received(fence.Now())
		return nil, false
	case 'S':
		// A setting changed, perhaps by a reload of the configuration: before the rows
		// that are coming, and after the probe that their key is made of.
		s.group.noticed = true
		s.soil()
		return nil, false
	case 'E':
		s.noteWritten(due)
		return nil, s.noteError(due, body)
	}
	if due == nil {
		s.confused = true
		return nil, false
	}
	if due.opens {
		s.noteOpening(due, kind)
		return nil, true
	}
	hidden, c = due.hidden && !s.group.unopened, due.capture
	switch kind {
	case 'Z':
		s.noteReady(due, body)
		return nil, hidden
	case '1':
		if due.kind == expectParse {
			due.prepared.accepted.Store(true)
			due.noteMeaning()
		}
		s.finish(due, expectParse)
	case '2':
		due.noteMeaning()
		s.finish(due, expectBind)
	case '3':
		s.finish(due, expectClose)
	case 't':
		s.noteDescription(due, kind, body)
	case 'T', 'n':
		if due.kind == expectDescribe {
			s.noteDescription(due, kind, body)
			s.noteDescribed(due)
		}
	case 'D':
		if due.row {
			s.group.row = append([]byte(nil), body...)
		}
	case 'C', 'I', 's':
		if kind == 'C' && !due.named && endsStatements(body) {
			s.namesDoubtful.Store(true)
		}
		if kind == 'C' && loadsLibrary(body) {
			s.loaded.Store(true)
		}
		if c != nil {
			// The portal of a row limit may be left suspended: that is the answer then.
			c.complete = kind != 'I' && !c.complete
			c.spoiled = c.spoiled || !c.complete
		}
		s.noteWritten(due)
		s.noteExecuted(due)
	case 'G', 'W', 'H':
		if kind == 'G' {
			s.noteCopyIn()
		}
		s.spoil(c)
	case 'd', 'c', 'V':
		s.spoil(c)
	default:
		s.confused = true
	}
	return c, hidden
}

func (s *session) spoil(c *capture) {
	if c != nil {
		c.spoil()
	}
}

// finish takes the due answer off the queue if it is of the kind that came.
func (s *session) finish(due *expect, kind expectKind) {
	if due.kind != kind {
		s.confused = true
		return
	}
	s.pending.pop()
}

// noteDescribed ends a Describe. The description of a statement is an answer of
// its own; that of a portal belongs to the execution that follows.
func (s *session) noteDescribed(due *expect) {
	if c := due.capture; c != nil && due.statement {
		c.complete = true
		s.group.captures = append(s.group.captures, c)
	}
	s.pending.pop()
}

// noteExecuted ends an Execute, or one statement of a simple query.
func (s *session) noteExecuted(due *expect) {
	switch due.kind {
	case expectExecute:
		if due.capture != nil {
			s.group.captures = append(s.group.captures, due.capture)
		}
		s.pending.pop()
	case expectQuery:
	default:
		s.confused = true
	}
}

// noteError handles an ErrorResponse. One that ends the connection is for the
// client, whoever asked.
func (s *session) noteError(due *expect, body []byte) (hidden bool) {
	if protocol.EndsConnection(body) {
		s.leaving = true
		s.left.Store(true)
		return false
	}
	if due == nil {
		return false
	}
	if due.hides() {
		s.group.failed = true
		s.noteFailed(due)
		return true
	}
	s.server.counters.queries[Failed].Add(1)
	s.group.failed, s.group.unopened = true, due.opens
	s.instead = due.instead
	s.noteFailed(due)
	return s.instead != nil
}

// noteReady ends a unit: what was captured of it is stored, and what the client
// is about to learn counts as seen.
func (s *session) noteReady(due *expect, body []byte) {
	if !due.endsUnit() || len(body) != 1 {
		s.confused = true
		return
	}
	s.status = body[0] // of the transaction that Postgres knows of; the client is told of its own
	s.written.add(due.effectOf())
	s.noteEnded()
	if due.inBlock {
		s.blockFailed = s.group.failed
		body[0] = protocol.StatusInBlock
		if s.blockFailed {
			body[0] = protocol.StatusFailed
		}
	}
	if s.group.unopened {
		s.noteUnopened(body)
	}
	group := s.group
	s.group = answeredGroup{captures: group.captures[:0]}
	if due.row {
		s.noteFound(group)
		s.pending.pop()
		return
	}
	if due.capture != nil {
		group.captures = append(group.captures, due.capture)
	}
	if len(group.captures) > 0 {
		s.storeCaptures(group)
	} else if !due.hidden && !due.showsNothing {
		s.shown = true
	}
	if !due.proven || group.unproven {
		s.soil()
	}
	if due.timed != nil && !group.failed {
		due.timed.loading.note(fence.Now().Sub(due.sent))
	}
	s.pending.pop()
}

// storeCaptures ends the captures of a unit.
func (s *session) storeCaptures(group answeredGroup) {
	now := fence.Now()
	s.reads.Received(now)
	for _, c := range group.captures {
		if group.failed || group.noticed || s.status != protocol.StatusIdle {
			c.spoil()
		}
		c.store(s.server.cache, now)
	}
	clear(group.captures)
	// The client's next read has to be proven newer than this answer.
	s.server.follower.Wake()
}
