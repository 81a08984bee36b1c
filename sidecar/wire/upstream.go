package wire

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// wholeMessageMax is the longest message, in bytes, that is waited for as a
// whole; of a longer one, each piece is passed on as it comes.
const wholeMessageMax = 8 << 10

// relayed is a message of which only a part has come yet.
type relayed struct {
	left  int // bytes still to come
	kind  byte
	heard conversation.Heard
}

// relay is what is on its way from Postgres to the client. It belongs to the upstream
// goroutine.
type relay struct {
	in      transport.Buffer
	partial relayed
	// scratch holds what the client gets of one read, where it is not one piece.
	scratch []byte
	// cancelAgain is set by takeInLocked if a cancel request may have met a lookup instead of
	// its load, and reset by relayHeld, which sends it again.
	cancelAgain bool
	// measured are the units that have ended in it.
	measured []conversation.Measured
}

// relayHeld passes on what Postgres has sent.
func (s *session) relayHeld() (more bool, err error) {
	held := s.relay.in.Held()
	if len(held) == 0 {
		return false, nil
	}
	// Who locks the conversation may find that nothing is owed any more: the client's turn to be
	// written to is taken before, so that these bytes stay ahead of it. Only in this
	// order, or a client that does not read would hold up those who need that lock, the
	// follower among them.
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	n, shown := s.take(held, &s.relay.partial, s.relay.scratch[:0])
	if s.relay.cancelAgain {
		s.relay.cancelAgain = false
		s.server.sendCancel(s.ctx, cancelRequest(s.cancel))
	}
	if len(shown) > 0 {
		if _, err := s.client.Write(shown); err != nil {
			return false, err
		}
	}
	for i := range s.relay.measured {
		s.server.measureRelayed(&s.relay.measured[i])
	}
	s.relay.measured = s.relay.measured[:0]
	if cap(shown) <= answersHeldMax && len(shown) > 0 && &shown[0] != &held[0] {
		s.relay.scratch = shown
	}
	s.relay.in.Drop(n)
	return n < len(held) || s.relay.partial.left > 0 || s.talk.Left(), nil
}

// take deals with the messages in held: it reports how many bytes it took and
// what of them the client is to see, which is a part of held unless something
// in between is hidden; then it is gathered in scratch.
func (s *session) take(held []byte, partial *relayed, scratch []byte) (n int, shown []byte) {
	s.talk.Lock()
	defer s.talk.Unlock()
	whole := true // everything so far is shown
	hide := func(upTo int) {
		if whole {
			scratch = append(scratch, held[:upTo]...)
			whole = false
		}
	}
	for n < len(held) {
		piece, kind, h := s.nextPieceLocked(held[n:], partial)
		if len(piece) == 0 {
			break
		}
		if h.Capture != nil {
			h.Capture.Add(kind, piece)
		}
		if h.Action != conversation.Forward {
			hide(n)
			scratch = append(scratch, h.Instead...)
		} else if !whole {
			scratch = append(scratch, piece...)
		}
		n += len(piece)
	}
	s.markLocked()
	s.talk.MakeRoomLocked()
	if whole {
		return n, held[:n]
	}
	return n, scratch
}

// nextPieceLocked takes one message, or a piece of a long one, and has the conversation
// say what it means. An empty piece means that more must be read.
func (s *session) nextPieceLocked(held []byte, partial *relayed) (piece []byte, kind byte, h conversation.Heard) {
	if partial.left > 0 {
		piece = held[:min(partial.left, len(held))]
		partial.left -= len(piece)
		return piece, partial.kind, partial.heard
	}
	length := protocol.MessageLength(held)
	switch {
	case !s.talk.UnderstandsLocked(length):
		return held, held[0], conversation.Heard{}
	case length == 0, length > len(held) && length <= s.waitedForLocked():
		return nil, 0, conversation.Heard{}
	}
	message := held[:min(length, len(held))]
	h = s.talk.HearLocked(message[0], message[protocol.HeaderLength:])
	if h.News != 0 {
		s.takeInLocked(h.News)
	}
	if len(message) < length {
		*partial = relayed{left: length - len(message), kind: message[0], heard: conversation.Heard{Action: h.Action, Capture: h.Capture}}
	}
	return message, message[0], h
}

// waitedForLocked is the longest message that is waited for as a whole. What the sidecar
// reads itself always is, if it fits into the buffer.
func (s *session) waitedForLocked() int {
	if s.talk.ReadsDueLocked() {
		return transport.BufferLengthMax
	}
	return wholeMessageMax
}

// takeInLocked deals with what became known by a message of Postgres. The conversation
// is locked: whoever finds that nothing is owed finds all of this.
func (s *session) takeInLocked(n conversation.News) {
	if n&conversation.Notified != 0 {
		// Who was notified of a commit must not be shown what was before it.
		s.reads.Received(fence.Now())
	}
	if n&conversation.Failed != 0 {
		s.server.counters.queries[Failed].Add(1)
	}
	if n&conversation.LookupFailed != 0 && s.cancels.passed.Load() {
		s.relay.cancelAgain = true
	}
	if n&conversation.Ended != 0 {
		s.relay.measured = append(s.relay.measured, s.talk.MeasuredLocked())
	}
	if n&conversation.Captured != 0 {
		s.storeCaptures(s.talk.CapturedLocked())
	}
}

// storeCaptures stores what was captured of a unit, whose last answer came just now.
func (s *session) storeCaptures(captured []*answer.Capture) {
	now := fence.Now()
	shown := false
	for _, c := range captured {
		shown = shown || !c.Warming
	}
	if shown {
		s.reads.Received(now)
	}
	for _, c := range captured {
		s.server.storeCapture(c, now)
	}
	clear(captured)
	if shown {
		// The client's next read has to be proven newer than this answer.
		s.server.cache.Anticipate(&s.reads)
	}
}
