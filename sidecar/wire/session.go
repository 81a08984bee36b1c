package wire

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// session serves one client with an upstream connection of its own. One
// goroutine reads the client (downstream), one reads Postgres (upstream).
//
// It consists of layers, each embedded in the next, and none knows of what is above it: the line
// and the understanding below, then asking, sending, deciding, and the session itself, which reads
// what the client sends, answers it or passes it on, and relays what Postgres says. They belong to
// the downstream goroutine, but for what says otherwise.
type session struct {
	identity
	// turn is held while something of the client's is dealt with, or a load is begun that the
	// client has not asked for. It guards what belongs to the downstream goroutine.
	turn sync.Mutex
	deciding
	relay relay // of the upstream goroutine
	end   context.CancelFunc
	quiet quietness
	// observer, unless nil, is shown what passes, and nothing else is done. It is set by
	// beginTalk.
	observer Observer

	// rest is the last statement of a Query of several, as a Query of its own: see
	// handleSeveral, which sets it.
	rest []byte
	// performed is the tag of the control statement that was performed last.
	performed string
	// hits are those whose answers are not written yet.
	hits hits
	// untilVerified is how many hits there are to the next that is to be verified.
	untilVerified countdown
	// resting is set by handleHeld while nothing is left of what the client has sent, not even a
	// part of a message.
	resting bool
	// warming is the load that the client has not asked for: set by beginWarming, reset by
	// awaitWarming.
	warming warming
	// cancelsUnit is set by awaitWarming if the client has asked to cancel the unit at hand, and
	// reset by passKeptCancel.
	cancelsUnit bool
}

// identity is who the client of a session is. entrance sets it.
type identity struct {
	// server is that of the database: the front's until route has set it.
	server *Server
	cancel cancelKey
	// database, role and application are those that the client named when it connected; began is
	// when it did.
	database, role, application string
	began                       time.Time
}

func newSession(s *Server, client net.Conn) *session {
	c := &session{identity: identity{server: s, began: time.Now()}}
	ctx, end := context.WithCancel(s.background)
	c.end, c.in = end, transport.NewBuffer(client)
	c.attach(ctx, &s.database, transport.NewStream(client, s.ends))
	return c
}

// run serves the client until it or Postgres leaves.
func (s *session) run() {
	defer s.end()
	defer s.client.Close()
	if !s.startContained() {
		return
	}
	generation := s.plannedSince // as of before the first statement
	defer s.up.Close()
	defer s.logLife()()
	defer context.AfterFunc(s.ctx, s.hangUp)()
	s.server.sessions.add(s)
	defer s.server.sessions.remove(s)
	if s.server.verdicts.Generation() != generation {
		s.talk.Soil() // SchemaChanged could not reach this session yet
	}

	if s.observer != nil {
		s.passObserved()
		return
	}
	var upstream sync.WaitGroup
	upstream.Go(func() {
		_ = s.receiveFromPostgres() // however it ends, it has ended
		s.talk.Leave()
		s.markLost()
		// Whatever the client sends now has nobody to answer it.
		s.end()
	})
	err := s.receiveFromClient()
	s.leaveTurn()
	if errors.Is(err, errLeft) || errors.Is(err, io.EOF) || errors.As(err, new(unsentError)) {
		s.letFinish(&upstream)
	}
	s.up.HangUp()
	upstream.Wait()
	s.abandonCaptures()
}

// logLife logs that the session has begun, and when its result is called that it has
// ended, for who looks for the cause of a fault.
func (s *session) logLife() (ended func()) {
	if !s.server.logger.Enabled(s.ctx, slog.LevelDebug) {
		return func() {}
	}
	logger := s.server.logger.With("pid", s.cancel.processID())
	logger.Debug("a client has connected", "role", s.role, "database", s.database, "application", s.application, "understood", s.state() != nil)
	return func() { logger.Debug("a client has left", "after", time.Since(s.began).Round(time.Millisecond)) }
}

// Ends of a session: errLeft if its client has said goodbye, and may still read,
// errDone if there is nothing left to do for it.
var (
	errLeft = errors.New("the client has left")
	errDone = errors.New("the session is done")
)

// handleHeld handles what the client has sent, and leaves room for more.
func (s *session) handleHeld() (more bool, err error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.resting = false
	more, err = s.handleInTurn()
	s.resting = !more && err == nil
	return more, err
}

// handleInTurn is handleHeld for who has the turn.
func (s *session) handleInTurn() (more bool, err error) {
	s.now = 0
	for {
		if err := s.passOn(); err != nil {
			return false, err
		}
		for s.passing == 0 {
			kind, n := protocol.NextUnit(s.in.Held())
			if kind == protocol.UnitIncomplete {
				break
			}
			if !s.handle(kind, s.in.Held()[:n]) || s.passKeptCancel() != nil {
				if kind == protocol.UnitTerminate {
					return false, errLeft
				}
				return false, errDone
			}
			s.in.Drop(n)
		}
		if err := s.flush(); err != nil {
			return false, err
		}
		s.measureHits()
		if !s.in.Full() {
			return len(s.in.Held()) > 0 || s.passing > 0, nil
		}
		if err := s.passLong(); err != nil {
			return false, err
		}
	}
}

// handle deals with one unit. It reports false if the session is to end.
func (s *session) handle(kind protocol.UnitKind, unit []byte) bool {
	if s.awaitWarming() != nil || s.settle() != nil {
		return false
	}
	s.statements.BeginUnit(unit)
	s.absent = false
	switch kind {
	case protocol.UnitQuery:
		err := s.handleQuery(unit)
		s.ahead.end()
		return err == nil
	case protocol.UnitGroup:
		err := s.handleGroup(unit)
		s.ahead.end()
		return err == nil
	case protocol.UnitPart:
		return s.handlePart(unit) == nil
	case protocol.UnitCall:
		s.plan.readNothing()
		s.bypassUntimed(reasons.FunctionCall, 1)
		err := s.forwardQuery(unit, passage{}, nil)
		s.ahead.end()
		return err == nil
	case protocol.UnitCopy:
		return s.forwardCopy(unit) == nil
	case protocol.UnitTerminate:
		if s.sendUpstream(unit) == nil {
			_ = s.flushUpstream() // the connection ends either way
		}
		return false
	default:
		s.refuse("08P01", "malformed or unknown message from the client",
			"The bytes are not the Postgres protocol: is this client meant for another port?")
		return false
	}
}

// refuse ends the session with an error of the sidecar's own.
func (a *asking) refuse(code, message, hint string) {
	a.db.counters.ProtocolErrors.Add(1)
	_ = a.flushClient() // the client may be gone already
	a.writeMu.Lock()
	defer a.writeMu.Unlock()
	_ = a.client.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = a.client.Write(protocol.ErrorResponse("FATAL", code, message, hint))
}

// passLong sends on a message that is longer than the buffer, or a group whose
// messages together are.
func (s *session) passLong() error {
	if err := s.awaitWarming(); err != nil {
		return err
	}
	if err := s.settle(); err != nil {
		return err
	}
	held := s.in.Held()
	s.statements.BeginUnit(held)
	if s.block.Held {
		if err := s.catchUpInBlock(); err != nil {
			return err
		}
		if s.block.Held {
			if err := s.open(); err != nil {
				return err
			}
		}
	}
	if _, n := protocol.NextUnit(held); n > 0 {
		// Whole messages come first: they go as a part of their group.
		s.planGroup(held[:n])
		s.bypassUntimed(reasons.TooLong, s.plan.executions)
		if err := s.forwardGroup(held[:n], false); err != nil {
			return err
		}
		s.in.Drop(n)
		return nil
	}
	if held[0] == 'Q' || held[0] == 'F' {
		s.bypassUntimed(reasons.TooLong, 1)
	}
	s.passing = protocol.MessageLength(held) - len(held)
	if err := s.forwardLong(held); err != nil {
		return err
	}
	s.in.Drop(len(held))
	if err := s.flushUpstream(); err != nil {
		return err
	}
	return s.passKeptCancel()
}

// abandonCaptures lets go whoever waits for this session's loads. Those of the
// plan may not even have been sent.
func (s *session) abandonCaptures() {
	for _, w := range s.plan.wants {
		if w.capture != nil {
			w.capture.Release(nil)
		}
	}
	s.talk.Abandon()
}
