package wire

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
)

// Each client authenticates to Postgres itself, but Postgres sees the sidecar's
// process at the other end of its socket. Where it asks for a password, that makes
// no difference. Where it asks for nothing, because of who is at the other end
// (peer, ident, trust by address, the sidecar's certificate), it has judged the
// sidecar and let in the client:
//
//  1. pg_hba.conf says "local all all peer", and the sidecar runs as postgres;
//  2. a process of the user nobody connects to the sidecar's socket, as postgres;
//  3. Postgres finds a process of postgres at its own, and lets it in.
//
// So of a client that was asked for nothing the sidecar demands, by default, what
// peer demands: that the role has the name of the operating system's user who
// connects. A client of the sidecar's own user is what Postgres took it for.

// Passwordless says which role a client may be where Postgres asks it for nothing.
type Passwordless string

const (
	// PasswordlessOwn is the role with the name of the client's operating system
	// user; any role, for a client of the user that the sidecar runs as. It is the
	// default. Nothing is known of who connects by TCP: such clients are refused.
	PasswordlessOwn Passwordless = "own"
	// PasswordlessAny is any role: for where everybody who reaches the socket may be
	// everybody, such as in a container of its own.
	PasswordlessAny Passwordless = "any"
)

func (p Passwordless) check() error {
	switch p {
	case PasswordlessOwn, PasswordlessAny:
		return nil
	default:
		return fmt.Errorf("passwordless clients may be %q or %q, not %q", PasswordlessOwn, PasswordlessAny, string(p))
	}
}

// peerFunc is peerOf, except in tests of who cannot be had.
type peerFunc func(net.Conn) (uid uint32, err error)

// vouch returns an error that names the client if the client may not be the role
// that Postgres let in without asking for anything.
func (s *Server) vouch(client net.Conn, role string) error {
	if s.passwordless == PasswordlessAny {
		return nil
	}
	uid, err := s.peer(client)
	if err != nil {
		return fmt.Errorf("who connects is not known (%w)", err)
	}
	if int(uid) == os.Geteuid() {
		return nil
	}
	number := strconv.FormatUint(uint64(uid), 10)
	account, err := user.LookupId(number)
	if err != nil {
		return fmt.Errorf("the client runs as the user %s, who has no name here", number)
	}
	if account.Username != role {
		return fmt.Errorf("the client runs as the user %q", account.Username)
	}
	return nil
}

const passwordlessHint = "Have Postgres ask for a password (scram-sha-256 in its pg_hba.conf), connect as the role of your own name, " +
	"or start the sidecar with --passwordless any if whoever reaches its socket may be any role."

// refusePasswordless tells a client why it may not be what Postgres took it for.
func (e *entrance) refusePasswordless(reason error) {
	e.server.counters.countRefused(&e.server.counters.RefusedByPeer)
	e.server.logger.Warn("refused a client that Postgres asked for no password", "role", e.role, "reason", reason)
	e.refuseStartup("28000", fmt.Sprintf("Postgres let the sidecar in as %q without a password, and that is not for this client: %v", e.role, reason), passwordlessHint)
}
