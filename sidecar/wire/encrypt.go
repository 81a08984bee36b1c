package wire

import (
	"net"

	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// Clients on TCP may be served encrypted (Options.TLS); who is on the socket is on the
// same machine and is not. Encryption ends here: Postgres is reached as the DSN says, and
// what binds a password exchange to the one connection cannot hold for the other
// (channel binding), which is why it is not offered.

// tlsRecord is the first byte of a connection that begins with TLS. No start-up message
// begins so, as its length would be out of range.
const tlsRecord = 0x16

// encrypts reports whether the client of a session may be served encrypted.
func (e *entrance) encrypts() bool {
	_, tcp := e.client.Conn.(*net.TCPConn)
	return tcp && e.server.tls != nil
}

// beginsEncrypted waits for the client's first bytes and reports whether they are TLS
// without a request before it.
func (e *entrance) beginsEncrypted() (bool, error) {
	if err := e.in.Fill(); err != nil {
		return false, err
	}
	return e.in.Held()[0] == tlsRecord, nil
}

// encrypt does the handshake, and goes on with what is inside.
func (e *entrance) encrypt(direct bool) error {
	begun := append([]byte(nil), e.in.Held()...)
	conn, err := transport.Encrypt(e.client.Conn, e.server.tls, begun, direct)
	if err != nil {
		e.server.counters.ProtocolErrors.Add(1)
		e.server.logger.Info("a client's TLS handshake failed", "error", err)
		return err
	}
	e.client = transport.NewStream(conn, e.server.ends)
	e.in = transport.NewBuffer(conn)
	return nil
}

// bindingHint is what the log says when a client leaves where it is offered SCRAM: the
// sidecar cannot tell the client itself, which reads nothing more.
const bindingHint = "channel_binding=require cannot hold through a sidecar: write channel_binding=prefer, or disable, in the client's URL"

// noteUnbound is called when a client left without an answer to an authentication
// request.
func (e *entrance) noteUnbound(request uint32) {
	if request == protocol.AuthenticationSASL {
		e.server.logger.Warn("a client left when it was offered SCRAM without channel binding", "role", e.role, "hint", bindingHint)
	}
}
