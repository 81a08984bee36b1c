package run

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/fleet"
	"github.com/freshet/freshet/sidecar/internal/histogram"
	"github.com/freshet/freshet/sidecar/internal/rules"
	"github.com/freshet/freshet/sidecar/internal/verify"
	"github.com/freshet/freshet/sidecar/wire"
)

// stack is all that one database needs: its follower and fence, tiers, analysis, sessions
// and counters. A sidecar has one for each of its databases. They share listeners, limits
// of clients and the page, and nothing that an answer depends on: one whose Postgres is
// away, or whose memory is full, changes nothing for the clients of another.
type stack struct {
	of      *Sidecar
	name    string  // of the database, as clients ask for it
	options Options // with the DSNs and the share of the memory of this one
	logger  *slog.Logger
	began   time.Time

	fence      *fence.Fence
	follower   *invalidation.Follower
	standby    *invalidation.Standby // nil: upstream is the primary
	remote     *redis.Store          // nil: one tier
	fleet      *fleet.Fleet          // nil: one tier
	cache      *engine.Cache
	analyzer   *analysis.Analyzer
	verifier   *verify.Verifier
	distrusted distrusted
	server     *wire.Server

	// eventDelay is how long events took to arrive, at most: the follower observes it.
	eventDelay histogram.Histogram
	// endings are what has ended answers lately.
	endings endings
	// redisTimes are how long exchanges with Redis took: the store observes them.
	redisTimes redisTimes
	// connections are the sidecar's own to Postgres.
	connections openConnections

	// installed is set once what this version needs was found to be in place. What is
	// installed over it later, for another version, sends nobody away who is served.
	installed atomic.Bool

	// pooling is what notePooling found last, or that it is not known. It is never nil.
	pooling atomic.Pointer[string]
	// twin is what noteTwin was told last. It is never nil.
	twin atomic.Pointer[string]
}

// newStack returns a stack of which nothing is built yet.
func newStack(of *Sidecar, name string, o Options) *stack {
	s := &stack{of: of, name: name, options: o, logger: o.Logger, began: time.Now(), fence: fence.New(fence.Options{})}
	if len(o.Databases) > 0 {
		s.logger = s.logger.With("database", name)
	}
	unknown, none := "", ""
	s.twin.Store(&none)
	if o.Follow.Config != nil {
		unknown = poolingUnknown
	}
	s.pooling.Store(&unknown)
	return s
}

// buildParts makes all but the server.
func (s *stack) buildParts() error {
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
	return nil
}

// buildRouted makes all, with a server for those clients of front that ask for the database.
func (s *stack) buildRouted(front *wire.Server) error {
	if err := s.buildParts(); err != nil {
		return err
	}
	return s.buildServer(wire.Options{Route: &wire.Route{Front: front, Database: s.name, UpstreamDatabase: s.options.Upstream.name()}})
}

// run runs all parts but the server, whose clients the front serves, until ctx ends.
func (s *stack) run(ctx context.Context, parts *errgroup.Group) {
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
	if s.remote != nil {
		parts.Go(func() error {
			s.watchRedisRoom(ctx)
			return nil
		})
	}
	if s.fleet != nil {
		parts.Go(func() error { return s.fleet.Run(ctx) })
	}
	parts.Go(func() error { return s.verifier.Run(ctx) })
}

// close ends what was built, as far as it came.
func (s *stack) close() {
	if s.server != nil {
		s.server.Close()
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

// awaitFirstLook waits for a head until ctx ends.
func (s *stack) awaitFirstLook(ctx context.Context) {
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

func (s *stack) buildRemote() (err error) {
	if s.options.RedisURL == "" {
		return nil
	}
	s.remote, err = redis.New(context.Background(), redis.Options{URL: s.options.RedisURL, OnCall: s.redisTimes.observe, Logger: s.logger.With("part", "redis")})
	if err != nil {
		return misuse("read --redis: %w", err)
	}
	return nil
}

func (s *stack) buildFollower() (err error) {
	followed, changeable := s.options.followed(), s.options.Changeable()
	s.follower, err = invalidation.NewFollower(invalidation.FollowerOptions{
		ConnConfig:    counted(followed.Config, &s.connections.follower),
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
		// The server is made after the follower, and before the follower runs.
		OnDistrusted: s.distrusted.listed,
		Logger:       s.logger.With("part", "follower"),
	})
	if err != nil {
		return misuse("%w", err)
	}
	return nil
}

func (s *stack) buildStandby() (err error) {
	s.standby, err = invalidation.NewStandby(invalidation.StandbyOptions{
		ConnConfig:    counted(s.options.Upstream.Config, &s.connections.follower),
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

func (s *stack) buildCache() (err error) {
	options := engine.Options{
		Fence:       s.fence,
		Confirm:     s.follower.Confirm,
		Wake:        s.follower.Wake,
		Ended:       s.noteEnded,
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

func (s *stack) buildVerifier() {
	followed := s.options.followed()
	followed.Config = counted(followed.Config, &s.connections.verify)
	s.verifier = verify.New(verify.Options{
		Cache:   s.cache,
		Confirm: s.follower.Confirm,
		Connect: followed.connect,
		Purge:   s.endTables,

		Fence:         s.fence,
		ShapeID:       rules.ShapeID,
		Distrust:      s.distrust,
		UnreportedMax: unreportedMax,
		Rate:          verify.Rate{Share: s.options.VerifyShare, PerSecondMax: s.options.VerifyMax},
		Logger:        s.logger.With("part", "verify"),
	})
}

// buildServer makes the server; o says how clients come to it.
func (s *stack) buildServer(o wire.Options) (err error) {
	followed := s.options.followed()
	s.analyzer, err = analysis.New(analysis.Options{
		ConnConfig:    counted(followed.Config, &s.connections.analysis),
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
		Inherited:    o.Inherited,
		Route:        o.Route,
		Drain:        s.options.Drain,
		ClientsMax:   s.options.clientsMax(),
		AllowedUIDs:  s.options.AllowedUIDs,
		Rules:        rules.NewSet(s.options.Rules),
		Access:       s.options.Access,
		Verifier:     s.verifier,
		WarmFrom:     s.options.WarmFrom,
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
	if o.Route == nil {
		if options.TLS, err = s.clientTLS(); err != nil {
			return err
		}
	}
	if s.options.LearnColumns {
		options.Learn = s.follower.Learn
	}
	if s.server, err = wire.New(options); err != nil {
		return err
	}
	s.distrusted.begin(s.server.SetRules, s.options.Rules, s.options.VerifyBypass)
	s.server.ShareServers(s.poolingProblem() != "")
	return nil
}
