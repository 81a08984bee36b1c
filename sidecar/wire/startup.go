package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

const (
	// startupWaitMax is Server.startupWait.
	startupWaitMax = time.Minute
	// negotiationsMax bounds the requests for encryption before the start-up.
	negotiationsMax = 16
)

// requestNames are Postgres' names of the requests for encryption.
var requestNames = map[uint32]string{protocol.SSLCode: "SSL request", protocol.GSSCode: "GSSAPI encryption request"}

// entrance is a client's way in, from its first byte to the first ReadyForQuery: it may be
// encrypted, is led to the server of its database, and shows Postgres itself who it is. No
// statement passes here, and what a session knows and believes is no matter of it.
type entrance struct {
	*line
	*identity
	ctx context.Context
	// answers is what comes from Postgres.
	answers *transport.Buffer
}

// start brings a session to the point where the client may send its first
// statement. It reports false if there is nothing (more) to serve.
func (s *session) start() bool {
	defer context.AfterFunc(s.ctx, s.client.HangUp)() // nor for the client
	e := entrance{line: &s.line, identity: &s.identity, ctx: s.ctx, answers: &s.relay.in}
	deadline := time.Now().Add(s.server.startupWait)
	startup, ok := e.meet(deadline)
	if !ok {
		return false
	}
	s.understanding.db = &s.server.database
	s.plannedSince = s.server.verdicts.Generation()
	s.untilVerified = countdown(s.server.verifier.Countdown())
	defer context.AfterFunc(s.ctx, s.up.HangUp)() // the end does not wait for Postgres
	_ = s.up.SetDeadline(deadline)
	ready, err := e.relayStartup(startup)
	if err == nil {
		err = s.beginTalk(startup, ready)
	}
	if err != nil || s.up.SetDeadline(time.Time{}) != nil || s.client.SetDeadline(time.Time{}) != nil {
		s.up.Close()
		return false
	}
	return true
}

// meet reads who comes, and connects to Postgres for who may. It returns the start-up message
// that Postgres is to have, and reports false if the client is not served, and has been told why.
func (e *entrance) meet(deadline time.Time) (startup []byte, ok bool) {
	_ = e.client.SetDeadline(deadline) // a socket that cannot is already closed
	startup, ok = e.readClientStartup()
	if ok {
		startup = e.route(startup)
	}
	e.server.counters.SessionsTotal.Add(1)
	if !ok {
		return nil, false
	}
	if who, is := e.stranger(); is {
		e.refuseStranger(who)
		return nil, false
	}
	if front := e.server.accepts(); front.full() {
		e.server.counters.countRefused(&e.server.counters.RefusedByLimit)
		e.server.logger.Warn("refused a client: as many are connected as may be", "max-clients", front.clientsMax.Load())
		e.refuseStartup("53300", "the cache's sidecar has as many clients as it may have", "Let clients share connections, or raise its --max-clients and --max-upstream (limits.clients and limits.upstream of its configuration).")
		return nil, false
	}
	up, err := e.server.upstream.Dial(e.ctx)
	if err != nil {
		e.server.logger.Warn("cannot connect to Postgres for a client", "error", err)
		e.refuseUnconnected(err)
		return nil, false
	}
	e.up = transport.NewStream(up, e.server.ends)
	return startup, true
}

// readClientStartup answers requests for encryption (there is none on a local
// socket) and cancel requests, and returns the start-up message. As much as Postgres
// reads at once is read at once: where bytes are left unread, the end of a connection
// is an error to its client, and not an end.
func (e *entrance) readClientStartup() ([]byte, bool) {
	last := uint32(0)
	if e.encrypts() {
		direct, err := e.beginsEncrypted()
		if err != nil || direct && e.encrypt(direct) != nil {
			return nil, false
		}
		if direct {
			last = protocol.SSLCode
		}
	}
	for range negotiationsMax {
		message, err := protocol.ReadStartup(&e.in)
		if err != nil {
			if errors.Is(err, protocol.ErrStartup) {
				e.server.counters.ProtocolErrors.Add(1)
			}
			return nil, false // in silence, as Postgres
		}
		code := protocol.StartupCode(message)
		switch {
		case code == protocol.CancelCode:
			if _, is := e.stranger(); !is {
				e.server.passCancel(e.ctx, message)
			}
			return nil, false
		case code != protocol.SSLCode && code != protocol.GSSCode:
			return message, true
		case code == last: // then Postgres takes it for a version
			e.server.counters.ProtocolErrors.Add(1)
			e.refuseStartup("0A000", fmt.Sprintf("unsupported frontend protocol %d.%d: server supports 3.0 to 3.0", code>>16, code&0xffff), "")
			return nil, false
		}
		last = code
		if !e.answerRequest(code) {
			return nil, false
		}
	}
	e.server.counters.ProtocolErrors.Add(1)
	return nil, false
}

// answerRequest answers a request for encryption. It reports false if the client is not
// to be served any more.
func (e *entrance) answerRequest(code uint32) bool {
	granted := code == protocol.SSLCode && e.encrypts()
	answer := []byte{'N'}
	if granted {
		answer[0] = 'S'
	}
	if _, err := e.client.Write(answer); err != nil {
		return false
	}
	if len(e.in.Held()) > 0 {
		e.server.counters.ProtocolErrors.Add(1)
		e.refuseStartup("08P01", "received unencrypted data after "+requestNames[code], "It was sent before the answer to the request: wait for that.")
		return false
	}
	return !granted || e.encrypt(false) == nil
}

func (e *entrance) refuseStartup(code, message, hint string) {
	_, _ = e.client.Write(protocol.ErrorResponse("FATAL", code, message, hint)) // the client may be gone
}

// refuseUnconnected tells a client why the sidecar has no connection to Postgres for
// it.
func (e *entrance) refuseUnconnected(err error) {
	code, hint, reason := "08006", "Is Postgres running, and is the sidecar's --upstream right?", &e.server.counters.RefusedUnreachable
	if outOfFiles(err) {
		code, hint = "53300", noFiles
		reason = &e.server.counters.RefusedByFiles
	}
	e.server.counters.countRefused(reason)
	e.refuseStartup(code, "the cache's sidecar cannot connect to Postgres: "+err.Error(), hint)
}

// relayStartup passes the start-up and authentication exchange on, so that the client
// authenticates to Postgres itself. It returns the ReadyForQuery at its end.
func (e *entrance) relayStartup(startup []byte) (ready []byte, err error) {
	if _, err := e.up.Write(startup); err != nil {
		return nil, err
	}
	if protocol.StartupCode(startup)>>16 < 3 {
		// Postgres says no, in words that are not of this protocol.
		_, err := io.Copy(e.client, e.up)
		return nil, errors.Join(err, protocol.ErrStartup)
	}
	*e.answers = transport.NewBuffer(e.up)
	in := e.answers
	asked := false // the client has had to show who it is
	for {
		message, err := readMessage(in)
		if err != nil {
			return nil, err
		}
		switch message[0] {
		case 'Z':
			ready = append([]byte(nil), message...)
			in.Drop(len(message))
			return ready, nil
		case 'E':
			e.server.counters.countRefusedByPostgres(message)
		case 'K':
			e.cancel = cancelKey(message[protocol.HeaderLength:])
		case 'R':
			request, err := protocol.WithoutChannelBinding(append([]byte(nil), message...))
			if err != nil {
				return nil, fmt.Errorf("read from Postgres: %w", err)
			}
			in.Drop(len(message)) // before the client answers, however long that takes
			if asked, err = e.relayAuthentication(request, asked); err != nil {
				return nil, err
			}
			continue
		}
		if _, err := e.client.Write(message); err != nil {
			return nil, err
		}
		in.Drop(len(message))
	}
}

// beginTalk begins the conversation, where Postgres has let the client in: it probes the session
// before the client hears that it is ready.
func (s *session) beginTalk(startup, ready []byte) error {
	s.talk.Begin(ready[protocol.HeaderLength])
	if s.server.observe != nil {
		s.observer = s.server.observe(startup)
	} else if protocol.IsReplication(startup) {
		s.talk.Mistrust()
	} else if err := s.probeAtStart(&s.relay.in); err != nil {
		return err
	}
	_, err := s.client.Write(ready)
	return err
}

// readMessage waits for the first message in a buffer. The caller drops it.
func readMessage(in *transport.Buffer) ([]byte, error) {
	for {
		held := in.Held()
		switch n := protocol.MessageLength(held); {
		case n < 0:
			return nil, errors.New("read from Postgres: malformed message")
		case n > 0 && n <= len(held):
			return held[:n], nil
		}
		if err := in.Fill(); err != nil {
			return nil, err
		}
	}
}

// relayAuthentication passes one authentication request on, and the client's
// answer back. It reports whether the client has been asked for anything so far.
func (e *entrance) relayAuthentication(message []byte, asked bool) (bool, error) {
	request := binary.BigEndian.Uint32(message[protocol.HeaderLength:])
	if request == protocol.AuthenticationOK && !asked {
		if err := e.server.vouch(e.client.Conn, e.role); err != nil {
			e.refusePasswordless(err)
			return asked, protocol.ErrStartup
		}
	}
	if _, err := e.client.Write(message); err != nil {
		return asked, err
	}
	switch request {
	case protocol.AuthenticationOK, protocol.AuthenticationSASLFinal:
		return asked, nil
	}
	reply, err := readMessage(&e.in)
	if err != nil {
		e.noteUnbound(request)
		return asked, err
	}
	if reply[0] != 'p' {
		e.refuseStartup("08P01", fmt.Sprintf("unexpected message %q during authentication", reply[0]), "")
		return asked, protocol.ErrStartup
	}
	_, err = e.up.Write(reply)
	e.in.Drop(len(reply))
	return true, err
}

// probeAtStart reads the session's state before it begins. A failure leaves it
// unknown: the session is passed through until a probe succeeds.
func (s *session) probeAtStart(in *transport.Buffer) error {
	s.server.counters.UpstreamProbes.Add(1)
	if _, err := s.up.Write(s.probeQuery(true, false)); err != nil {
		return err
	}
	s.talk.OweRow()
	var partial relayed
	for s.talk.Owed() {
		if err := in.Fill(); err != nil {
			return err
		}
		n, shown := s.take(in.Held(), &partial, nil)
		if len(shown) > 0 {
			if _, err := s.client.Write(shown); err != nil {
				return err
			}
		}
		in.Drop(n)
	}
	row, err := s.talk.AwaitRow()
	if err != nil {
		return err
	}
	s.adopt(probe.ParseAnswer(row, nil))
	// Whoever connects may come from a write on another connection: what was
	// acknowledged before now is demanded from the first read on.
	s.talk.Show()
	s.server.follower.Wake()
	return nil
}
