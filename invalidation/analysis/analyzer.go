package analysis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/invalidation/connection"
)

// Limits of the analyser.
const (
	sessionsMax      = 2                // side sessions open at a time; further analyses wait
	sessionIdleMax   = time.Minute      // after that time without analyses all of them are closed
	analyzeMax       = 10 * time.Second // one analysis, waiting for a session included
	closeMax         = time.Second      // saying goodbye to the server
	statementMax     = 128 << 10        // bytes of a statement
	schemaRetriesMax = 3                // analyses started again because the schema changed meanwhile
)

// ErrSchemaChanging says that the schema changed during every attempt. Pass the
// query through and try again later.
var ErrSchemaChanging = errors.New("analyse statement: the schema keeps changing; the query passes through until it settles")

// ErrClosed says that the Analyzer was closed.
var ErrClosed = errors.New("analyse statement: analyser is closed")

var errSessionsLost = errors.New("analyse statement: every session was lost; the query passes through until the server is back")

// Watch tells which relations are watched at the moment.
type Watch interface {
	// Table returns the watched table that relation oid is, or is a partition or
	// inheritance child of. ok is false when the relation is not watched, or its
	// watch is not trusted now.
	Table(oid uint32) (t WatchedTable, ok bool)
}

// WatchedTable is the root of a watched partition or inheritance tree; a plain
// table is its own root.
type WatchedTable struct {
	Root    uint32   // OID of the root
	Name    string   // schema.table of the root
	Columns []string // watched columns, the preferred one (usually the primary key) first
}

// Request is one statement and what its meaning depends on.
type Request struct {
	SQL        string
	ParamTypes []uint32 // as declared in Parse; 0 or missing = for the server to resolve
	// SearchPath is the client's current_schemas(true): resolved, in order, with
	// the implicit pg_catalog, without a temporary schema that holds nothing.
	SearchPath []string
	// Role is the OID of the client's current role. 0 = not known: tables with row
	// security are refused then, unless they are read as the owner of a view.
	Role uint32
	// Keyed is set if the answer's key holds the values of [Verdict.Settings], the current
	// role and who connected. Otherwise what depends on settings of the application's own is
	// refused, and what row security filters.
	Keyed bool
	// Settings of the client's session by name, in any case. Those that change
	// how a statement is parsed are adopted (standard_conforming_strings,
	// backslash_quote, transform_null_equals, array_nulls, DateStyle, TimeZone,
	// IntervalStyle, lc_monetary, xmloption, default_text_search_config); others
	// are ignored. One that is missing has the value that the side session's role
	// and database give it. A client_encoding other than UTF8 makes every verdict
	// unsupported_server.
	Settings map[string]string
}

// Options configure an Analyzer.
type Options struct {
	// ConnConfig leads to the upstream server, as a role that may connect and read
	// the system catalogs (every role may). Required; it is copied.
	ConnConfig *pgx.ConnConfig
	// BeforeConnect, unless nil, is called before each connection is opened, with what
	// it is opened with: passwords that rotate and tokens that expire are read there.
	BeforeConnect func(context.Context, *pgx.ConnConfig) error
	// Watch returns what is watched now. Required; called for every analysis that
	// reaches the server, and must not call Analyze or Close.
	Watch func() Watch
	// Functions are the functions of the database that the operator vouches for.
	// Default: none.
	Functions []Function
	// SteadyRoles says that nobody gives a role an attribute or a membership for a moment,
	// shorter than the time between two comparisons of roles. Then what depends on attributes
	// counts where the role may not read pg_authid, too. See rolesSQL.
	SteadyRoles bool
	// AnyVersion has statements analysed on servers of versions that were not tested too: to
	// find out what differs there, and never to serve by.
	AnyVersion bool
	// Logger takes what an operator should know. nil means silence.
	Logger *slog.Logger
}

// Analyzer turns statements into verdicts, on a few side sessions of its own. It
// connects when first needed and again after a loss. Use [New]; it may be used
// by any number of goroutines.
type Analyzer struct {
	config        *pgx.ConnConfig
	beforeConnect connection.BeforeFunc
	watch         func() Watch
	anyVersion    bool
	// functions are what the operator says of functions.
	functions   atomic.Pointer[[]Function]
	steadyRoles bool
	log         serverLog

	current  atomic.Pointer[catalog]
	sessions chan *session // sessionsMax slots; a nil stands for one not connected
	// idle closes the sessions, idleMax after the last analysis.
	idle    *time.Timer
	idleMax time.Duration // sessionIdleMax, except in tests

	open  context.Context // ends with Close
	close context.CancelFunc
	once  sync.Once
}

// SetFunctions changes Options.Functions, from the next Forget on. Answers that rest on
// what was declared before have to be ended by the caller, with an event of the schema.
func (a *Analyzer) SetFunctions(functions []Function) error {
	if err := CheckFunctions(functions); err != nil {
		return err
	}
	own := slices.Clone(functions)
	a.functions.Store(&own)
	return nil
}

// New returns an Analyzer. It does not connect yet.
func New(o Options) (*Analyzer, error) {
	if o.ConnConfig == nil || o.Watch == nil {
		return nil, errors.New("create analyser: ConnConfig and Watch are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Analyzer{
		log:           serverLog{logger: o.Logger},
		config:        o.ConnConfig.Copy(),
		beforeConnect: o.BeforeConnect,
		watch:         o.Watch,
		steadyRoles:   o.SteadyRoles,
		anyVersion:    o.AnyVersion,
		sessions:      make(chan *session, sessionsMax),
		idleMax:       sessionIdleMax,
	}
	a.idle = time.AfterFunc(a.idleMax, a.hangUp)
	if err := a.SetFunctions(o.Functions); err != nil {
		return nil, fmt.Errorf("create analyser: %w", err)
	}
	a.open, a.close = context.WithCancel(context.Background())
	for range sessionsMax {
		a.sessions <- nil
	}
	a.Forget()
	return a, nil
}

// Forget drops everything learned from the catalogs. The owner calls it at every
// schema event, after what is watched was verified again. From then on
// [Analyzer.Current] is false for every verdict made before, and analyses in
// progress begin again.
func (a *Analyzer) Forget() { a.current.Store(newCatalog(*a.functions.Load(), a.steadyRoles)) }

// Current tells whether no schema event came since the verdict's analysis began.
// A verdict that is not current must be dropped. Ask before each use: one atomic
// load.
func (a *Analyzer) Current(v *Verdict) bool { return v.generation == a.current.Load() }

// Close closes the side sessions, and waits for analyses in progress, which end
// with an error.
func (a *Analyzer) Close() {
	a.once.Do(func() {
		a.close()
		a.idle.Stop()
		for range sessionsMax {
			if s := <-a.sessions; s != nil {
				s.close()
			}
		}
	})
}

// Analyze returns the verdict on a statement. An error means that it could not
// be told now (connection lost, locked, schema changing, ctx ended): pass the
// query through, perhaps try again later. That a statement may not be cached is
// no error, but a verdict with a reason.
func (a *Analyzer) Analyze(ctx context.Context, r Request) (*Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, analyzeMax)
	defer cancel()
	// Close must not wait for a slow server.
	defer context.AfterFunc(a.open, cancel)()
	if v := a.withoutServer(&r); v != nil {
		return v, nil
	}
	// The server may have left an idle session, by a restart perhaps; all of them,
	// then. A new one tells.
	for range sessionsMax + 1 {
		s, err := a.acquire(ctx)
		if err != nil {
			return nil, err
		}
		reused := s.used
		v, err := a.onSession(ctx, s, &r)
		lost := s.conn.IsClosed()
		a.release(s)
		if err == nil || !reused || !lost || ctx.Err() != nil {
			return v, err
		}
	}
	return nil, errSessionsLost
}

// onSession analyses until a verdict is of the generation it began in.
func (a *Analyzer) onSession(ctx context.Context, s *session, r *Request) (*Verdict, error) {
	s.used = true
	for range schemaRetriesMax {
		generation := a.current.Load()
		v, err := a.attempt(ctx, s, generation, r)
		if err != nil {
			return nil, fmt.Errorf("analyse statement: %w", err)
		}
		// 1. attempt reads the catalogs. 2. The schema changes, its event arrives,
		// Forget. 3. The verdict would be built on what is no longer so: begin
		// again. If 2 comes later, Current says so to the owner. (TestForget)
		v.generation = generation
		if a.Current(v) {
			return v, nil
		}
	}
	return nil, ErrSchemaChanging
}

// withoutServer gives the verdicts that need no server, or nil.
func (a *Analyzer) withoutServer(r *Request) *Verdict {
	generation := a.current.Load()
	no := func(reason Reason, detail string) *Verdict {
		return &Verdict{Reason: reason, Detail: detail, generation: generation}
	}
	if reason := Prescreen(r.SQL, r.standardConforming()); reason != "" && !(reason == ReasonNotSelect && MayHaveEffect(r.SQL)) {
		return no(reason, FirstKeyword(r.SQL))
	}
	if len(r.SQL) > statementMax {
		return no(ReasonTooComplex, "statement of more than "+strconv.Itoa(statementMax)+" bytes")
	}
	if !utf8.ValidString(r.SQL) || strings.IndexByte(r.SQL, 0) >= 0 {
		return no(ReasonSQLError, "not UTF8 text")
	}
	if encoding, ok := r.setting("client_encoding"); ok && !isUTF8Name(encoding) {
		return no(ReasonUnsupportedServer, "client_encoding "+encoding)
	}
	for _, schema := range r.SearchPath {
		if strings.HasPrefix(schema, "pg_temp") {
			return no(ReasonTemporaryTable, schema+" in the search_path")
		}
	}
	return nil
}

func isUTF8Name(encoding string) bool {
	switch strings.ToUpper(strings.ReplaceAll(encoding, "-", "")) {
	case "UTF8", "UNICODE":
		return true
	}
	return false
}

func (r *Request) setting(name string) (string, bool) {
	for n, v := range r.Settings {
		if strings.EqualFold(n, name) {
			return v, true
		}
	}
	return "", false
}

func (r *Request) standardConforming() bool {
	v, ok := r.setting("standard_conforming_strings")
	return !ok || strings.EqualFold(v, "on")
}

func (a *Analyzer) acquire(ctx context.Context) (*session, error) {
	if a.open.Err() != nil {
		return nil, ErrClosed
	}
	select {
	case s := <-a.sessions:
		if s != nil && !s.conn.IsClosed() {
			return s, nil
		}
		s, err := connect(ctx, a.config, a.beforeConnect, &a.log, a.anyVersion)
		if err != nil {
			a.sessions <- nil
			return nil, err
		}
		return s, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for an analysis session: %w", ctx.Err())
	}
}

func (a *Analyzer) release(s *session) {
	if s.conn.IsClosed() {
		s = nil
	}
	a.sessions <- s
	a.idle.Reset(a.idleMax)
}

// hangUp closes the sessions that nobody uses. The next analysis connects again.
func (a *Analyzer) hangUp() {
	for range sessionsMax {
		select {
		case s := <-a.sessions:
			if s != nil {
				s.close()
			}
			a.sessions <- nil
		default: // in use, or closed
			return
		}
	}
}

// attempt is one analysis. A refusal on the way becomes a verdict; what is not cacheable
// has an effect perhaps.
func (a *Analyzer) attempt(ctx context.Context, s *session, c *catalog, r *Request) (*Verdict, error) {
	query, description, err := a.query(ctx, s, r)
	var v *Verdict
	if err == nil {
		v, err = a.examine(ctx, s, c, r, query, description)
	}
	var no *refusal
	if !errors.As(err, &no) {
		return v, err
	}
	v = &Verdict{Reason: no.reason, Detail: no.detail, Said: no.said, Consent: no.consent}
	if !BeginsLikeRead(r.SQL) {
		v.Reason, v.Detail = ReasonNotSelect, FirstKeyword(r.SQL) // whatever else is in the way
	}
	if query != nil {
		return v, a.findEffect(ctx, s, c, r, query, description, v)
	}
	return v, nil
}

func (a *Analyzer) examine(ctx context.Context, s *session, c *catalog, r *Request, query *node, description *pgconn.StatementDescription) (*Verdict, error) {
	if err := checkSelect(query); err != nil {
		return nil, err
	}
	parsed, err := a.read(ctx, s, c, r, query, description)
	if err != nil {
		return nil, err
	}
	v, err := conclude(parsed)
	var no *refusal
	if errors.As(err, &no) && consents(no.reason) {
		no.consent = concludeConsented(parsed)
	}
	return v, err
}

// query has the server parse a statement, which is one query.
func (a *Analyzer) query(ctx context.Context, s *session, r *Request) (*node, *pgconn.StatementDescription, error) {
	if s.unfit != nil {
		return nil, nil, s.unfit
	}
	if err := s.adopt(ctx, r); err != nil {
		return nil, nil, err
	}
	dump, description, err := s.parse(ctx, effectSQL(r.SQL), r.ParamTypes)
	if err != nil {
		return nil, nil, serverSaid(err)
	}
	tree, err := readTree(dump)
	if err != nil {
		return nil, nil, err
	}
	if err := s.leaveSearchPath(ctx); err != nil {
		return nil, nil, err
	}
	query, err := onlyQuery(tree)
	return query, description, err
}

// read asks the server for all that the verdict on a query depends on.
func (a *Analyzer) read(ctx context.Context, s *session, c *catalog, r *Request, query *node, description *pgconn.StatementDescription) (*statement, error) {
	filtered := dropSecurityQuals(query)
	wanted, err := collect(query)
	if err != nil {
		return nil, err
	}
	for _, f := range description.Fields {
		wanted.types[f.DataTypeOID] = true
	}
	for _, p := range description.ParamOIDs {
		wanted.types[p] = true
	}
	if err := c.load(ctx, s.conn, wanted); err != nil {
		return nil, err
	}
	secured, err := c.securedReads(query, filtered)
	if err != nil {
		return nil, err
	}
	if err := c.loadRoles(ctx, s.conn, secured, r.Role); err != nil {
		return nil, err
	}
	policies, inner, err := c.loadPolicies(ctx, s.conn, secured, r.Role, wanted)
	if err != nil {
		return nil, err
	}
	secured = append(secured, inner...)
	if err := c.checkPassing(ctx, s.conn, wanted); err != nil {
		return nil, err
	}
	return &statement{
		policies: policies,
		query:    query, catalog: c, watch: a.watch(),
		text: scan(r.SQL, r.standardConforming()), request: r, description: description,
		types: wanted.types, secured: secured,
	}, nil
}

// serverSaid tells the server's refusal of a statement, which is a verdict, from
// a server that could not answer now.
func serverSaid(err error) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || len(refused.Code) != 5 {
		return err
	}
	switch refused.Code[:2] {
	case "08", "25", "40", "53", "55", "57", "58", "XX":
		return err
	}
	no := refuse(ReasonSQLError, "SQLSTATE "+refused.Code)
	no.said = refused.Message
	return no
}
