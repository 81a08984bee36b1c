package wire

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/sidecar/internal/transport"
)

// Where a list says which operating system users may connect, any other client is refused with
// an error of Postgres' own code, and counted by the reason. A new list holds for the clients that
// connect from then on.
func TestOnlyUsersOnTheListMayConnect(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	var peer atomic.Pointer[peerFunc]
	bed.peer = func(client net.Conn) (uint32, error) { return (*peer.Load())(client) }
	s := bed.sidecar()
	number := func(n uint32) peerFunc { return func(net.Conn) (uint32, error) { return n, nil } }
	own := uint32(os.Geteuid())
	for _, test := range []struct {
		name    string
		allowed []uint32
		peer    peerFunc
		refusal string
	}{
		{"no list", nil, transport.PeerOf, ""},
		{"on the list", []uint32{own + 1, own}, transport.PeerOf, ""},
		{"not on the list, though the sidecar's own user", []uint32{own + 1}, transport.PeerOf, "the operating system user"},
		{"not on the list, a user without a name", []uint32{own}, number(4_000_000_001), "the operating system user 4000000001"},
		{"a client whose user is unknown, as by TCP", []uint32{own}, func(net.Conn) (uint32, error) { return 0, transport.ErrPeerUnknown }, "only a Unix socket tells who connects"},
		{"the list is taken away", nil, transport.PeerOf, ""},
	} {
		s.SetAllowed(test.allowed)
		peer.Store(&test.peer)
		before := s.Report().Counts
		err := loginAs(s, superuser)
		after := s.Report().Counts
		if test.refusal == "" {
			if err != nil {
				t.Errorf("%s: refused with %v, want a session", test.name, err)
			}
			continue
		}
		failure, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || failure.Severity != "FATAL" || failure.Code != "28000" || !strings.Contains(failure.Message, test.refusal) || !strings.Contains(failure.Hint, "allow-uids") {
			t.Errorf("%s: connecting gives %v, want FATAL 28000 with %q and a hint about allow-uids", test.name, err, test.refusal)
		}
		if after.RefusedByUser != before.RefusedByUser+1 || after.SessionsRefused != before.SessionsRefused+1 || after.UpstreamProbes != before.UpstreamProbes {
			t.Errorf("%s: want one session more refused by its user, and no probe; counted before %+v, after %+v", test.name, before, after)
		}
	}
}
