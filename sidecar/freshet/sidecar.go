package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
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
	"github.com/freshet/freshet/sidecar/wire"
)

// firstLookWaitMax is how long Ready waits for the first look. Without one the
// sidecar serves too, and passes everything through.
const firstLookWaitMax = 3 * time.Second

// sidecar is one sidecar, put together: its parts know one another only through
// what newSidecar hands them. Several may live in one process.
type sidecar struct {
	config   config
	upstream *pgx.ConnConfig
	primary  *pgx.ConnConfig // where changes are followed: upstream's equal, unless that is a standby
	logger   *slog.Logger
	began    time.Time

	fence    *fence.Fence
	follower *invalidation.Follower
	standby  *invalidation.Standby // nil: upstream is the primary
	remote   *redis.Store          // nil: one tier
	cache    *engine.Cache
	analyzer *analysis.Analyzer
	server   *wire.Server
	admin    *dashboard.Server // nil: off

	listening atomic.Bool
	ready     chan struct{}
}

// newSidecar checks the configuration, listens on the socket and the admin
// address, and waits for nothing: Postgres and Redis may be down. The caller
// must Run it. A nil logger means silence.
func newSidecar(c config, logger *slog.Logger) (*sidecar, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &sidecar{config: c, logger: logger, began: time.Now(), fence: fence.New(fence.Options{}), ready: make(chan struct{})}
	if err := s.build(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *sidecar) build() (err error) {
	// libpq takes a host for a directory only if it begins with a slash.
	if s.config.SocketDir, err = filepath.Abs(s.config.SocketDir); err != nil {
		return usage("find --socket-dir: %w", err)
	}
	if s.upstream, err = s.config.connConfig(); err != nil {
		return err
	}
	flag, dsn := s.config.followed()
	if s.primary, err = parseDSN(flag, dsn); err != nil {
		return err
	}
	if err := s.config.checkDSNs(); err != nil {
		return err
	}
	if err := s.buildCache(); err != nil {
		return err
	}
	if s.config.adminOn() {
		s.admin, err = dashboard.New(dashboard.Options{Address: s.config.Admin, StatsFunc: s.Report, Logger: s.logger.With("part", "dashboard")})
		if err != nil {
			return err
		}
	}
	return s.buildServer()
}

func (s *sidecar) buildCache() (err error) {
	_, dsn := s.config.followed()
	s.follower, err = invalidation.NewFollower(invalidation.FollowerOptions{
		ConnConfig:    s.primary,
		BeforeConnect: s.config.readPassword(dsn),
		Fence:         s.fence,
		Poll:          s.config.Poll,
		Watch:         s.config.Watch,
		// Where definitions are compared, reads are fresh for this much less.
		Definitions: s.config.Staleness / 2,
		// An entry must not outlive the events that could end it.
		Retention: max(s.config.TTL, time.Hour),
		// The server is made after the follower, and before the follower runs.
		OnSchema: func() { s.server.SchemaChanged() },
		Logger:   s.logger.With("part", "follower"),
	})
	if err != nil {
		return err
	}
	if s.config.Primary != "" {
		s.standby, err = invalidation.NewStandby(invalidation.StandbyOptions{
			ConnConfig:    s.upstream,
			BeforeConnect: s.config.readPassword(s.config.Upstream),
			Follower:      s.follower,
			OnReload:      func() { s.server.SchemaChanged() },
			Logger:        s.logger.With("part", "standby"),
		})
		if err != nil {
			return usage("use --upstream as a replica of --primary: %w", err)
		}
	}
	options := engine.Options{
		Fence:       s.fence,
		Confirm:     s.follower.Confirm,
		MemoryBytes: int64(s.config.Memory),
		Staleness:   s.config.Staleness,
		EntryMax:    int(s.config.MaxEntry),
		TTL:         s.config.TTL,
	}
	if s.config.Redis != "" {
		if s.remote, err = redis.New(context.Background(), redis.Options{URL: s.config.Redis, Logger: s.logger.With("part", "redis")}); err != nil {
			return usage("read --redis: %w", err)
		}
		options.Remote, options.Compress = s.remote, s.config.RedisCompress
		if options.Keys, err = readKeyFile(s.config.RedisKeyFile); err != nil {
			return err
		}
	}
	s.cache, err = engine.New(options)
	return err
}

func (s *sidecar) buildServer() (err error) {
	_, dsn := s.config.followed()
	s.analyzer, err = analysis.New(analysis.Options{
		ConnConfig:    s.primary,
		BeforeConnect: s.config.readPassword(dsn),
		Watch:         analysis.WatchedBy(s.follower),
		Functions:     s.config.Function,
		Logger:        s.logger.With("part", "analysis"),
	})
	if err != nil {
		return err
	}
	options := wire.Options{
		Upstream:     &s.upstream.Config,
		SocketDir:    s.config.SocketDir,
		Port:         s.config.Port,
		SocketMode:   fs.FileMode(s.config.SocketMode),
		SocketGroup:  s.config.SocketGroup,
		ListenTCP:    s.config.ListenTCP,
		Passwordless: s.config.Passwordless,
		Cache:        s.cache,
		Fence:        s.fence,
		Follower:     s.follower,
		Analyzer:     s.analyzer,
		Logger:       s.logger.With("part", "wire"),
	}
	if s.standby != nil {
		options.Replica = s.standby
	}
	if s.config.LearnColumns {
		options.Learn = s.follower.Learn
	}
	s.server, err = wire.New(options)
	return err
}

// Run serves until ctx ends, lets clients finish what they are doing, for a
// bounded time, and returns nil; or until a part fails for good, and returns
// why. It may be called once.
func (s *sidecar) Run(ctx context.Context) error {
	defer s.close()
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return s.follower.Run(ctx) })
	if s.standby != nil {
		parts.Go(func() error { return s.standby.Run(ctx) })
	}
	parts.Go(func() error { return s.cache.Run(ctx) })
	parts.Go(func() error { return s.server.Run(ctx) })
	if s.admin != nil {
		parts.Go(func() error { return s.admin.Run(ctx) })
	}
	s.listening.Store(true)
	context.AfterFunc(ctx, func() { s.listening.Store(false) })
	s.logListening()
	parts.Go(func() error {
		s.awaitFirstLook(ctx)
		close(s.ready)
		return nil
	})
	return parts.Wait()
}

// close ends what newSidecar began, as far as it came.
func (s *sidecar) close() {
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
func (s *sidecar) Ready() <-chan struct{} { return s.ready }

// awaitFirstLook waits a bounded time for a head.
func (s *sidecar) awaitFirstLook(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstLookWaitMax)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for s.fence.LookBegan() == 0 {
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

// adminAddress is where the page is; empty if it is off.
func (s *sidecar) adminAddress() string {
	if s.admin == nil {
		return ""
	}
	return s.admin.Address()
}

func (s *sidecar) logListening() {
	attributes := []any{"socket", s.server.SocketPath(), "version", programVersion()}
	if address := s.server.TCPAddress(); address != nil {
		attributes = append(attributes, "tcp", address.String())
	}
	if s.admin != nil {
		attributes = append(attributes, "page", "http://"+s.admin.Address()+"/")
	}
	s.logger.Info("listening", attributes...)
}
