package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/sidecar/internal/accesslog"
	"github.com/freshet/freshet/sidecar/internal/rules"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/transport"
	"github.com/freshet/freshet/sidecar/internal/verify"
)

// Follower is what a session needs of an invalidation.Follower.
type Follower interface {
	// Wake starts a look soon.
	Wake()
	// Suspect has every look that begins from now on be later than a comparison of what
	// no event reports.
	Suspect()
	// KnowsRole reports whether what a role reads may be kept. Of one that is not known
	// yet, the next look asks.
	KnowsRole(oid uint32) bool
	// State says what is watched, and since when: only labels that include that
	// may be captured.
	State() *invalidation.State
}

// Options configure a Server. Upstream, SocketDir, Port, Cache, Fence, Follower
// and Analyzer are required; with Observe the last four are not used.
type Options struct {
	// Upstream says where Postgres is. User, password and database in it do not
	// count: each client brings its own.
	Upstream *pgconn.Config
	// SocketDir and Port name the Unix socket, SocketDir/.s.PGSQL.Port, as libpq
	// expects it.
	SocketDir string
	Port      int
	// SocketMode are the permissions of the socket, 0 means 0660; SocketGroup is the
	// group that owns it, empty means the process' own.
	SocketMode  fs.FileMode
	SocketGroup string
	// ListenTCP is an address to listen on beside the socket. Empty means none.
	ListenTCP string
	// TLS is how clients on TCP are served encrypted, if they ask for it. nil: they are not.
	TLS *tls.Config
	// Passwordless says which role a client may be where Postgres asks it for
	// nothing. Empty means PasswordlessOwn.
	Passwordless Passwordless
	// AllowedUIDs are the operating system users that may connect, by their numbers. Empty
	// means whoever reaches the socket.
	AllowedUIDs []uint32
	Cache       *engine.Cache
	Fence       *fence.Fence
	Follower    Follower
	Analyzer    shapes.Analyzer
	// Replica vouches for the server at Upstream if that is a hot standby. nil: it
	// is not, or nothing that it answers is kept.
	Replica Replica
	// Learn, unless nil, is asked to have a column watched, by its table's root and
	// its name, once a shape has missed often for want of it. It must return at once.
	Learn func(root uint32, column string)
	// Inherited are listeners that were opened by somebody else, and are used in place of
	// those that SocketDir, Port and ListenTCP would have New open.
	Inherited transport.Inherited
	// ReportFunc, unless nil, returns the text of a report that a client asks for, by its
	// name: one of reportNames.
	ReportFunc func(name string) string
	// Observe, unless nil, has every session passed on as it is, and returns who is shown
	// what passes in the one that begins with a start-up message.
	Observe func(startup []byte) Observer
	// Route, unless nil, has the Server serve those clients of another one that ask for a
	// database. Then it neither listens nor Runs, and ListenTCP, Passwordless and the like,
	// ClientsMax and Drain are the front's.
	Route *Route
	// Access, unless nil, is told of each statement.
	Access *accesslog.Log
	// Verifier, unless nil, is offered a few of the hits.
	Verifier *verify.Verifier
	// Rules are what an operator says of single tables and shapes. nil: nothing.
	Rules *rules.Set
	// WarmFrom is how long the load of an answer must have taken that is loaded again when a
	// change has ended it, if it was read often. 0: none is.
	WarmFrom time.Duration
	// ClientsMax is how many clients may be connected. 0 means as many as Postgres lets.
	ClientsMax int
	// Drain is how long clients that are in the middle of something may go on after
	// Run was told to end. 0 means 5 s.
	Drain time.Duration
	// Logger takes what an operator should know. nil means silence.
	Logger *slog.Logger
}

// Server accepts clients and serves each in a session of its own.
type Server struct {
	upstream transport.Upstream
	database
	observe func(startup []byte) Observer // Options.Observe
	access  *accesslog.Log                // nil: none
	warmer  *warmer                       // nil: none
	// keepings holds an element for each load that waits to be kept.
	keepings chan struct{}
	tls      *tls.Config // Options.TLS
	// passwordless is Options.Passwordless; peer tells who a client is.
	passwordless Passwordless
	peer         peerFunc
	// startupWait is how long a client may take to be authenticated.
	startupWait time.Duration
	logger      *slog.Logger
	// definedAt is when something was acknowledged last that may have changed definitions.
	definedAt atomic.Int64

	listeners []net.Listener
	socket    *transport.Socket
	sessions  sessions
	ends      *transport.LostEnds
	stop      context.CancelFunc // ends background
	running   *sync.WaitGroup

	// routes are the servers of other databases, by the names that clients ask for; front is
	// the server that has this one among its routes, nil if none. Both are set before
	// anybody is served. upstreamDatabase is Route.UpstreamDatabase.
	routes           map[string]*Server
	front            *Server
	upstreamDatabase string

	// drainFor is Options.Drain in nanoseconds, until SetDrain. drain reads it when it begins.
	drainFor atomic.Int64
	// clientsMax is Options.ClientsMax, until SetClientsMax.
	clientsMax atomic.Int64
	// allowed are Options.AllowedUIDs, until SetAllowed; nil if whoever reaches
	// the socket may connect. Each client that begins reads them.
	allowed atomic.Pointer[[]uint32]
	// left is set by Leave.
	left atomic.Bool

	mu      sync.Mutex
	closing bool
}

// New listens on the socket and returns a server that has yet to Run. A second
// instance on the same socket is refused.
func New(o Options) (*Server, error) {
	if o.Upstream == nil || o.Observe == nil && (o.Cache == nil || o.Fence == nil || o.Follower == nil || o.Analyzer == nil) {
		return nil, errors.New("make sidecar: Upstream, Cache, Fence, Follower and Analyzer are required")
	}
	if o.Drain == 0 {
		o.Drain = drainDefault
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Passwordless == "" {
		o.Passwordless = PasswordlessOwn
	}
	if err := o.Passwordless.check(); err != nil {
		return nil, fmt.Errorf("make sidecar: %w", err)
	}
	if o.Route != nil {
		return newRouted(o), nil
	}
	socket, err := listenUnix(o)
	if err != nil {
		return nil, err
	}
	s := newServer(o)
	s.listeners, s.socket = []net.Listener{socket.Listener}, socket
	s.background, s.stop = context.WithCancel(context.Background())
	tcp, err := listenTCP(o)
	if err != nil {
		s.Close()
		return nil, err
	}
	if tcp != nil {
		s.listeners = append(s.listeners, tcp)
	}
	return s, nil
}

// newServer returns a Server that does not listen.
func newServer(o Options) *Server {
	s := &Server{
		upstream: transport.NewUpstream(o.Upstream),
		database: database{
			cache: o.Cache, fence: o.Fence, follower: o.Follower, replica: o.Replica, verdicts: shapes.NewBook(o.Analyzer, o.Logger),
			learnFunc: o.Learn, reportFunc: o.ReportFunc, verifier: o.Verifier,
		},
		observe: o.Observe, access: o.Access, keepings: make(chan struct{}, keepingMax),
		tls: o.TLS, passwordless: o.Passwordless, peer: transport.PeerOf, startupWait: startupWaitMax, logger: o.Logger,
		sessions: sessions{byKey: map[cancelKey]*session{}}, ends: transport.NewLostEnds(), running: new(sync.WaitGroup),
		routes: map[string]*Server{},
	}
	s.warmer = newWarmer(s, o.WarmFrom)
	s.shortRuns.Store(shortRunsMin)
	s.SetDrain(o.Drain)
	s.SetClientsMax(o.ClientsMax)
	s.SetAllowed(o.AllowedUIDs)
	s.SetRules(o.Rules)
	return s
}

// listenUnix opens the socket of clients, unless somebody did.
func listenUnix(o Options) (*transport.Socket, error) {
	if o.Inherited.Client != nil {
		return transport.Adopt(o.SocketDir, o.Port, o.Inherited)
	}
	return transport.ListenUnix(o.SocketDir, o.Port, transport.SocketAccess{Mode: o.SocketMode, Group: o.SocketGroup}, o.Inherited.Lock)
}

// listenTCP listens beside the socket, unless somebody does; nil if nobody is to.
func listenTCP(o Options) (net.Listener, error) {
	if o.Inherited.TCP != nil || o.ListenTCP == "" {
		return o.Inherited.TCP, nil
	}
	tcp, err := net.Listen("tcp", o.ListenTCP)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; choose another --listen-tcp if the port is taken", o.ListenTCP, err)
	}
	return tcp, nil
}

// Close stops listening. It is for a server that does not Run, which does so by itself.
func (s *Server) Close() {
	s.stopListening()
	s.stop()
}

func (s *Server) stopListening() {
	if s.front != nil {
		return
	}
	for _, l := range s.listeners {
		l.Close()
	}
	s.socket.Close()
}

// SetClientsMax changes Options.ClientsMax for who connects from now on.
func (s *Server) SetClientsMax(n int) { s.clientsMax.Store(int64(n)) }

// SetDrain changes Options.Drain for a Run that has yet to be told to end.
func (s *Server) SetDrain(limit time.Duration) { s.drainFor.Store(int64(limit)) }

// SwitchOff has every statement of every session go to Postgres, or, with false, be served
// again. What is kept stays, and is followed as ever.
func (s *Server) SwitchOff(off bool) { s.off.Store(off) }

// ShareServers says whether a pooler may give the statements of one session to several
// servers. Nothing of a session's state holds then, and every statement goes to Postgres.
func (s *Server) ShareServers(share bool) { s.shared.Store(share) }

// SwitchedOff reports what SwitchOff was told last.
func (s *Server) SwitchedOff() bool { return s.off.Load() }

// accepts is the server that accepts the clients of this one.
func (s *Server) accepts() *Server {
	if s.front != nil {
		return s.front
	}
	return s
}

// full reports whether more clients are connected than may be.
func (s *Server) full() bool {
	most := s.clientsMax.Load()
	return most > 0 && s.clients() > most
}

// SocketPath returns the path of the Unix socket.
func (s *Server) SocketPath() string { return s.socket.Path }

// TCPAddress returns the address listened on beside the socket, nil if none.
func (s *Server) TCPAddress() net.Addr {
	if len(s.listeners) < 2 {
		return nil
	}
	return s.listeners[1].Addr()
}

// Report reads the counters.
func (s *Server) Report() Report {
	r := s.counters.report()
	if s.access != nil && s.front == nil { // one log for all
		r.AccessLines, r.AccessDropped = s.access.Lines.Load(), s.access.Dropped.Load()
	}
	return r
}

// SchemaChanged drops what was found out about statements. The follower calls it
// before it publishes a head that includes a change of names, rights,
// definitions or of what is watched.
//
// What was written is marked by the columns that were watched, and others may be watched
// from now on:
//
//  1. a statement writes the row 1 of a table of which id alone is watched; that is
//     known, and id=1 is marked;
//  2. another process has owner watched, too; what it loads by owner reaches this one
//     through Redis, before the change was received here;
//  3. the change is received by a look that began before 1 was committed;
//  4. a reader is served the entry of 2, which lacks 1: its tags are not marked.
//
// So everything is marked once the change is known, at a moment after each mark that was
// made by what was known before. Forced by TestSchemaChangeMarksEverything.
func (s *Server) SchemaChanged() {
	s.verdicts.SchemaChanged()
	s.fence.MarkAll(fence.Now())
	s.sessions.each(func(c *session) {
		c.talk.Soil() // by a reload of the configuration
	})
}

// Run serves clients until ctx ends, those of its routes too, then lets those finish that
// wait for an answer, for at most Options.Drain, and closes all.
func (s *Server) Run(ctx context.Context) error {
	serving, stopServing := context.WithCancel(context.Background())
	var services sync.WaitGroup
	if s.observe == nil {
		for _, of := range s.all() {
			services.Go(func() { of.verdicts.Run(serving) })
			services.Go(func() { of.warmer.run(serving) })
		}
	}
	services.Go(func() { s.ends.Run(serving) })

	failed := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		s.running.Go(func() { failed <- s.accept(l) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.drain()
	stopServing()
	services.Wait()
	return err
}

// acceptRetryAfter is the pause after a failed accept, such as for want of file
// descriptors.
const acceptRetryAfter = 20 * time.Millisecond

func (s *Server) accept(l net.Listener) error {
	var last lastFiles
	last.hold()
	defer last.giveUp(lastFilesMax)
	for {
		client, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if outOfFiles(err) && s.refuseNext(l, &last) {
			continue
		}
		if err != nil {
			last.hold()
			s.logger.Error("cannot accept a client", "error", err)
			time.Sleep(acceptRetryAfter)
			continue
		}
		if !s.enter() {
			s.counters.countRefused(&s.counters.RefusedAtEnd)
			client.Close()
			return nil
		}
		s.running.Go(func() {
			c := newSession(s, client)
			defer func() { c.server.counters.sessions.Add(-1) }() // which route may have changed
			c.run()
		})
	}
}

func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Whoever was accepted while another process took over is served: nobody is refused.
	if s.closing && !s.left.Load() {
		return false
	}
	s.counters.sessions.Add(1)
	return true
}
