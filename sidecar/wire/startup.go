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

// start brings a session to the point where the client may send its first
// statement. It reports false if there is nothing (more) to serve.
func (s *session) start() bool {
	defer context.AfterFunc(s.ctx, s.client.HangUp)() // nor for the client
	deadline := time.Now().Add(s.server.startupWait)
	_ = s.client.SetDeadline(deadline) // a socket that cannot is already closed
	message, ok := s.readClientStartup()
	if ok {
		message = s.route(message)
	}
	s.server.counters.SessionsTotal.Add(1)
	if !ok {
		return false
	}
	if who, is := s.stranger(); is {
		s.refuseStranger(who)
		return false
	}
	s.plannedSince = s.server.verdicts.Generation()
	s.untilVerified = s.server.verifier.Countdown()
	if front := s.server.accepts(); front.full() {
		s.server.counters.countRefused(&s.server.counters.RefusedByLimit)
		s.server.logger.Warn("refused a client: as many are connected as may be", "max-clients", front.clientsMax.Load())
		s.refuseStartup("53300", "the cache's sidecar has as many clients as it may have", "Let clients share connections, or raise its --max-clients and --max-upstream (limits.clients and limits.upstream of its configuration).")
		return false
	}
	up, err := s.server.upstream.Dial(s.ctx)
	if err != nil {
		s.server.logger.Warn("cannot connect to Postgres for a client", "error", err)
		s.refuseUnconnected(err)
		return false
	}
	s.up = transport.NewStream(up, s.server.ends)
	defer context.AfterFunc(s.ctx, s.up.HangUp)() // the end does not wait for Postgres
	_ = up.SetDeadline(deadline)
	if err := s.relayStartup(message); err != nil {
		up.Close()
		return false
	}
	if up.SetDeadline(time.Time{}) != nil || s.client.SetDeadline(time.Time{}) != nil {
		up.Close()
		return false
	}
	return true
}

// readClientStartup answers requests for encryption (there is none on a local
// socket) and cancel requests, and returns the start-up message. As much as Postgres
// reads at once is read at once: where bytes are left unread, the end of a connection
// is an error to its client, and not an end.
func (s *session) readClientStartup() ([]byte, bool) {
	last := uint32(0)
	if s.encrypts() {
		direct, err := s.beginsEncrypted()
		if err != nil || direct && s.encrypt(direct) != nil {
			return nil, false
		}
		if direct {
			last = protocol.SSLCode
		}
	}
	for range negotiationsMax {
		message, err := protocol.ReadStartup(&s.in)
		if err != nil {
			if errors.Is(err, protocol.ErrStartup) {
				s.server.counters.ProtocolErrors.Add(1)
			}
			return nil, false // in silence, as Postgres
		}
		code := protocol.StartupCode(message)
		switch {
		case code == protocol.CancelCode:
			if _, is := s.stranger(); !is {
				s.server.passCancel(s.ctx, message)
			}
			return nil, false
		case code != protocol.SSLCode && code != protocol.GSSCode:
			return message, true
		case code == last: // then Postgres takes it for a version
			s.server.counters.ProtocolErrors.Add(1)
			s.refuseStartup("0A000", fmt.Sprintf("unsupported frontend protocol %d.%d: server supports 3.0 to 3.0", code>>16, code&0xffff), "")
			return nil, false
		}
		last = code
		if !s.answerRequest(code) {
			return nil, false
		}
	}
	s.server.counters.ProtocolErrors.Add(1)
	return nil, false
}

// answerRequest answers a request for encryption. It reports false if the client is not
// to be served any more.
func (s *session) answerRequest(code uint32) bool {
	granted := code == protocol.SSLCode && s.encrypts()
	answer := []byte{'N'}
	if granted {
		answer[0] = 'S'
	}
	if _, err := s.client.Write(answer); err != nil {
		return false
	}
	if len(s.in.Held()) > 0 {
		s.server.counters.ProtocolErrors.Add(1)
		s.refuseStartup("08P01", "received unencrypted data after "+requestNames[code], "It was sent before the answer to the request: wait for that.")
		return false
	}
	return !granted || s.encrypt(false) == nil
}

func (s *session) refuseStartup(code, message, hint string) {
	_, _ = s.client.Write(protocol.ErrorResponse("FATAL", code, message, hint)) // the client may be gone
}

// refuseUnconnected tells a client why the sidecar has no connection to Postgres for
// it.
func (s *session) refuseUnconnected(err error) {
	code, hint, reason := "08006", "Is Postgres running, and is the sidecar's --upstream right?", &s.server.counters.RefusedUnreachable
	if outOfFiles(err) {
		code, hint = "53300", noFiles
		reason = &s.server.counters.RefusedByFiles
	}
	s.server.counters.countRefused(reason)
	s.refuseStartup(code, "the cache's sidecar cannot connect to Postgres: "+err.Error(), hint)
}

// relayStartup passes the start-up and authentication exchange on, so that the
// client authenticates to Postgres itself, and probes the session before the
// client hears that it is ready.
func (s *session) relayStartup(startup []byte) error {
	if _, err := s.up.Write(startup); err != nil {
		return err
	}
	if protocol.StartupCode(startup)>>16 < 3 {
		// Postgres says no, in words that are not of this protocol.
		_, err := io.Copy(s.client, s.up)
		return errors.Join(err, protocol.ErrStartup)
	}
	s.relay.in = transport.NewBuffer(s.up)
	in := &s.relay.in
	asked := false // the client has had to show who it is
	for {
		message, err := readMessage(in)
		if err != nil {
			return err
		}
		switch message[0] {
		case 'Z':
			s.talk.Begin(message[protocol.HeaderLength])
			ready := append([]byte(nil), message...)
			in.Drop(len(message))
			if s.server.observe != nil {
				s.observer = s.server.observe(startup)
			} else if protocol.IsReplication(startup) {
				s.talk.Mistrust()
			} else if err := s.probeAtStart(in); err != nil {
				return err
			}
			_, err = s.client.Write(ready)
			return err
		case 'E':
			s.server.counters.countRefusedByPostgres(message)
		case 'K':
			s.cancel = cancelKey(message[protocol.HeaderLength:])
		case 'R':
			request, err := protocol.WithoutChannelBinding(append([]byte(nil), message...))
			if err != nil {
				return fmt.Errorf("read from Postgres: %w", err)
			}
			in.Drop(len(message)) // before the client answers, however long that takes
			if asked, err = s.relayAuthentication(request, asked); err != nil {
				return err
			}
			continue
		}
		if _, err := s.client.Write(message); err != nil {
			return err
		}
		in.Drop(len(message))
	}
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
func (s *session) relayAuthentication(message []byte, asked bool) (bool, error) {
	request := binary.BigEndian.Uint32(message[protocol.HeaderLength:])
	if request == protocol.AuthenticationOK && !asked {
		if err := s.server.vouch(s.client.Conn, s.role); err != nil {
			s.refusePasswordless(err)
			return asked, protocol.ErrStartup
		}
	}
	if _, err := s.client.Write(message); err != nil {
		return asked, err
	}
	switch request {
	case protocol.AuthenticationOK, protocol.AuthenticationSASLFinal:
		return asked, nil
	}
	reply, err := readMessage(&s.in)
	if err != nil {
		s.noteUnbound(request)
		return asked, err
	}
	if reply[0] != 'p' {
		s.refuseStartup("08P01", fmt.Sprintf("unexpected message %q during authentication", reply[0]), "")
		return asked, protocol.ErrStartup
	}
	_, err = s.up.Write(reply)
	s.in.Drop(len(reply))
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
