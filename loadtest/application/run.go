package application

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/loadtest/stale"
	"github.com/freshet/freshet/loadtest/target"
)

// Options say how an application is driven. All are required.
type Options struct {
	// Program is the built freshet.
	Program string
	// Clients send requests, each the next one when the last is answered; Writes of them write.
	Clients int
	Writes  float64
	// Each side has its turn in each round, and one before the first, of Warm, that is not counted.
	Rounds     int
	Turn, Warm time.Duration
	Seed       uint64
	// Watch is what is watched beside all tables by their keys, as freshet install --watch
	// reads it; Flags are further flags of freshet serve.
	Watch, Flags []string
	// Progress is told of each step.
	Progress func(what string)
}

// The databases: the one that the application fills, and its copies.
const (
	filled  = "filled"
	direct  = "direct"
	through = "through"
)

// sessionsMax is how many sessions of Postgres there may be.
const sessionsMax = 200

// game is the run of one application.
type game struct {
	Options
	name       string
	app        Application
	postgres   *servers.Postgres
	statistics *pgx.Conn
	sides      []*side
	// witness is the application on the sidecar's database, without the sidecar.
	witness *side
	report  Report
}

// side is the application's process on one database, and the clients of it.
type side struct {
	game     *game
	name     string
	database string
	// sidecar is nil where the application connects to Postgres itself. peer is the cache that
	// it has in place of one, whose Redis is redis; empty of none.
	sidecar *servers.Freshet
	peer    string
	redis   *servers.Redis
	// judge knows what was written; nil unless the application is Judged.
	judge   *stale.Judge
	program *servers.Program
	address Address
	clients []*Client
	// turns are those that count, all is their sum.
	turns []figures
	all   figures
	// latencies are in microseconds.
	latencies *hdrhistogram.Histogram
	judgement judgement
}

// Run drives an application.
func Run(ctx context.Context, name string, o Options) (report Report, err error) {
	app, err := find(name)
	if err != nil {
		return Report{}, err
	}
	g := &game{Options: o, name: name, app: app}
	defer func() { err = errors.Join(err, g.close()) }()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"fill a database", g.fill},
		{"start it three times", g.start},
		{"compare and warm up", g.prepare},
		{"put it under load", g.play},
		{"compare again", g.conclude},
	} {
		o.Progress(step.what)
		if err := step.do(ctx); err != nil {
			return g.report, fmt.Errorf("%s: %s: %w", name, step.what, err)
		}
	}
	return g.report, nil
}

// close ends everything. An application may have something of its own to remove.
func (g *game) close() (err error) {
	for _, s := range append(g.sides, g.witness) {
		if s != nil {
			err = errors.Join(err, s.close())
		}
	}
	if c, ok := g.app.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	if g.statistics != nil {
		_ = g.statistics.Close(context.Background()) // the server ends
	}
	if g.postgres != nil {
		err = errors.Join(err, g.postgres.Close())
	}
	return err
}

func (s *side) close() (err error) {
	for _, c := range s.clients {
		c.close()
	}
	if s.program != nil {
		err = s.program.Close()
	}
	if s.sidecar != nil {
		err = errors.Join(err, s.sidecar.Close())
	}
	if s.redis != nil {
		err = errors.Join(err, s.redis.Close())
	}
	return err
}

// fill starts Postgres, and has the application fill a database.
func (g *game) fill(ctx context.Context) (err error) {
	g.postgres, err = servers.LaunchPostgres(ctx, servers.PostgresOptions{Settings: map[string]string{
		"max_connections": strconv.Itoa(sessionsMax), "shared_buffers": "256MB", "max_wal_size": "4GB",
		"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track_planning": "on",
	}})
	if err != nil {
		return err
	}
	if g.statistics, err = pgx.Connect(ctx, g.postgres.DSN("postgres")); err != nil {
		return err
	}
	for _, sql := range []string{
		"CREATE EXTENSION pg_stat_statements", "CREATE ROLE " + role + " LOGIN", "CREATE DATABASE " + filled + " OWNER " + role,
	} {
		if _, err := g.statistics.Exec(ctx, sql); err != nil {
			return err
		}
	}
	p, err := servers.NewProgram(g.name)
	if err != nil {
		return err
	}
	err = g.app.Fill(ctx, p, g.place(filled))
	if err := errors.Join(err, p.Close()); err != nil {
		return err
	}
	return g.postgres.Execute(ctx, filled, "VACUUM ANALYZE")
}

// place is where a database is, without a sidecar.
func (g *game) place(database string) target.Place {
	return target.Place{Host: g.postgres.SocketDir(), Port: g.postgres.Port(), User: role, Database: database}
}

// start starts all sides and the witness.
func (g *game) start(ctx context.Context) (err error) {
	g.sides = []*side{{name: direct, database: direct}, {name: "freshet", database: through}}
	if app, ok := g.app.(Judged); ok {
		for _, peer := range app.Peers() {
			g.sides = append(g.sides, &side{name: peer, database: peer, peer: peer})
		}
	}
	for _, s := range g.sides {
		if _, err := g.statistics.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s OWNER %s", s.database, filled, role)); err != nil {
			return err
		}
	}
	if g.sides[1].sidecar, err = servers.LaunchFreshet(ctx, servers.FreshetOptions{
		Program: g.Program, Owner: g.postgres.DSN(through), Upstream: g.postgres.FollowerDSN(through), Watch: g.Watch, Flags: g.Flags,
	}); err != nil {
		return err
	}
	g.witness = &side{name: "witness", database: through}
	for _, s := range append(g.sides, g.witness) {
		s.game = g
		if err := s.start(ctx); err != nil {
			return fmt.Errorf("side %s: %w", s.name, err)
		}
	}
	return nil
}

// place is where the side's application finds its database.
func (s *side) place() target.Place {
	at := s.game.place(s.database)
	if s.sidecar != nil {
		at.Host, at.Port = s.sidecar.SocketDir(), s.sidecar.Port()
	}
	return at
}

func (s *side) start(ctx context.Context) (err error) {
	if s.program, err = servers.NewProgram(s.game.name); err != nil {
		return err
	}
	if err := s.serve(ctx); err != nil {
		return err
	}
	s.latencies = newHistogram()
	// The first client is who compares; the others are the load.
	for user := range s.game.Clients + 1 {
		c := newClient(s.address, s.game.Seed+uint64(user))
		s.clients = append(s.clients, c)
		if err := s.game.app.Enter(ctx, c, user); err != nil {
			return fmt.Errorf("enter as user %d: %w", user, err)
		}
		if s.judge == nil {
			continue
		}
		if c.other, err = pgx.Connect(ctx, s.game.place(s.database).DSN()); err != nil {
			return err
		}
	}
	return nil
}

// serve starts the side's application, with its peer if it has one.
func (s *side) serve(ctx context.Context) (err error) {
	app, judged := s.game.app.(Judged)
	if judged {
		s.judge = stale.New(app.Rows(), 0)
	}
	if s.peer == "" {
		s.address, err = s.game.app.Serve(ctx, s.program, s.place(), s.game.Clients+1)
		return err
	}
	if s.redis, err = servers.LaunchRedis(ctx, servers.RedisOptions{}); err != nil {
		return err
	}
	s.address, err = app.ServeWith(ctx, s.program, s.place(), s.game.Clients+1, s.peer, s.redis)
	return err
}

// prepare compares answers, and lets each side warm up.
func (g *game) prepare(ctx context.Context) error {
	if err := g.compare(ctx); err != nil {
		return err
	}
	for _, s := range g.sides {
		if _, err := s.turn(ctx, g.Warm); err != nil {
			return err
		}
		s.latencies, s.judgement = newHistogram(), judgement{}
	}
	_, err := g.statistics.Exec(ctx, "SELECT pg_stat_statements_reset()")
	return err
}

// play lets both sides have their turns.
func (g *game) play(ctx context.Context) error {
	for round := range g.Rounds {
		for _, s := range g.sides {
			turn, err := s.turn(ctx, g.Turn)
			if err != nil {
				return err
			}
			s.turns = append(s.turns, turn)
			s.all.add(turn)
			g.Progress(fmt.Sprintf("round %d of %d: %-7s %8.1f requests/s", round+1, g.Rounds, s.name, turn.requests/turn.seconds))
		}
	}
	return nil
}

// conclude reads what is told of the turns, and compares again.
func (g *game) conclude(ctx context.Context) error {
	if err := g.tell(ctx); err != nil {
		return err
	}
	return g.compare(ctx)
}

// turn puts a side under load for some time. A request that fails is an error.
func (s *side) turn(ctx context.Context, length time.Duration) (f figures, err error) {
	before, err := s.read(ctx)
	if err != nil {
		return f, err
	}
	began := time.Now()
	var mu sync.Mutex // guards f, err and what else clients add up below
	var all sync.WaitGroup
	for _, c := range s.clients[1:] {
		all.Go(func() {
			took, failed := s.drive(ctx, c, began.Add(length))
			mu.Lock()
			defer mu.Unlock()
			for _, t := range took {
				f.requests++
				f.waited += t.Seconds()
				record(s.latencies, t)
			}
			s.judgement.add(c.judgement)
			c.judgement = judgement{}
			err = errors.Join(err, failed)
		})
	}
	all.Wait()
	f.seconds = time.Since(began).Seconds()
	if err := errors.Join(err, ctx.Err()); err != nil {
		return f, fmt.Errorf("side %s: %w", s.name, err)
	}
	after, err := s.read(ctx)
	f.reading = after.since(before)
	return f, err
}

// drive has a client send one request after the other until a time, or until one fails, and
// returns how long each took.
func (s *side) drive(ctx context.Context, c *Client, until time.Time) (took []time.Duration, err error) {
	for time.Now().Before(until) && ctx.Err() == nil {
		request := c.draw(s.game.app, s.game.Writes)
		began := time.Now()
		if err := s.send(ctx, c, request); err != nil {
			return took, fmt.Errorf("%s: %w", request.Name, err)
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// send sends a request, and judges its answer where that shows what it is of.
func (s *side) send(ctx context.Context, c *Client, request Request) (err error) {
	app, judged := s.game.app.(Judged)
	switch {
	case judged && request.Writes:
		return c.change(ctx, app, s.judge, request.Row)
	case judged:
		return c.look(ctx, app, s.judge, request)
	}
	_, err = c.Send(ctx, request)
	return err
}

// Latencies are in microseconds, to three digits.
const longest = 5 * time.Minute

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longest.Microseconds(), 3)
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(max(1, min(d.Microseconds(), longest.Microseconds()))) // it is within bounds
}
