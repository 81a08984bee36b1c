package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/invalidation/analysis"
)

// scoutMax bounds each question of the scout to Postgres.
const scoutMax = 5 * time.Second

// question is something that is to be found out: a state, or with shape the meaning of a
// statement in it.
type question struct {
	book  *book
	state *connectionState
	shape *shape
}

// ask has something found out; it reports false if too much is waited for.
func (db *DB) ask(q question) bool {
	select {
	case db.questions <- q:
		return true
	default:
		return false
	}
}

func newState(scope string, ctx context.Context) *connectionState {
	return &connectionState{scope: scope, ctx: ctx, found: make(chan struct{}), verdicts: map[string]*verdict{}}
}

// again reports whether a state could not be found out, and is to be tried again.
func (s *connectionState) again() bool {
	select {
	case <-s.found:
		return s.err != nil
	default:
		return false
	}
}

// scout finds out what reads need to know, on a connection of its own that is made as the
// pool makes them, and that nobody else uses. It belongs to one goroutine.
type scout struct {
	db    *DB
	conn  *pgx.Conn
	state *connectionState // of conn
}

// run finds out in which state connections are, and answers questions, until ctx ends.
func (s *scout) run(ctx context.Context) {
	defer s.hangUp()
	if !s.db.awaitHead(ctx) {
		return
	}
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.db.changed:
			again.Reset(0)
		case <-again.C:
			if !s.settle(ctx) {
				again.Reset(againAfter)
			}
		case q := <-s.db.questions:
			s.answer(ctx, q)
		}
	}
}

// settle finds out in which state connections are without a scope. It reports false if it
// has to be tried again.
func (s *scout) settle(ctx context.Context) bool {
	b := s.db.book.Load()
	if b == nil || s.db.scope != nil || b.own.Load() != nil {
		s.db.becomeReady()
		return true
	}
	state := newState("", ctx)
	if err := s.enter(ctx, state); err != nil {
		if ctx.Err() == nil {
			s.db.logger.Warn("the state of the pool's connections is not known; every read goes to Postgres", "error", err)
		}
		return false
	}
	if state.reason != "" {
		s.db.logger.Warn("nothing is kept of what the pool's connections read", "reason", state.reason)
		s.db.becomeReady()
		return true
	}
	b.own.Store(state)
	s.db.becomeReady()
	return true
}

// answer answers one question.
func (s *scout) answer(ctx context.Context, q question) {
	if q.shape == nil {
		q.state.err = s.enter(ctx, q.state)
		close(q.state.found)
		return
	}
	m, err := s.examine(ctx, q)
	if err != nil {
		if ctx.Err() == nil {
			s.db.logger.Warn("cannot analyse a statement; it goes to Postgres until that succeeds", "error", err)
		}
		q.shape.fails()
		return
	}
	m.counts = s.db.statements.of(q.shape.sql, q.state.standard(), m)
	q.shape.meaning.Store(m)
	close(q.shape.found)
}

// enter connects as the pool does, and finds out in which state that is.
func (s *scout) enter(ctx context.Context, state *connectionState) error {
	s.hangUp()
	ctx, cancel := context.WithTimeout(ctx, scoutMax)
	defer cancel()
	conn, err := s.connect(values{ctx, state.ctx})
	if err != nil {
		return err
	}
	s.conn, s.state = conn, state
	secured := s.db.follower.State().Secured()
	results, err := conn.PgConn().Exec(ctx, probeForm{secured: secured, incarnation: true, whole: true}.sql()).ReadAll()
	if err != nil {
		s.hangUp()
		return fmt.Errorf("ask for the state of a connection: %w", err)
	}
	row := results[0].Rows[0]
	if state.proof != nil { // another was in between
		return state.compare(row)
	}
	state.probe, state.firstProbe = probeForm{secured: secured, prepared: s.db.prepares}.sql(), probeForm{secured: secured, incarnation: true}.sql()
	state.name = fmt.Sprintf("%s%x", memoPrefix, digestOf([]byte(state.probe)))
	state.types = conn.TypeMap().Copy()
	state.codecs.New = func() any { return newCodec(state.types.Copy()) }
	return state.read(row)
}

// connect makes a connection as the pool makes it and hands it out.
func (s *scout) connect(ctx context.Context) (conn *pgx.Conn, err error) {
	defer recovered("the pool", "a hook", &err)
	pool := s.db.config
	config := pool.ConnConfig.Copy()
	config.Tracer, config.OnNotice, config.OnNotification = nil, nil, nil
	if pool.BeforeConnect != nil {
		if err := pool.BeforeConnect(ctx, config); err != nil {
			return nil, fmt.Errorf("prepare to connect as the pool does: %w", err)
		}
	}
	conn, err = pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect as the pool does: %w", err)
	}
	if err := prepareAsPool(ctx, pool, conn); err != nil {
		closeConn(conn)
		return nil, err
	}
	return conn, nil
}

// prepareAsPool calls the pool's hooks for a connection that is new and handed out.
func prepareAsPool(ctx context.Context, pool *pgxpool.Config, conn *pgx.Conn) error {
	if pool.AfterConnect != nil {
		if err := pool.AfterConnect(ctx, conn); err != nil {
			return fmt.Errorf("prepare a connection as the pool does: %w", err)
		}
	}
	wanted, err := true, error(nil)
	//lint:ignore SA1019 the pool calls it, too
	before := pool.BeforeAcquire
	switch {
	case pool.PrepareConn != nil:
		wanted, err = pool.PrepareConn(ctx, conn)
	case before != nil:
		wanted = before(ctx, conn)
	}
	if err != nil {
		return fmt.Errorf("prepare a connection as the pool does: %w", err)
	}
	if !wanted {
		return errRefused
	}
	return nil
}

// closeConn closes a connection politely, but not for long.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // it is of no use any more, whatever its end was
}

// sqlRefused reports whether Postgres refused a statement for what it says, and will
// again.
func sqlRefused(err error) bool {
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(refusal.Code, "42") || strings.HasPrefix(refusal.Code, "22") || strings.HasPrefix(refusal.Code, "0A"))
}

// errRefused says that a hook of the pool did not want a connection.
var errRefused = errors.New("prepare a connection as the pool does: the pool's hook refuses it")

// examine finds out what a statement means.
func (s *scout) examine(ctx context.Context, q question) (*meaning, error) {
	if reason := analysis.Prescreen(q.shape.sql, q.state.standard()); reason != "" {
		return &meaning{reason: string(reason)}, nil
	}
	if s.state != q.state || s.conn == nil || s.conn.IsClosed() {
		if err := s.enter(ctx, q.state); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, scoutMax)
	defer cancel()
	m := &meaning{number: s.db.shapes.Add(1)}
	description, err := s.conn.Prepare(ctx, "", q.shape.sql)
	if err != nil {
		if refused := sqlRefused(err); refused {
			return &meaning{reason: string(analysis.ReasonSQLError)}, nil
		}
		s.hangUp()
		return nil, fmt.Errorf("describe a statement: %w", err)
	}
	if len(description.Fields) == 0 {
		return &meaning{reason: reasonNoColumns}, nil
	}
	m.describe(q.state, q.shape.sql, description, s.conn.TypeMap().FormatCodeForOID)
	m.verdict, m.literals, err = s.judge(ctx, q, description.ParamOIDs)
	if err != nil {
		return nil, err
	}
	m.reason = string(m.Reason)
	return m, nil
}

// judge returns the verdict on a text, which it may share with others that differ in
// literals, and the literals to fill its tags with.
func (s *scout) judge(ctx context.Context, q question, params []uint32) (*verdict, []analysis.Literal, error) {
	request := analysis.Request{
		SQL: q.shape.sql, ParamTypes: params, SearchPath: q.state.path, Role: q.state.role, Settings: q.state.values,
	}
	template, shared := analysis.NewTemplate(q.shape.sql, q.state.standard())
	shared = shared && len(template.Literals) > 0
	key := fmt.Sprint(params, template.Key)
	if v := q.state.verdicts[key]; shared && v != nil && s.db.analyzer.Current(v.Verdict) && v.HoldsFor(template) {
		return v, template.Literals, nil
	}
	found, err := s.db.analyzer.Analyze(ctx, request)
	if err != nil {
		return nil, nil, err
	}
	v := &verdict{found}
	if !shared || !found.HoldsFor(template) {
		return v, nil, nil
	}
	if len(q.state.verdicts) >= shapesMax {
		clear(q.state.verdicts)
	}
	q.state.verdicts[key] = v
	return v, template.Literals, nil
}

func (s *scout) hangUp() {
	if s.conn != nil {
		closeConn(s.conn)
	}
	s.conn, s.state = nil, nil
}

// values is a context with the values of another.
type values struct {
	context.Context
	of context.Context
}

func (v values) Value(key any) any { return v.of.Value(key) }
