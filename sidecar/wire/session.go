package wire

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

const (
	// answersHeldMax is how many bytes of answers are gathered for one write.
	answersHeldMax = 64 << 10
	// bodyCopyMax is the largest answer that is copied to be written together
	// with its neighbours; a larger one is written from where it lies.
	bodyCopyMax = 16 << 10
)

// session serves one client with an upstream connection of its own. One
// goroutine reads the client (downstream), one reads Postgres (upstream).
//
// Order is kept by one rule: the downstream side writes to the client only while
// Postgres owes nothing, and whoever writes holds writeMu from the moment at
// which that was decided.
type session struct {
	// server is that of the database: the front's until route has set it.
	server *Server
	client *transport.Stream
	up     *transport.Stream
	cancel cancelKey
	// database, role and application are those that the client named when it connected, as
	// route has found them; began is when it did.
	database, role, application string
	began                       time.Time
	// ctx ends with the session, at the latest when Postgres is gone.
	ctx context.Context
	end context.CancelFunc

	downstream       // of the goroutine that reads the client
	relay      relay // of the goroutine that reads Postgres

	writeMu sync.Mutex // held while writing to the client; taken before the lock of talk
	quiet   quietness

	// talk is shared by both goroutines: see there.
	talk *conversation.Conversation
	// cancels is for whoever passes a cancel request.
	cancels cancels
	// proven is added to by the upstream goroutine.
	proven provenLocals
	// observer, unless nil, is shown what passes, and nothing else is done. It is set by
	// relayStartup.
	observer Observer
}

func newSession(s *Server, client net.Conn) *session {
	ctx, end := context.WithCancel(s.background)
	return &session{
		server: s, began: time.Now(), client: transport.NewStream(client, s.ends), ctx: ctx, end: end,
		downstream: downstream{incoming: incoming{in: transport.NewBuffer(client)}},
		talk:       conversation.New(),
	}
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
	if err := s.receiveFromClient(); errors.Is(err, errLeft) || errors.Is(err, io.EOF) {
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

// hangUp ends both connections, and with them whatever is blocked in a read or a
// write, and lets go whoever waits for answers that will not come.
func (s *session) hangUp() {
	s.client.HangUp()
	s.up.HangUp()
	s.talk.Close()
}

// Ends of a session: errLeft if its client has said goodbye, and may still read,
// errDone if there is nothing left to do for it.
var (
	errLeft = errors.New("the client has left")
	errDone = errors.New("the session is done")
)

// handleHeld handles what the client has sent, and leaves room for more.
func (s *session) handleHeld() (more bool, err error) {
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
			if !s.handle(kind, s.in.Held()[:n]) {
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

// letFinish tells Postgres that nothing more will come, and waits until it has
// answered what came and has left: a client may say goodbye behind statements
// that are not answered yet.
func (s *session) letFinish(upstream *sync.WaitGroup) {
	half, ok := s.up.Conn.(interface{ CloseWrite() error })
	if ok && half.CloseWrite() == nil {
		upstream.Wait()
	}
}

// handle deals with one unit. It reports false if the session is to end.
func (s *session) handle(kind protocol.UnitKind, unit []byte) bool {
	if s.settle() != nil {
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
		s.bypassUntimed(reasons.FunctionCall, 1)
		err := s.forwardQuery(unit, passage{}, nil)
		s.ahead.end()
		return err == nil
	case protocol.UnitCopy:
		if unit[0] != 'd' {
			s.talk.Owe(conversation.Expectation{Kind: conversation.CopyEnd})
		}
		return s.sendUpstream(unit) == nil
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
func (s *session) refuse(code, message, hint string) {
	s.server.counters.ProtocolErrors.Add(1)
	_ = s.flushClient() // the client may be gone already
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	_ = s.client.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = s.client.Write(protocol.ErrorResponse("FATAL", code, message, hint))
}

// flush writes what is gathered, for the client first.
func (s *session) flush() error {
	if err := s.flushClient(); err != nil {
		return err
	}
	return s.flushUpstream()
}

// flushClient writes the gathered answers.
func (s *session) flushClient() error {
	if len(s.out) == 0 {
		return nil
	}
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if s.talk.Left() {
		return errDone // nothing comes behind the last that Postgres has said
	}
	_, err := s.client.Write(s.out)
	s.out = s.out[:0]
	return err
}

// flushUpstream sends the gathered messages.
func (s *session) flushUpstream() error {
	if len(s.toUp) == 0 {
		return nil
	}
	s.spoke()
	_, err := s.up.Write(s.toUp)
	s.toUp = s.toUp[:0]
	return err
}

// sendUpstream gathers a message for Postgres. Answers from the cache that came
// before it are written first, so that they stay before its answer.
func (s *session) sendUpstream(message []byte) error {
	if err := s.flushClient(); err != nil {
		return err
	}
	s.toUp = append(s.toUp, message...)
	if len(s.toUp) < answersHeldMax {
		return nil
	}
	return s.flushUpstream()
}

// passLong sends on a message that is longer than the buffer, or a group whose
// messages together are.
func (s *session) passLong() error {
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
	s.passing = protocol.MessageLength(held) - len(held)
	if err := s.forwardLong(held); err != nil {
		return err
	}
	s.in.Drop(len(held))
	return s.flushUpstream()
}

// passOn sends on what came of a message whose beginning was sent already.
func (s *session) passOn() error {
	n := min(s.passing, len(s.in.Held()))
	if n == 0 {
		return nil
	}
	if _, err := s.up.Write(s.in.Held()[:n]); err != nil {
		return err
	}
	s.in.Drop(n)
	s.passing -= n
	return nil
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
