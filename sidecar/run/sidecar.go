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
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/internal/fleet"
	"github.com/freshet/freshet/sidecar/internal/histogram"
	"github.com/freshet/freshet/sidecar/internal/rules"
	"github.com/freshet/freshet/sidecar/internal/transport"
	"github.com/freshet/freshet/sidecar/internal/verify"
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
	options Options
	logger  *slog.Logger
	began   time.Time

	fence    *fence.Fence
	follower *invalidation.Follower
	standby  *invalidation.Standby // nil: upstream is the primary
	remote   *redis.Store          // nil: one tier
	fleet    *fleet.Fleet          // nil: one tier
	cache    *engine.Cache
	analyzer *analysis.Analyzer
	verifier *verify.Verifier
	server   *wire.Server
	admin    *dashboard.Server // nil: off

	// eventDelay is how long events took to arrive, at most: the follower observes it.
	eventDelay histogram.Histogram

	// pooling is what notePooling found last, or that it is not known. It is never nil.
	pooling atomic.Pointer[string]

	reloads   reloads
	reload    atomic.Pointer[func(context.Context) ([]string, error)] // see OnReload
	taken     *transport.Taken                                        // nil: nobody's place was taken
	listening atomic.Bool
	ready     chan struct{}
}

// New checks the options, listens on the socket and the admin address, and waits for
// nothing: Postgres and Redis may be down. The caller must Run the sidecar, or Close
// it. It returns a MisuseError where the options make no sense.
func New(o Options) (*Sidecar, error) {
	err := o.check()
	s := &Sidecar{options: o, logger: o.Logger, began: time.Now(), fence: fence.New(fence.Options{}), ready: make(chan struct{})}
	unknown := ""
	if s.options.Follow.Config != nil {
		unknown = poolingUnknown
	}
	s.pooling.Store(&unknown)
	if err == nil {
		err = s.build()
	}
	if err != nil {
		s.Close()
		s.closeListeners()
		return nil, err
	}
	s.reloads.inForce = s.options.Changeable()
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
	if err := s.buildRemote(); err != nil {
		return err
	}
	if err := s.buildFollower(); err != nil {
		return err
	}
	if s.options.replica() {
		if err := s.buildStandby(); err != nil {
			return err
		}
	}
	if err := s.buildCache(); err != nil {
		return err
	}
	s.buildVerifier()
	if s.options.Admin != "" {
		s.admin, err = dashboard.New(dashboard.Options{
			Address: s.options.Admin, Listener: s.options.Listeners[AdminListener],
			Token: s.options.AdminToken, Insecure: s.options.AdminInsecure, Profile: s.options.Profile,
			StatsFunc: s.Report, TablesFunc: s.tables, ExplainFunc: s.explain, PurgeFunc: s.purgeWhat, ReloadFunc: s.reloadAsked,
			SwitchFunc: func(off bool) { s.server.SwitchOff(off) },
			Logger:     s.logger.With("part", "dashboard"),
		})
		if err != nil {
			return err
		}
	}
	return s.buildServer(inherited)
}

func (s *Sidecar) buildRemote() (err error) {
	if s.options.RedisURL == "" {
		return nil
	}
	s.remote, err = redis.New(context.Background(), redis.Options{URL: s.options.RedisURL, Logger: s.logger.With("part", "redis")})
	if err != nil {
		return misuse("read --redis: %w", err)
	}
	return nil
}

func (s *Sidecar) buildFollower() (err error) {
	followed, changeable := s.options.followed(), s.options.Changeable()
	s.follower, err = invalidation.NewFollower(invalidation.FollowerOptions{
		ConnConfig:    followed.Config,
		BeforeConnect: followed.BeforeConnect,
		Fence:         s.fence,
		Poll:          s.options.Poll,
		Watch:         s.options.Watch,
		Definitions:   changeable.definitions(),
		Retention:     changeable.retention(),
		RestAfter:     s.options.RestAfter,
		// The cache is made after the follower, and before the follower runs.
		Reads: func() uint64 { return s.cache.Reads() },
		Relay: s.relay(),
		Proof: changeable.proof(),
		// The server is made after the follower, and before the follower runs.
		OnSchema: func() { s.server.SchemaChanged() },
		OnEvents: func(n int, delay time.Duration) { s.eventDelay.Observe(delay, n) },
		Logger:   s.logger.With("part", "follower"),
	})
	if err != nil {
		return misuse("%w", err)
	}
	return nil
}

func (s *Sidecar) buildStandby() (err error) {
	s.standby, err = invalidation.NewStandby(invalidation.StandbyOptions{
		ConnConfig:    s.options.Upstream.Config,
		BeforeConnect: s.options.Upstream.BeforeConnect,
		Follower:      s.follower,
		OnReload:      func() { s.server.SchemaChanged() },
		Logger:        s.logger.With("part", "standby"),
	})
	if err != nil {
		return misuse("use --upstream as a replica of --primary: %w", err)
	}
	return nil
}

func (s *Sidecar) buildCache() (err error) {
	options := engine.Options{
		Fence:       s.fence,
		Confirm:     s.follower.Confirm,
		Wake:        s.follower.Wake,
		MemoryBytes: s.options.MemoryBytes,
		Staleness:   s.options.Staleness,
		EntryMax:    s.options.EntryMax,
		TTL:         s.options.TTL,
	}
	if s.remote != nil {
		options.Remote, options.RemotePolicy = s.remote, s.options.RedisPolicy
		s.buildFleet()
		options.Compress, options.Keys = s.options.RedisCompress, s.options.RedisKeys
	}
	if s.cache, err = engine.New(options); err != nil {
		return misuse("%w", err)
	}
	return nil
}

func (s *Sidecar) buildVerifier() {
	s.verifier = verify.New(verify.Options{
		Cache:   s.cache,
		Confirm: s.follower.Confirm,
		Connect: s.options.followed().connect,
		Purge:   s.purgeTables,

		UnreportedMax: unreportedMax,
		Rate:          verify.Rate{Share: s.options.VerifyShare, PerSecondMax: s.options.VerifyMax},
		Logger:        s.logger.With("part", "verify"),
	})
}

// clientTLS is how clients on TCP are served encrypted, nil if they are not.
func (s *Sidecar) clientTLS() (*tls.Config, error) {
	if s.options.SelfSigned {
		return transport.TLSSelfSigned()
	}
	if s.options.Certificate == (CertificateFiles{}) {
		return nil, nil
	}
	return transport.TLSFromFiles(s.options.Certificate, s.logger.With("part", "wire"))
}

func (s *Sidecar) buildServer(inherited transport.Inherited) (err error) {
	followed := s.options.followed()
	s.analyzer, err = analysis.New(analysis.Options{
		ConnConfig:    followed.Config,
		BeforeConnect: followed.BeforeConnect,
		Watch:         analysis.WatchedBy(s.follower),
		Functions:     s.options.Functions,
		SteadyRoles:   s.options.SteadyRoles,
		Logger:        s.logger.With("part", "analysis"),
	})
	if err != nil {
		return err
	}
	options := wire.Options{
		Upstream:     &s.options.Upstream.Config.Config,
		SocketDir:    s.options.SocketDir,
		Port:         s.options.Port,
		SocketMode:   s.options.SocketMode,
		SocketGroup:  s.options.SocketGroup,
		ListenTCP:    s.options.ListenTCP,
		Passwordless: s.options.Passwordless,
		Inherited:    inherited,
		Drain:        s.options.Drain,
		ClientsMax:   s.options.ClientsMax,
		Rules:        rules.NewSet(s.options.Rules),
		Access:       s.options.Access,
		Verifier:     s.verifier,
		ReportFunc:   s.reportText,
		Cache:        s.cache,
		Fence:        s.fence,
		Follower:     s.follower,
		Analyzer:     s.analyzer,
		Logger:       s.logger.With("part", "wire"),
	}
	if s.standby != nil {
		options.Replica = s.standby
	}
	if options.TLS, err = s.clientTLS(); err != nil {
		return err
	}
	if s.options.LearnColumns {
		options.Learn = s.follower.Learn
	}
	if s.server, err = wire.New(options); err != nil {
		return err
	}
	s.server.ShareServers(s.poolingProblem() != "")
	return nil
}

// Run serves until ctx ends, lets clients finish what they are doing, for a
// bounded time, and returns nil; or until a part fails for good, and returns
// why. It may be called once.
func (s *Sidecar) Run(ctx context.Context) error {
	defer s.Close()
	parts, ctx := errgroup.WithContext(ctx)
	ctx, end := context.WithCancel(ctx)
	defer end()
	// Clients may stay for longer than others can connect: what answers them goes on.
	accepting, leave := context.WithCancel(ctx)
	defer leave()
	parts.Go(func() error { return s.follower.Run(ctx) })
	if s.standby != nil {
		parts.Go(func() error { return s.standby.Run(ctx) })
	}
	if s.options.Follow.Config != nil {
		parts.Go(func() error {
			s.watchPooling(ctx)
			return nil
		})
	}
	parts.Go(func() error { return s.cache.Run(ctx) })
	if s.fleet != nil {
		parts.Go(func() error { return s.fleet.Run(ctx) })
	}
	parts.Go(func() error { return s.verifier.Run(ctx) })
	if s.options.Access != nil {
		parts.Go(func() error { return s.options.Access.Run(ctx) })
	}
	parts.Go(func() error {
		defer end()
		return s.server.Run(accepting)
	})
	if s.admin != nil {
		parts.Go(func() error { return s.admin.Run(accepting) })
	}
	s.listening.Store(true)
	context.AfterFunc(accepting, func() { s.listening.Store(false) })
	s.logListening()
	parts.Go(func() error {
		s.awaitFirstLook(ctx)
		close(s.ready)
		return nil
	})
	parts.Go(func() error {
		s.succeed(ctx, leave)
		return nil
	})
	return parts.Wait()
}

// Close ends what New began, as far as it came. Run does so by itself.
func (s *Sidecar) Close() {
	if s.taken != nil {
		s.taken.Close()
	}
	if s.server != nil {
		s.server.Close()
	}
	if s.admin != nil {
		_ = s.admin.Close() // closed already if it ran
	}
	if s.cache != nil {
		s.cache.Close()
	}
	if s.remote != nil {
		_ = s.remote.Close() // whatever its end, nothing is lost with it
	}
	if s.analyzer != nil {
		s.analyzer.Close()
	}
}

// Ready is closed when clients can connect and the first look has completed,
// or has not within a few seconds; and when Run ends before.
func (s *Sidecar) Ready() <-chan struct{} { return s.ready }

// awaitFirstLook waits a bounded time for a head.
func (s *Sidecar) awaitFirstLook(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstLookWaitMax)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for s.fence.LookBegan() == 0 || s.poolingProblem() == poolingUnknown {
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				s.logger.Warn("serving without a first look: every read goes to Postgres until there is one", "problem", s.follower.Stats().LastError)
			}
			return
		case <-ticker.C:
		}
	}
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

func (s *Sidecar) logListening() {
	attributes := []any{"socket", s.server.SocketPath(), "version", s.options.Version}
	if address := s.server.TCPAddress(); address != nil {
		attributes = append(attributes, "tcp", address.String())
	}
	if s.admin != nil {
		attributes = append(attributes, "page", "http://"+s.admin.Address()+"/")
	}
	s.logger.Info("listening", attributes...)
}
