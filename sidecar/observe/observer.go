package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/analysis"
)

// Options configure an Observer. ConnConfig is required.
type Options struct {
	// ConnConfig leads to Postgres, as any role. It is copied.
	ConnConfig *pgx.ConnConfig
	// BeforeConnect, unless nil, is called before each connection is opened.
	BeforeConnect func(context.Context, *pgx.ConnConfig) error
	// Functions are those that the operator would declare.
	Functions []analysis.Function
	// Logger takes what an operator should know. nil means silence.
	Logger *slog.Logger
}

const (
	// unitsMax and bytesMax bound what waits to be looked at.
	unitsMax = 1 << 15
	bytesMax = 64 << 20
	// elsewhereEvery is how often Postgres is asked for its counters of changes.
	elsewhereEvery = 2 * time.Second
)

// Observer plays through what a cache would have done. Use New; Run must run.
type Observer struct {
	options  Options
	logger   *slog.Logger
	analyzer *analysis.Analyzer
	began    time.Time

	units                          chan *unit
	waiting                        atomic.Int64 // bytes
	left, lost                     atomic.Uint64
	clients, clientsTotal, offered atomic.Int64

	// mu guards what is below: Run writes it, Report reads it.
	mu       sync.Mutex
	conn     *pgx.Conn
	state    *invalidation.State
	wished   map[uint32][]string
	meanings map[string]*meaning
	verdicts map[verdictKey]*analysis.Verdict
	shapes   map[string]*shape
	others   *shape
	memory   memory
	changes  changes
	totals   totals
	reasons  map[string]*passing
	install  Installer
}

// Installer is what install would need.
type Installer struct {
	// Role is one that may install, as far as can be told, and FollowerThere says whether
	// there is a role of the name freshet.
	Role          string `json:"role"`
	FollowerThere bool   `json:"follower_there"`
}

// totals are what was counted.
type totals struct {
	statements, reads uint64
	hits              [worlds]uint64
	spent             time.Duration // of reads
	saved             [worlds]time.Duration
	looked            int64
}

// passing is what would pass through for one reason.
type passing struct {
	count   uint64
	spent   time.Duration
	example string
}

// New returns an Observer. It connects to nothing yet.
func New(o Options) (*Observer, error) {
	if o.ConnConfig == nil {
		return nil, errors.New("make observer: ConnConfig is required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	observer := &Observer{
		options: o, logger: o.Logger, began: time.Now(), units: make(chan *unit, unitsMax),
		wished: map[uint32][]string{}, meanings: map[string]*meaning{}, verdicts: map[verdictKey]*analysis.Verdict{},
		shapes: map[string]*shape{}, others: &shape{text: "(others)"}, memory: newMemory(), changes: newChanges(), reasons: map[string]*passing{},
	}
	analyzer, err := analysis.New(analysis.Options{
		ConnConfig: o.ConnConfig, BeforeConnect: o.BeforeConnect, Functions: o.Functions, Logger: o.Logger,
		Watch: func() analysis.Watch { return proposed{observer} },
	})
	observer.analyzer = analyzer
	return observer, err
}

// Start learns which tables there are. It is an error if Postgres cannot be reached.
func (o *Observer) Start(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.learnTables(ctx); err != nil {
		return fmt.Errorf("learn which tables there are: %w", err)
	}
	if err := o.readInstaller(ctx); err != nil {
		return fmt.Errorf("ask for roles: %w", err)
	}
	return o.readChanges(ctx)
}

// installerSQL finds who may install: a superuser who may log in, or where superusers are
// the provider's, the owner of the database.
const installerSQL = `SELECT CASE
		WHEN (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN current_user
		WHEN EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname IN ('rdsadmin', 'cloudsqladmin', 'alloydbadmin', 'azuresu', 'cloud_admin', 'supabase_admin'))
			OR NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolsuper AND rolcanlogin)
			THEN (SELECT pg_catalog.pg_get_userbyid(datdba) FROM pg_catalog.pg_database WHERE datname = current_database())
		ELSE (SELECT rolname FROM pg_catalog.pg_roles WHERE rolsuper AND rolcanlogin ORDER BY oid LIMIT 1) END::text,
	EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'freshet')`

func (o *Observer) readInstaller(ctx context.Context) error {
	conn, err := o.connection(ctx)
	if err != nil {
		return err
	}
	return conn.QueryRow(ctx, installerSQL).Scan(&o.install.Role, &o.install.FollowerThere)
}

// Run looks at what passes until ctx ends, and then at what has passed before.
func (o *Observer) Run(ctx context.Context) error {
	defer o.close()
	asking := context.WithoutCancel(ctx) // each question is bounded
	ticker := time.NewTicker(elsewhereEvery)
	defer ticker.Stop()
	for {
		select {
		case u := <-o.units:
			o.lookAt(asking, u)
		case <-ticker.C:
			o.compareChanges(asking)
		case <-ctx.Done():
			o.finish()
			return nil
		}
	}
}

// finish looks at what waits, for a bounded time.
func (o *Observer) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), askMax)
	defer cancel()
	for ctx.Err() == nil {
		select {
		case u := <-o.units:
			o.lookAt(ctx, u)
		default:
			return
		}
	}
}

func (o *Observer) close() {
	o.analyzer.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = o.conn.Close(ctx)
		o.conn = nil
	}
}

// offer hands a unit to Run, unless too many wait already.
func (o *Observer) offer(u *unit) {
	size := int64(0)
	for i := range u.executions {
		size += int64(len(u.executions[i].bound))
		if u.simple {
			size += int64(len(u.executions[i].sql))
		}
	}
	if o.waiting.Add(size) > bytesMax {
		o.waiting.Add(-size)
		o.left.Add(1)
		return
	}
	u.size = size
	o.offered.Add(1)
	select {
	case o.units <- u:
	default:
		o.offered.Add(-1)
		o.waiting.Add(-size)
		o.left.Add(1)
	}
}

// Settled reports whether all that was offered has been looked at.
func (o *Observer) Settled() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.totals.looked == o.offered.Load()
}

// connection is the observer's own, made when needed and after a loss.
func (o *Observer) connection(ctx context.Context) (*pgx.Conn, error) {
	if o.conn != nil && !o.conn.IsClosed() {
		return o.conn, nil
	}
	config := o.options.ConnConfig.Copy()
	if o.options.BeforeConnect != nil {
		if err := o.options.BeforeConnect(ctx, config); err != nil {
			return nil, err
		}
	}
	var err error
	o.conn, err = pgx.ConnectConfig(ctx, config)
	return o.conn, err
}

// everyTable is what would be watched.
var everyTable = []string{"*.*"}

// learnTables reads which tables could be watched, and with which columns.
func (o *Observer) learnTables(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	conn, err := o.connection(ctx)
	if err != nil {
		return err
	}
	o.state, err = invalidation.Propose(ctx, conn, everyTable)
	return err
}

// definitionsChanged begins anew with all that rests on names and definitions.
func (o *Observer) definitionsChanged(ctx context.Context) {
	if err := o.learnTables(ctx); err != nil {
		o.logger.Warn("cannot learn which tables there are", "error", err)
	}
	clear(o.meanings)
	o.forgetVerdicts()
}

func (o *Observer) forgetVerdicts() {
	clear(o.verdicts)
	o.analyzer.Forget()
}

// proposed is what would be watched: every table that can be, by the columns that install
// would choose and by those that statements look rows up by.
type proposed struct{ o *Observer }

// Table implements analysis.Watch. It is called within Analyze, which Run calls with mu held.
func (p proposed) Table(oid uint32) (analysis.WatchedTable, bool) {
	t, ok := analysis.Watched(p.o.state).Table(oid)
	if more := p.o.wished[t.Root]; len(more) > 0 {
		t.Columns = append(t.Columns[:len(t.Columns):len(t.Columns)], more...)
	}
	return t, ok
}
