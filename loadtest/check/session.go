package check

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/library"
)

const (
	// callWaitMax bounds one call. It is longer than any fault, so that a frozen
	// sidecar delays answers and does not look like a lost one.
	callWaitMax = 15 * time.Second
	// connectWaitMax bounds one attempt to connect.
	connectWaitMax = 15 * time.Second
	// reconnectPause is the wait between two attempts.
	reconnectPause = 20 * time.Millisecond
)

// protocol is how statements are sent.
type protocol uint8

const (
	prepared          protocol = iota // a named statement, described once
	simple                            // one Query message, values in the text
	unnamed                           // Parse, Bind and Execute each time
	describedOnce                     // a named statement, described behind a Flush at its first use
	describedEachTime                 // Parse and Describe, a Flush, Bind and Execute
	protocols
)

var protocolNames = [...]string{"prepared", "simple", "unnamed", "described once", "described each time"}

// describes tells whether descriptions are asked for behind a Flush.
func (p protocol) describes() bool { return p == describedOnce || p == describedEachTime }

func (p protocol) mode() pgx.QueryExecMode {
	switch p {
	case simple:
		return pgx.QueryExecModeSimpleProtocol
	case unnamed:
		return pgx.QueryExecModeExec
	default:
		return pgx.QueryExecModeCacheStatement
	}
}

// direct is the door that leads to PostgreSQL itself.
const direct = -1

// session is one client. It belongs to one goroutine, except for its
// connection, which a fault may cut.
type session struct {
	world    *world
	name     string
	door     int // a sidecar, or direct
	level    level
	protocol protocol
	// bound is the staleness that it allows: that of the sidecars, or less if it
	// says so.
	bound  time.Duration
	random *rand.Rand

	conn *pgx.Conn // nil while not connected, and always of a program's client
	// program is the one that the session is a client of, nil if there is none; way is how
	// it reads there; member is nil while it has not joined.
	program *goProgram
	way     library.Way
	member  *library.Session
	// named are the names of statements on the connection, where the protocol is
	// describedOnce.
	named map[string]string
	// epoch is the one in which the connection was opened; memory is of the
	// connection.
	epoch  *epoch
	memory memory
	// block is when the BEGIN was sent of the transaction that it is in, if reads in
	// it promise to reflect what was acknowledged before; otherwise zero.
	block time.Time
}

// newSession makes a client that has yet to connect. number makes its choices
// its own.
func (w *world) newSession(role string, number, door int, l level, p protocol) *session {
	name := fmt.Sprintf("%s %d, %s, %s through ", role, number, l, protocolNames[p])
	if door == direct {
		name += "nothing"
	} else {
		name += fmt.Sprintf("sidecar %d", door)
	}
	return &session{
		world: w, name: name, door: door, level: l, protocol: p, bound: w.options.Bound,
		random: rand.New(rand.NewPCG(w.options.Seed, uint64(number))),
	}
}

// ready connects if need be, and reports whether there is a connection of the
// present epoch. It waits a little after a failure.
func (s *session) ready(ctx context.Context) bool {
	e := s.world.epoch.Load()
	if s.connected() && s.epoch == e {
		return true
	}
	s.close()
	if e == nil { // the database is losing commits
		pause(ctx, reconnectPause)
		return false
	}
	if err := s.connect(ctx, e); err != nil {
		s.world.tally.fail(s.world.label())
		pause(ctx, reconnectPause)
		return false
	}
	return true
}

// connected reports whether there is a connection, or what a program has for one.
func (s *session) connected() bool { return s.conn != nil || s.member != nil }

// connect opens a connection, asking for the level at start-up or with SET.
func (s *session) connect(ctx context.Context, e *epoch) error {
	if s.program != nil {
		m, err := s.program.join(ctx, s, e)
		s.member, s.epoch, s.memory = m, e, newMemory()
		return err
	}
	config, err := pgx.ParseConfig(s.world.fleet.door(s.door))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	config.DefaultQueryExecMode = s.protocol.mode()
	settings := s.settings()
	atStart := s.random.IntN(2) == 0
	if atStart && len(settings) > 0 {
		var options strings.Builder
		for _, setting := range settings {
			fmt.Fprintf(&options, " -c %s=%s", setting.name, setting.value)
		}
		config.RuntimeParams["options"] = options.String()
	}
	connecting, cancel := context.WithTimeout(ctx, connectWaitMax)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, config)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	s.conn, s.epoch, s.memory, s.named = conn, e, newMemory(), map[string]string{}
	s.world.clients.add(s.conn)
	if atStart {
		return nil
	}
	for _, setting := range settings {
		if err := s.exec("SET " + setting.name + " = '" + setting.value + "'"); err != nil {
			return err
		}
	}
	return nil
}

// setting is one of the sidecar's, which SET and the start-up options take.
type setting struct{ name, value string }

// settings are what the session asks its sidecar for, beside the defaults.
func (s *session) settings() (all []setting) {
	if s.door == direct {
		return nil
	}
	if s.level != levelSession {
		all = append(all, setting{"freshet.consistency", s.level.String()})
	}
	if s.bound != s.world.options.Bound {
		all = append(all, setting{"freshet.staleness", s.bound.String()})
	}
	return all
}

// turns takes a turn at a pace until ctx ends. Each connection lasts for a number of
// turns, between the least and the most.
func (s *session) turns(ctx context.Context, pace time.Duration, least, most int, turn func()) {
	defer s.close()
	p := pacer{each: pace}
	left := 0
	for ctx.Err() == nil {
		if left == 0 {
			s.close()
			left = least + s.random.IntN(most-least)
		}
		if !s.ready(ctx) {
			continue
		}
		p.wait(ctx)
		left--
		turn()
	}
}

// close gives the connection up.
func (s *session) close() {
	s.member = nil
	if s.conn == nil {
		return
	}
	s.world.clients.remove(s.conn)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = s.conn.Close(ctx) // whatever its end, nobody uses it again
	s.conn = nil
}

// failed gives the connection up after an error, and says so to the tally. After
// an error of the server it could go on, but a new one is tried oftener so.
func (s *session) failed(err error) error {
	if err != nil {
		s.world.tally.fail(s.world.label())
		s.close()
	}
	return err
}

var errClosed = errors.New("no connection")

// limit bounds the call that follows. A deadline on the socket costs no
// goroutine, as a context would.
func (s *session) limit() error {
	if s.conn == nil {
		return errClosed
	}
	return s.conn.PgConn().Conn().SetDeadline(time.Now().Add(callWaitMax))
}

// exec runs a statement.
func (s *session) exec(sql string, arguments ...any) error {
	if err := s.limit(); err != nil {
		return err
	}
	_, err := s.conn.Exec(context.Background(), sql, arguments...)
	return s.failed(err)
}

// one runs a statement that returns one row. No row is an error that leaves the
// connection alone.
func (s *session) one(sql string, arguments []any, into ...any) error {
	err := s.row(sql, arguments, into)
	if errors.Is(err, pgx.ErrNoRows) || errors.Is(err, errClosed) {
		return err
	}
	return s.failed(err)
}

// row is one as its way of sending statements has it.
func (s *session) row(sql string, arguments, into []any) error {
	if s.member != nil {
		return s.member.One(callWaitMax, sql, arguments, into)
	}
	if err := s.limit(); err != nil {
		return err
	}
	if s.protocol.describes() {
		return s.describedOne(sql, arguments, into)
	}
	return s.conn.QueryRow(context.Background(), sql, arguments...).Scan(into...)
}

// rows runs a statement and calls each for every row, with the pointers filled.
func (s *session) rows(sql string, arguments, into []any, each func()) error {
	if s.member != nil {
		return s.failed(s.member.Rows(callWaitMax, sql, arguments, into, each))
	}
	if err := s.limit(); err != nil {
		return err
	}
	if s.protocol.describes() {
		return s.failed(s.describedQuery(sql, arguments, into, each))
	}
	found, err := s.conn.Query(context.Background(), sql, arguments...)
	if err == nil {
		_, err = pgx.ForEachRow(found, into, func() error { each(); return nil })
	}
	return s.failed(err)
}

// pause waits, or returns early when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// pacer spreads a client's work over time.
type pacer struct {
	each time.Duration
	next time.Time
}

// wait waits until the next piece of work is due. Who fell far behind starts
// anew: there is no rush after a fault.
func (p *pacer) wait(ctx context.Context) {
	now := time.Now()
	if p.next.Before(now.Add(-4 * p.each)) {
		p.next = now
	}
	p.next = p.next.Add(p.each)
	if left := p.next.Sub(now); left > 0 {
		pause(ctx, left)
	}
}
