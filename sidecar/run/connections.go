package run

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// The uses of connections to Postgres: a client's, and the sidecar's own.
const (
	useClient   = "client"
	useFollower = "follower" // looks, listens, trims; at a replica too
	useAnalysis = "analysis" // asks what statements depend on
	useVerify   = "verify"   // compares hits with what Postgres says
)

// openConnections counts the sidecar's own connections that are open, by their use.
type openConnections struct{ follower, analysis, verify atomic.Int64 }

// byUse reads them.
func (o *openConnections) byUse() map[string]int64 {
	return map[string]int64{useFollower: o.follower.Load(), useAnalysis: o.analysis.Load(), useVerify: o.verify.Load()}
}

// counted is a copy of a configuration whose connections are counted while they are open.
func counted(config *pgx.ConnConfig, open *atomic.Int64) *pgx.ConnConfig {
	own := config.Copy()
	dial := own.DialFunc
	own.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		open.Add(1)
		return &countedConn{Conn: conn, closed: sync.OnceFunc(func() { open.Add(-1) })}, nil
	}
	return own
}

// countedConn is a connection that counts as open until it is closed for the first time.
type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}
