// Package run puts the parts of a sidecar together, and runs them: the follower, the
// tiers, the sessions and the live page. The command, the demo and tests all start this
// same thing; whoever else builds one into a program may, too.
//
// It guarantees that nothing outlives Run or Close, and that a sidecar which cannot
// reach Postgres or Redis is a sidecar all the same. It reads no command line, no
// environment and no file; it handles no signal and writes nothing but logs.
//
// The methods of a Sidecar may be called concurrently.
package run

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/internal/otlp"
	"github.com/freshet/freshet/sidecar/internal/transport"
	"github.com/freshet/freshet/sidecar/wire"
)

// firstLookWaitMax is how long Ready waits for the first look. Without one the
// sidecar serves too, and passes everything through.
const firstLookWaitMax = 3 * time.Second

// unreportedMax is longer than it takes to notice a change that no event reports: the
// follower compares roles and settings every two seconds.
const unreportedMax = 3 * time.Second

// Sidecar is one sidecar, put together: its parts know one another only through
// what New hands them. Several may live in one process.
type Sidecar struct {
	*stack                   // of the plain upstream's database: its server accepts all clients
	others []*stack          // of Options.Databases, in their order
	admin  *dashboard.Server // nil: off
	pusher *otlp.Pusher      // nil: no metrics are pushed
	probes *dashboard.Probes // nil: on the admin address only

	reloads reloads
	// credentials are those of Options.everyDatabase. A reload changes them.
	credentials []*credentials
	reload      atomic.Pointer[func(context.Context) ([]string, error)] // see OnReload
	taken       *transport.Taken                                        // nil: nobody's place was taken
	accepting   atomic.Pointer[context.Context]                         // set by Run: clients are accepted until it ends
	// drainDelay is Options.DrainDelay in nanoseconds, until a reload. awaitEnd reads it when the
	// sidecar is told to end.
	drainDelay atomic.Int64
	ending     atomic.Bool // set by Run when it is told to end, Options.DrainDelay before nobody is accepted any more
	ready      chan struct{}
}

// listening reports whether clients are accepted.
func (s *Sidecar) listening() bool {
	accepting := s.accepting.Load()
	return accepting != nil && (*accepting).Err() == nil
}

// New checks the options, listens on the socket and the admin address, and waits for
// nothing: Postgres and Redis may be down. The caller must Run the sidecar, or Close
// it. It returns a MisuseError where the options make no sense.
func New(o Options) (*Sidecar, error) {
	if err := o.check(); err != nil {
		o.closeListeners()
		return nil, err
	}
	s := &Sidecar{ready: make(chan struct{}), credentials: o.hold()}
	s.stack = newStack(s, o.databaseName(), o.plain())
	for _, d := range o.Databases {
		s.others = append(s.others, newStack(s, d.Name, o.of(d)))
	}
	if err := s.build(); err != nil {
		s.Close()
		s.options.closeListeners()
		return nil, err
	}
	s.reloads.inForce = s.options.Changeable()
	s.drainDelay.Store(int64(s.options.DrainDelay))
	return s, nil
}

func (s *Sidecar) build() (err error) {
	inherited, err := s.inherit()
	defer func() {
		if err != nil {
			inherited.Close()
		}
	}()
	if err != nil {
		return err
	}
	if err := s.buildParts(); err != nil {
		return err
	}
	if err := s.buildPage(); err != nil {
		return err
	}
	if err := s.buildServer(wire.Options{Inherited: inherited}); err != nil {
		return err
	}
	for _, other := range s.others {
		if err := other.buildRouted(s.server); err != nil {
			return fmt.Errorf("database %s: %w", other.name, err)
		}
	}
	return nil
}

// buildPage makes what shows the figures, and what pushes them.
func (s *Sidecar) buildPage() (err error) {
	page := dashboard.Options{
		Address: s.options.Admin, Listener: s.options.Listeners[AdminListener],
		Token: s.options.AdminToken, Insecure: s.options.AdminInsecure, ReadOnly: s.options.AdminReadOnly, Profile: s.options.Profile,
		StatsFunc: s.Report, TablesFunc: s.tables, ShapesFunc: s.shapes, EndingsFunc: s.endingsOf, ExplainFunc: s.explain, PurgeFunc: s.purgeWhat, ReloadFunc: s.reloadAsked,
		SwitchFunc: s.switchOff, Database: s.name, Databases: s.pages(),
		Logger: s.logger.With("part", "dashboard"),
	}
	if s.options.Metrics != "" {
		s.probes, err = dashboard.NewProbes(dashboard.Options{
			Address: s.options.Metrics, Listener: s.options.Listeners[MetricsListener], StatsFunc: s.Report,
			Database: s.name, Databases: s.pages(), Logger: s.logger.With("part", "metrics"),
		})
		if err != nil {
			return err
		}
	}
	if s.options.OTLP != "" {
		host, _ := os.Hostname() // without one the socket has to do
		s.pusher, err = otlp.New(otlp.Options{
			URL: s.options.OTLP, Gatherer: dashboard.NewRegistry(page), Version: s.options.Version,
			Instance: host + ":" + s.options.socket(), Logger: s.logger.With("part", "otlp"),
		})
		if err != nil {
			return err
		}
	}
	if s.options.Admin != "" {
		s.admin, err = dashboard.New(page)
	}
	return err
}

// all are the stacks, the plain upstream's first.
func (s *Sidecar) all() []*stack { return append([]*stack{s.stack}, s.others...) }

// switchOff switches the cache off for every client, or on again; for those of one database,
// unless its name is empty.
func (s *Sidecar) switchOff(database string, off bool) error {
	known := database == ""
	for _, of := range s.all() {
		if database == "" || of.name == database {
			of.server.SwitchOff(off)
			known = true
		}
	}
	if !known {
		return fmt.Errorf("%w: this sidecar has no database %s", dashboard.ErrWrongRequest, database)
	}
	return nil
}

// clientTLS is how clients on TCP are served encrypted, nil if they are not.
func (s *stack) clientTLS() (*tls.Config, error) {
	if s.options.SelfSigned {
		return transport.TLSSelfSigned()
	}
	if s.options.Certificate == (CertificateFiles{}) {
		return nil, nil
	}
	return transport.TLSFromFiles(s.options.Certificate, s.logger.With("part", "wire"))
}

// Run serves until ctx ends and Options.DrainDelay is over, lets clients finish what they
// are doing, for a bounded time, and returns nil; or until a part fails for good, and
// returns why. It may be called once.
func (s *Sidecar) Run(told context.Context) error {
	defer s.Close()
	parts, ctx := errgroup.WithContext(context.WithoutCancel(told))
	ctx, end := context.WithCancel(ctx)
	defer end()
	// Clients may stay for longer than others can connect: what answers them goes on.
	accepting, leave := context.WithCancel(ctx)
	defer leave()
	for _, of := range s.all() {
		of.run(ctx, parts)
	}
	if len(s.others) > 0 {
		parts.Go(func() error {
			s.watchTwins(ctx)
			return nil
		})
	}
	if s.options.Access != nil {
		parts.Go(func() error { return s.options.Access.Run(ctx) })
	}
	if s.admin != nil {
		s.admin.Begin() // before anybody is served
	}
	parts.Go(func() error {
		defer end()
		return s.server.Run(accepting)
	})
	if s.admin != nil {
		parts.Go(func() error { return s.admin.Run(accepting) })
	}
	if s.pusher != nil {
		parts.Go(func() error { return s.pusher.Run(ctx) })
	}
	if s.probes != nil {
		parts.Go(func() error { return s.probes.Run(accepting) })
	}
	s.accepting.Store(&accepting)
	parts.Go(func() error {
		defer end()
		s.awaitEnd(ctx, told, accepting)
		return nil
	})
	s.logListening()
	parts.Go(func() error {
		s.awaitFirstLooks(ctx)
		close(s.ready)
		return nil
	})
	parts.Go(func() error {
		s.succeed(ctx, leave)
		return nil
	})
	return parts.Wait()
}

// awaitEnd waits until the sidecar has been told to end and Options.DrainDelay is over, or
// until ctx ends. Who accepts nobody any more, since another process does, waits no delay.
func (s *Sidecar) awaitEnd(ctx, told, accepting context.Context) {
	select {
	case <-told.Done():
	case <-ctx.Done():
		return
	}
	s.ending.Store(true)
	wait := time.Duration(s.drainDelay.Load())
	if wait <= 0 {
		return
	}
	s.logger.Info("about to end: not ready any more, and clients can still connect", "for", wait)
	delay := time.NewTimer(wait)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-accepting.Done():
	}
}

// Close ends what New began, as far as it came. Run does so by itself.
func (s *Sidecar) Close() {
	if s.taken != nil {
		s.taken.Close()
	}
	if s.admin != nil {
		_ = s.admin.Close() // closed already if it ran
	}
	if s.probes != nil {
		_ = s.probes.Close() // the same
	}
	for _, of := range s.all() {
		of.close()
	}
}

// Ready is closed when clients can connect and the first look has completed,
// or has not within a few seconds; and when Run ends before.
func (s *Sidecar) Ready() <-chan struct{} { return s.ready }

// awaitFirstLooks waits a bounded time for a head of each database.
func (s *Sidecar) awaitFirstLooks(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstLookWaitMax)
	defer cancel()
	var all sync.WaitGroup
	for _, of := range s.all() {
		all.Go(func() { of.awaitFirstLook(ctx) })
	}
	all.Wait()
}

// ClientConfig is how a client reaches the upstream's database through the socket, as
// the upstream's user. The caller may change it.
func (s *Sidecar) ClientConfig() *pgx.ConnConfig {
	c := s.options.Upstream.Config.Copy()
	c.Host, c.Port = s.options.SocketDir, uint16(s.options.Port)
	return c
}

// AdminAddress is where the page is; empty if it is off.
func (s *Sidecar) AdminAddress() string {
	if s.admin == nil {
		return ""
	}
	return s.admin.Address()
}

// MetricsAddress is where probes and metrics have an address of their own; empty if they
// have none.
func (s *Sidecar) MetricsAddress() string {
	if s.probes == nil {
		return ""
	}
	return s.probes.Address()
}

func (s *Sidecar) logListening() {
	attributes := []any{"socket", s.server.SocketPath(), "version", s.options.Version}
	if address := s.server.TCPAddress(); address != nil {
		attributes = append(attributes, "tcp", address.String())
	}
	if s.admin != nil {
		attributes = append(attributes, "page", "http://"+s.admin.Address()+"/")
	}
	if s.probes != nil {
		attributes = append(attributes, "metrics", "http://"+s.probes.Address()+"/metrics")
	}
	s.logger.Info("listening", attributes...)
}
