package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/loadtest/stale"
)

const (
	// glance is the pause between two reads of who waits for a commit to be shown: times
	// are as exact as that.
	glance = time.Millisecond
	// between bounds how long no commit is made before one that is timed, so that a fleet
	// has fallen asleep.
	between = 200 * time.Millisecond
	// shownMax bounds the wait for a commit to be shown.
	shownMax = 10 * time.Second
	// joiningFirst is how many reads of a late sidecar are counted apart.
	joiningFirst = 100
)

// Run measures each fleet, and returns what was found so far also if it fails.
func Run(ctx context.Context, o Options) (cases []Case, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	postgres, err := launchPostgres(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, postgres.Close()) }()
	for _, kind := range o.Kinds {
		for _, n := range o.Sidecars {
			c, err := measure(ctx, o, postgres, n, kind)
			if err != nil {
				return cases, fmt.Errorf("measure %d sidecars with %s: %w", n, kind, err)
			}
			cases = append(cases, c)
		}
	}
	return cases, nil
}

// measure starts a fleet, measures it, and ends it.
func measure(ctx context.Context, o Options, postgres *servers.Postgres, n int, kind Kind) (c Case, err error) {
	o.say("%d sidecars, %s: start", n, kind)
	b, err := newBed(ctx, o, postgres, n, kind)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	c.Sidecars, c.Shared = n, kind
	tally := &tally{bound: o.Staleness}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"connections", func() error { return b.connections(ctx, &c) }},
		{"quiet", func() (err error) { c.Quiet, err = b.cost(ctx, nil); return err }},
		{"cold keys", func() error { return b.cold(ctx, &c.Cold, tally) }},
		{"commits, until all show them", func() (err error) { c.ShownQuiet, err = b.shown(ctx, tally); return err }},
		{"writes", func() (err error) { c.Writing, err = b.cost(ctx, b.write); return err }},
		{"commits under writes, until all show them", func() (err error) { c.ShownWriting, err = b.shownUnderWrites(ctx, tally); return err }},
		{"reads under writes", func() error { return b.readUnderWrites(ctx, tally) }},
		{"a late sidecar", func() error { return b.joining(ctx, &c.Joining, tally) }},
	} {
		o.say("%d sidecars, %s: %s", n, kind, step.what)
		if err := step.do(); err != nil {
			return c, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	c.Reads = tally.reads()
	return c, nil
}

// connections counts the sidecars' own sessions.
func (b *bed) connections(ctx context.Context, c *Case) error {
	names, err := b.sessions(ctx)
	if err != nil {
		return err
	}
	c.ConnectionsBy = map[string]float64{}
	for _, name := range names {
		c.ConnectionsBy[name] += 1 / float64(c.Sidecars)
	}
	c.Connections = float64(len(names)) / float64(c.Sidecars)
	return nil
}

// look reads one row and judges what it shows.
func (b *bed) look(ctx context.Context, conn *pgx.Conn, key int64, t *tally) (version int64, err error) {
	var r stale.Reading
	r.Begin(b.judge, key, key)
	if err := conn.QueryRow(ctx, read, key).Scan(&version); err != nil {
		return 0, fmt.Errorf("read row %d: %w", key, err)
	}
	r.Row(key, version)
	t.judged(r.Behind())
	return version, nil
}

// store writes one row past the sidecars, and returns its version when that was acknowledged.
func (b *bed) store(ctx context.Context, conn *pgx.Conn, key int64) (version int64, err error) {
	return version, b.judge.Write(key, func(v int64) error {
		version = v
		_, err := conn.Exec(ctx, "UPDATE items SET version = $2 WHERE id = $1", key, v)
		return err
	})
}

// learn has every sidecar understand the statement: reads until one is a hit.
func (b *bed) learn(ctx context.Context, conns []*pgx.Conn, t *tally) error {
	key := int64(b.options.Rows - 1)
	for range 20 {
		for _, conn := range conns {
			if _, err := b.look(ctx, conn, key, t); err != nil {
				return err
			}
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// scans is how often the rows were looked up by their key, as Postgres counts it. Sessions
// report that when they end.
func (b *bed) scans(ctx context.Context) (n int64, err error) {
	if err := pause(ctx, 200*time.Millisecond); err != nil { // for sessions to end in
		return 0, err
	}
	err = b.near.QueryRow(ctx, "SELECT idx_scan FROM pg_stat_user_tables WHERE relname = 'items'").Scan(&n)
	return n, err
}

// cold asks all sidecars for one key after the other at the same moment.
func (b *bed) cold(ctx context.Context, c *Cold, t *tally) error {
	conns, err := b.clients(ctx)
	if err != nil {
		return err
	}
	err = b.learn(ctx, conns, t)
	closeAll(conns)
	if err != nil {
		return err
	}
	before, err := b.scans(ctx)
	if err != nil {
		return err
	}
	if conns, err = b.clients(ctx); err != nil {
		return err
	}
	c.Keys = b.options.Cold
	for key := range int64(c.Keys) {
		if err := together(conns, func(conn *pgx.Conn) error {
			_, err := b.look(ctx, conn, key, t)
			return err
		}); err != nil {
			closeAll(conns)
			return err
		}
	}
	closeAll(conns)
	after, err := b.scans(ctx)
	c.Loads = after - before
	return err
}

// together does the same with all sessions at once.
func together(conns []*pgx.Conn, do func(*pgx.Conn) error) error {
	start, failures := make(chan struct{}), make([]error, len(conns))
	var doing sync.WaitGroup
	for i, conn := range conns {
		doing.Go(func() {
			<-start
			failures[i] = do(conn)
		})
	}
	close(start)
	doing.Wait()
	return errors.Join(failures...)
}

// write writes rows at a steady pace for one phase.
func (b *bed) write(ctx context.Context) (events int64, err error) {
	conn, err := connect(ctx, b.postgres.DSN(b.database))
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.Background())
	began := time.Now()
	for ; time.Since(began) < b.options.Phase; events++ {
		at := began.Add(time.Duration(events) * time.Second / time.Duration(b.options.Writes))
		if err := pause(ctx, time.Until(at)); err != nil {
			return events, err
		}
		if _, err := b.store(ctx, conn, b.writtenKey(events)); err != nil {
			return events, err
		}
	}
	return events, nil
}

// writtenKey deals the writes out over the last rows but one, none of which is timed or
// asked for as a cold key.
func (b *bed) writtenKey(n int64) int64 {
	const some = 50
	return int64(b.options.Rows) - 2 - n%some
}

// shown times commits, each after a pause, until every sidecar shows them.
func (b *bed) shown(ctx context.Context, t *tally) (s Shown, err error) {
	conns, err := b.clients(ctx)
	if err != nil {
		return s, err
	}
	defer closeAll(conns)
	const key = 0
	var times []time.Duration
	for i := range b.options.Commits {
		if err := together(conns, func(conn *pgx.Conn) error { _, err := b.look(ctx, conn, key, t); return err }); err != nil {
			return s, err
		}
		if err := pause(ctx, between/2+between/2*time.Duration(i%7)/7); err != nil {
			return s, err
		}
		version, err := b.store(ctx, b.near, key)
		if err != nil {
			return s, err
		}
		took, err := b.untilShown(ctx, conns, key, version, t)
		if err != nil {
			return s, err
		}
		times = append(times, took)
	}
	return summarize(times), nil
}

// untilShown waits until every sidecar shows a version that has just been acknowledged.
func (b *bed) untilShown(ctx context.Context, conns []*pgx.Conn, key, version int64, t *tally) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, shownMax)
	defer cancel()
	began := time.Now()
	err := together(conns, func(conn *pgx.Conn) error {
		for {
			seen, err := b.look(ctx, conn, key, t)
			if err != nil || seen >= version {
				return err
			}
			if err := pause(ctx, glance); err != nil {
				return err
			}
		}
	})
	return time.Since(began), err
}

// shownUnderWrites is shown while other rows are written.
func (b *bed) shownUnderWrites(ctx context.Context, t *tally) (s Shown, err error) {
	writing, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := b.write(writing); err != nil {
				ended <- err
				return
			}
		}
	}()
	s, err = b.shown(ctx, t)
	stop()
	if writeErr := <-ended; writeErr != nil && !errors.Is(writeErr, context.Canceled) {
		err = errors.Join(err, writeErr)
	}
	return s, err
}

// readUnderWrites reads the written rows everywhere for a phase, and is there for the judge.
func (b *bed) readUnderWrites(ctx context.Context, t *tally) error {
	conns, err := b.clients(ctx)
	if err != nil {
		return err
	}
	defer closeAll(conns)
	written := make(chan error, 1)
	var over atomic.Bool
	go func() {
		_, err := b.write(ctx)
		over.Store(true)
		written <- err
	}()
	err = together(conns, func(conn *pgx.Conn) error {
		for n := int64(0); !over.Load(); n++ {
			if _, err := b.look(ctx, conn, b.writtenKey(n), t); err != nil {
				return err
			}
			if err := pause(ctx, glance); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, <-written)
}

// joining has one sidecar load half of the rows, and another start and read them.
func (b *bed) joining(ctx context.Context, j *Joining, t *tally) error {
	j.Reads = b.options.Rows / 2
	scan := func(sidecar int) (first, all int64, err error) {
		conn, err := b.client(ctx, sidecar)
		if err != nil {
			return 0, 0, err
		}
		conns := []*pgx.Conn{conn}
		defer func() { closeAll(conns) }()
		if err := b.learn(ctx, conns, t); err != nil {
			return 0, 0, err
		}
		closeAll(conns)
		before, err := b.scans(ctx)
		if err != nil {
			return 0, 0, err
		}
		for key := range int64(j.Reads) {
			if key == 0 || key == joiningFirst { // a session counts when it ends
				closeAll(conns)
				if key > 0 {
					if first, err = b.scans(ctx); err != nil {
						return 0, 0, err
					}
				}
				if conns[0], err = b.client(ctx, sidecar); err != nil {
					return 0, 0, err
				}
			}
			if _, err := b.look(ctx, conns[0], key, t); err != nil {
				return 0, 0, err
			}
		}
		closeAll(conns)
		all, err = b.scans(ctx)
		return first - before, all - before, err
	}
	if _, _, err := scan(0); err != nil {
		return err
	}
	if err := pause(ctx, time.Second); err != nil { // for all to be published
		return err
	}
	if err := b.startSidecar(ctx); err != nil {
		return err
	}
	first, all, err := scan(len(b.sidecars) - 1)
	j.First = 1 - float64(first)/joiningFirst
	j.All = 1 - float64(all)/float64(j.Reads)
	return err
}

// summarize sorts times.
func summarize(times []time.Duration) Shown {
	slices.Sort(times)
	at := func(share float64) float64 {
		return float64(times[int(share*float64(len(times)-1)+0.5)].Microseconds()) / 1000
	}
	return Shown{Commits: len(times), P50: at(0.5), P99: at(0.99), Max: at(1)}
}

// tally counts what the judge said. Its methods may be called concurrently.
type tally struct {
	bound time.Duration
	mu    sync.Mutex
	found Reads
}

func (t *tally) judged(behind time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.found.Judged++
	if behind > 0 {
		t.found.Behind++
		t.found.OldestMS = max(t.found.OldestMS, float64(behind.Microseconds())/1000)
	}
	if behind > t.bound {
		t.found.Stale++
	}
}

func (t *tally) reads() Reads {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.found
}
