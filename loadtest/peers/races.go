package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/loadtest/servers"
)

// A race is an order of events in which a cache may come to hold, for as long as its
// entries live, what is no longer true.
type race struct {
	name string
	// run ends when the write is acknowledged, and all that was under way has ended.
	// Its contenders are two processes.
	run func(ctx context.Context, r *track, first, second *runner) error
}

var allRaces = []race{
	{"a load overtaken by a write", overtaken},
	{"two loads, and a write between them", twoLoads},
	{"a write while a connection is lost", lostConnection},
}

// track is where races are run.
type track struct {
	pool     *pgxpool.Pool
	postgres *servers.Postgres
	at       place
	value    int // in Postgres
}

// runner is a contender whose load can be stopped.
type runner struct {
	contender
	hold atomic.Pointer[gate]
}

// gate stops one load when it has read.
type gate struct{ arrived, opened chan struct{} }

// load reads the value, and waits at the gate if there is one.
func (r *runner) load(read loadFunc) loadFunc {
	return func(ctx context.Context) (int, error) {
		v, err := read(ctx)
		if g := r.hold.Swap(nil); g != nil {
			close(g.arrived)
			<-g.opened
		}
		return v, err
	}
}

// readHeld begins a read whose load stops when it has the value, and returns what lets it
// go on and waits for its end.
func (r *runner) readHeld(ctx context.Context) (release func() error) {
	g := &gate{make(chan struct{}), make(chan struct{})}
	r.hold.Store(g)
	ended := make(chan error, 1)
	go func() {
		_, err := r.read(ctx)
		ended <- err
	}()
	<-g.arrived
	return func() error {
		close(g.opened)
		return <-ended
	}
}

// write changes the value past every cache, as psql does.
func (r *track) write(ctx context.Context) error {
	r.value++
	_, err := r.pool.Exec(ctx, "UPDATE public.prices SET cents = $1 WHERE id = 1", r.value)
	return err
}

// writerPatience is how long a race goes on without a writer whose cache makes him wait
// for the load that is under way.
const writerPatience = 200 * time.Millisecond

// tells lets the writer do what he has to, and returns what waits for him.
func (r *runner) tells(ctx context.Context) (done func() error) {
	ended := make(chan error, 1)
	go func() { ended <- r.wrote(ctx) }()
	var err error
	select {
	case err = <-ended:
		return func() error { return err }
	case <-time.After(writerPatience):
		return func() error { return <-ended }
	}
}

// overtaken: a load has read, the value is written, and the writer does what he has to;
// then the load ends.
func overtaken(ctx context.Context, r *track, first, _ *runner) error {
	release := first.readHeld(ctx)
	if err := r.write(ctx); err != nil {
		return err
	}
	told := first.tells(ctx)
	return errors.Join(release(), told())
}

// twoLoads: a load of one process has read; the other process writes, and loads; then the
// first load ends.
func twoLoads(ctx context.Context, r *track, first, second *runner) error {
	release := first.readHeld(ctx)
	if err := r.write(ctx); err != nil {
		return err
	}
	told := second.tells(ctx)
	_, err := second.read(ctx)
	return errors.Join(err, release(), told())
}

// lostConnection: both have the value; messages are lost while it is written.
func lostConnection(ctx context.Context, r *track, first, second *runner) error {
	for _, c := range []*runner{first, second} {
		if _, err := c.read(ctx); err != nil {
			return err
		}
	}
	r.at.messages.setCut(true)
	err := r.write(ctx)
	_ = second.wrote(ctx) // it fails, and the write is done
	r.at.messages.setCut(false)
	return err
}

// patience is how long after a write its effect may be waited for: Freshet's bound of a
// second, and as much again.
const patience = 2 * time.Second

// judge runs a race with two contenders and says whether one of them is stale afterwards.
func (r *track) judge(ctx context.Context, race race, e entrant, redis *servers.Redis) (verdict string, err error) {
	var messages *link
	if e.follows {
		messages, err = newLink("unix", fmt.Sprintf("%s/.s.PGSQL.%d", r.postgres.SocketDir(), r.postgres.Port()))
	} else {
		messages, err = newLink("unix", redis.SocketPath())
	}
	if err != nil {
		return "", err
	}
	defer messages.close()
	r.at.messages, r.at.redis, r.at.prefix = messages, messages.address(), rand.Text()
	var both [2]*runner
	for i := range both {
		both[i] = &runner{}
		c, err := e.make(ctx, r.at, both[i].load)
		if err != nil {
			return "", err
		}
		defer c.close()
		both[i].contender = c
	}
	if err := race.run(ctx, r, both[0], both[1]); err != nil {
		return "", err
	}
	select {
	case <-time.After(patience):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	for _, c := range both {
		got, err := c.read(ctx)
		if err != nil {
			return "", err
		}
		if got != r.value {
			return "STALE", nil
		}
	}
	return "right", nil
}

// races runs each race with each entrant, and prints who is stale when it is over.
func races(ctx context.Context, to io.Writer) error {
	postgres, err := servers.LaunchPostgres(ctx, servers.PostgresOptions{})
	if err != nil {
		return err
	}
	defer postgres.Close()
	redis, err := servers.LaunchRedis(ctx, servers.RedisOptions{})
	if err != nil {
		return err
	}
	defer redis.Close()
	pool, err := pgxpool.New(ctx, postgres.DSN("postgres"))
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, "CREATE TABLE public.prices (id int PRIMARY KEY, cents int); INSERT INTO public.prices VALUES (1, 0)"); err != nil {
		return err
	}
	r := &track{pool: pool, postgres: postgres, at: place{postgres: postgres.DSN("postgres")}}
	fmt.Fprintf(to, "\nRaces: what either of two processes reads %v after a write\n\n%-30s", patience, "")
	for _, race := range allRaces {
		fmt.Fprintf(to, "  %-36s", race.name)
	}
	fmt.Fprintln(to)
	for _, e := range entrants {
		fmt.Fprintf(to, "%-30s", e.name)
		for _, race := range allRaces {
			verdict, err := r.judge(ctx, race, e, redis)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", race.name, e.name, err)
			}
			fmt.Fprintf(to, "  %-36s", verdict)
			if e.follows && verdict != "right" {
				return fmt.Errorf("%s: %s is %s", race.name, e.name, verdict)
			}
		}
		fmt.Fprintln(to)
	}
	return nil
}
