package transport

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// dialWaitMax is how long one address is tried.
const dialWaitMax = 10 * time.Second

// Upstream is how Postgres is reached: the addresses of a connection string, in
// the order in which they are tried.
type Upstream []target

type target struct {
	network, address string
	tls              *tls.Config // nil: not encrypted
}

// NewUpstream reads where Postgres is; user, password and database do not count.
func NewUpstream(c *pgconn.Config) Upstream {
	network, address := pgconn.NetworkAddress(c.Host, c.Port)
	u := Upstream{{network, address, c.TLSConfig}}
	for _, f := range c.Fallbacks {
		network, address = pgconn.NetworkAddress(f.Host, f.Port)
		u = append(u, target{network, address, f.TLSConfig})
	}
	return u
}

// Leads reports whether it leads where another one does, as far as addresses tell.
func (u Upstream) Leads(other Upstream) bool {
	return slices.EqualFunc(u, other, func(a, b target) bool { return a.network == b.network && a.address == b.address })
}

// Dial returns a connection on which the start-up message can be sent. That a server
// has no TLS is no error of its own where it is tried without next.
func (u Upstream) Dial(ctx context.Context) (net.Conn, error) {
	var errs []error
	for i, t := range u {
		conn, err := t.dial(ctx)
		if err == nil {
			return conn, nil
		}
		if errors.Is(err, errNoTLS) && i+1 < len(u) && u[i+1].address == t.address {
			continue
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

var errNoTLS = errors.New("the server does not offer TLS: set sslmode=disable if that is meant")

func (t target) dial(ctx context.Context) (net.Conn, error) {
	ctx, stop := context.WithTimeout(ctx, dialWaitMax)
	defer stop()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, t.network, t.address)
	if err != nil || t.tls == nil {
		return conn, err
	}
	encrypted, err := t.encrypt(ctx, conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("encrypt the connection to %s: %w", t.address, err)
	}
	return encrypted, nil
}

func (t target) encrypt(ctx context.Context, conn net.Conn) (net.Conn, error) {
	if err := conn.SetDeadline(time.Now().Add(dialWaitMax)); err != nil {
		return nil, err
	}
	request := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), protocol.SSLCode)
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	var reply [1]byte
	if _, err := conn.Read(reply[:]); err != nil {
		return nil, err
	}
	if reply[0] != 'S' {
		return nil, errNoTLS
	}
	encrypted := tls.Client(conn, t.tls)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return encrypted, conn.SetDeadline(time.Time{})
}
