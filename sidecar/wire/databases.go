package wire

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// A sidecar may serve several databases. Each has a Server of its own, with its own cache,
// fence, follower, verdicts and counters, so that nothing of one is ever asked about
// another. One of them is the front: it listens, and its clients that ask for the database of
// another are handed to that before anything is sent for them. A client that asks for none of
// them stays the front's: its upstream says whether there is such a database, and its
// sessions pass through, because their incarnation is not the front's.

// Route says for which clients of a front another Server is there.
type Route struct {
	// Front accepts the clients. Its listeners, its drain and its limit of clients are those
	// of all.
	Front *Server
	// Database is the name that clients ask for, UpstreamDatabase what it is called where
	// they are led to.
	Database, UpstreamDatabase string
}

// newRouted returns the Server of a route. Nothing of it has begun to serve.
func newRouted(o Options) *Server {
	s, front := newServer(o), o.Route.Front
	s.front, s.upstreamDatabase = front, o.Route.UpstreamDatabase
	s.tls, s.passwordless, s.peer = front.tls, front.passwordless, front.peer
	s.ends, s.running = front.ends, front.running
	s.background, s.stop = front.background, func() {}
	front.routes[o.Route.Database] = s
	return s
}

// all are the servers of a front, itself first.
func (s *Server) all() []*Server {
	servers := []*Server{s}
	for _, of := range s.routes {
		servers = append(servers, of)
	}
	return servers
}

// eachSession calls f for every session of a front's databases.
func (s *Server) eachSession(f func(*session)) {
	for _, of := range s.all() {
		of.sessions.each(f)
	}
}

// clients counts who is connected, whatever the database.
func (s *Server) clients() (n int64) {
	for _, of := range s.all() {
		n += of.counters.sessions.Load()
	}
	return n
}

// routed is the server of a route by the name that a client asks for, nil if it is the front
// itself. Postgres' own name of a database on the front's server means its route too: what
// such a client writes has to be a mark for the others.
func (s *Server) routed(database string) *Server {
	if of := s.routes[database]; of != nil {
		return of
	}
	for _, of := range s.routes {
		if of.upstreamDatabase == database && of.upstream.Leads(s.upstream) {
			return of
		}
	}
	return nil
}

// route hands the client to the server of the database that it asks for, and returns the
// start-up message as that database's Postgres is to have it. Nothing was read of the
// server before that depends on the database.
func (e *entrance) route(startup []byte) []byte {
	if protocol.StartupCode(startup)>>16 < 3 {
		return startup // Postgres refuses it
	}
	e.database, e.role = protocol.DatabaseOf(startup), protocol.RoleOf(startup)
	e.application, _ = protocol.StartupParameter(startup, "application_name")
	of := e.server.routed(e.database)
	if of == nil {
		return startup
	}
	e.server.counters.sessions.Add(-1)
	of.counters.sessions.Add(1)
	e.server = of
	if of.upstreamDatabase == e.database {
		return startup
	}
	return protocol.WithDatabase(startup, of.upstreamDatabase)
}

// passCancel hands a cancel request to the Postgres of the session that it names, or, if the
// session waits for another's load, ends that wait. It returns when Postgres has acted, as
// the caller's own request does without a sidecar.
//
// A key that no session has may be of a process whose place this one has taken, and is
// passed to each server, once: a second request could meet the next statement.
func (s *Server) passCancel(ctx context.Context, request []byte) {
	s.counters.Cancels.Add(1)
	for _, of := range s.all() {
		if target := of.sessions.find(cancelKey(request[8:])); target != nil {
			if !target.cancels.endWait() && !target.cancels.keep(target.client.Readable) {
				target.cancels.passed.Store(true)
				of.sendCancel(ctx, request)
			}
			return
		}
	}
	var asked []*Server
	for _, of := range s.all() {
		same := func(other *Server) bool { return other.upstream.Leads(of.upstream) }
		if !slices.ContainsFunc(asked, same) {
			of.sendCancel(ctx, request)
			asked = append(asked, of)
		}
	}
}

// sendCancel sends a cancel request to Postgres, and waits until that has acted.
func (s *Server) sendCancel(ctx context.Context, request []byte) {
	conn, err := s.upstream.Dial(ctx)
	if err != nil {
		s.logger.Warn("cannot pass a cancel request on", "error", err)
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(cancelWaitMax)) // a dead connection shows below
	if _, err := conn.Write(request); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, conn) // Postgres closes when it has signalled
}
