// Package pauses measures for how long a sidecar keeps its clients waiting that keeps much in
// memory, beside one that keeps next to nothing: by turns, under the same load, while garbage
// is collected.
//
// A Run starts and ends all servers itself. What stops a program is told by Go's runtime in
// the sidecar; what that is to clients, by the latencies of their hits.
package pauses

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
)

const (
	database = "pauses"
	// hotRows are those whose reads are timed, and are hits. Among garbageEvery of them is one
	// read of largeBytes that never comes again: it makes the garbage. A turn has one at least.
	hotRows      = 100
	garbageEvery = 5
	largeBytes   = 32 << 10
	// little is the --memory of the sidecar that keeps next to nothing.
	little = "2MiB"
	// entryOverhead is what a kept answer takes about besides its value, in bytes.
	entryOverhead = 600
	// fillers are how many clients fill the memory.
	fillers = 8
	// long is a pause, or a wait, that counts.
	long = time.Millisecond
)

// Options say how to run. All are required.
type Options struct {
	// Program is the built freshet.
	Program string
	// Memory is what the one sidecar keeps, in bytes, in answers of Entry bytes.
	Memory int64
	Entry  int
	// Clients ask at once. Each sidecar has Rounds turns of Turn each.
	Clients, Rounds int
	Turn            time.Duration
	// Progress is told of each step.
	Progress func(what string)
}

// Report is what was found.
type Report struct {
	// Memory is what the first side keeps at most, Payload what it keeps of values and
	// Resident by how much it grew while it was filled.
	Memory   int64  `json:"memory"`
	Payload  int64  `json:"payload"`
	Resident int64  `json:"resident"`
	Sides    []Side `json:"sides"`
}

// Side is one of the two sidecars.
type Side struct {
	Name string `json:"name"`
	// Kept are the bytes that it keeps, Resident those that the kernel counts, at the end.
	Kept     int64 `json:"kept"`
	Resident int64 `json:"resident"`
	// Reads were timed in Took, the turns together; Long of them took longer than 1 ms.
	Reads int64         `json:"reads"`
	Took  time.Duration `json:"took"`
	Long  int64         `json:"long"`
	// Of the latencies of these reads.
	P50, P99, P999, Longest time.Duration
	// Collections of garbage, Pauses that they made, LongPauses of more than 1 ms and
	// PauseMost, a bound of all.
	Collections, Pauses, LongPauses int64
	PauseMost                       time.Duration
	// Waits of goroutines for a processor, and those of more than 1 ms.
	Waits, LongWaits int64
	// Computed is the sidecar's processor time meanwhile.
	Computed time.Duration `json:"computed"`

	latencies []time.Duration
	sidecar   *servers.Freshet
	clients   []*pgx.Conn
}

// bed is the servers of a run.
type bed struct {
	Options
	postgres *servers.Postgres
	sides    []*Side
	rows     int64
	// never counts the reads that never come again.
	never atomic.Int64
}

// Run measures.
func Run(ctx context.Context, o Options) (report Report, err error) {
	b := &bed{Options: o, rows: o.Memory/int64(o.Entry+entryOverhead) + 1}
	defer func() { err = errors.Join(err, b.close()) }()
	o.Progress("start the servers")
	if err := b.start(ctx); err != nil {
		return report, fmt.Errorf("start the servers: %w", err)
	}
	full := b.sides[0]
	before, err := full.sidecar.ResidentBytes()
	if err != nil {
		return report, err
	}
	o.Progress(fmt.Sprintf("keep %d answers of %d bytes", b.rows, o.Entry))
	if err := b.fill(ctx); err != nil {
		return report, fmt.Errorf("fill the memory: %w", err)
	}
	after, err := full.sidecar.ResidentBytes()
	if err != nil {
		return report, err
	}
	series, err := full.sidecar.Series(ctx)
	if err != nil {
		return report, err
	}
	report.Memory, report.Resident = o.Memory, after-before
	report.Payload = int64(series["freshet_memory_entries"]) * int64(o.Entry)
	for round := range o.Rounds {
		for _, s := range b.sides {
			o.Progress(fmt.Sprintf("round %d of %d: %s", round+1, o.Rounds, s.Name))
			if err := b.turn(ctx, s); err != nil {
				return report, err
			}
		}
	}
	for _, s := range b.sides {
		if err := s.conclude(ctx); err != nil {
			return report, err
		}
		report.Sides = append(report.Sides, *s)
	}
	return report, nil
}

func (b *bed) start(ctx context.Context) (err error) {
	if b.postgres, err = servers.LaunchPostgres(ctx, servers.PostgresOptions{}); err != nil {
		return err
	}
	if err := b.postgres.Execute(ctx, "postgres", "CREATE DATABASE "+database); err != nil {
		return err
	}
	// What is large must not be made smaller by Postgres, nor take its time to compress.
	if err := b.postgres.Execute(ctx, database, fmt.Sprintf(`
		CREATE TABLE kept (id bigint PRIMARY KEY);
		CREATE TABLE hot (id bigint PRIMARY KEY, body text NOT NULL);
		CREATE TABLE large (id bigint PRIMARY KEY, body text NOT NULL);
		ALTER TABLE large ALTER body SET STORAGE EXTERNAL;
		INSERT INTO kept SELECT n FROM generate_series(1, %d) n;
		INSERT INTO hot SELECT n, md5(n::text) FROM generate_series(1, %d) n;
		INSERT INTO large VALUES (1, repeat('x', %d));
		ANALYZE`, b.rows, hotRows, largeBytes)); err != nil {
		return err
	}
	for _, s := range []struct{ name, memory string }{{"full", fmt.Sprint(b.Memory)}, {"empty", little}} {
		if err := b.startSide(ctx, s.name, s.memory); err != nil {
			return err
		}
	}
	return nil
}

func (b *bed) startSide(ctx context.Context, name, memory string) error {
	sidecar, err := servers.LaunchFreshet(ctx, servers.FreshetOptions{
		Program: b.Program, Owner: b.postgres.DSN(database), Upstream: b.postgres.FollowerDSN(database), Metrics: true,
		Flags: []string{"--memory", memory, "--verify", "0"},
	})
	if err != nil {
		return err
	}
	s := &Side{Name: name, sidecar: sidecar}
	b.sides = append(b.sides, s)
	for range b.Clients {
		conn, err := s.connect(ctx)
		if err != nil {
			return err
		}
		s.clients = append(s.clients, conn)
	}
	return nil
}

func (s *Side) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", s.sidecar.SocketDir(), s.sidecar.Port(), database))
}

// fill has the first sidecar keep an answer for each row.
func (b *bed) fill(ctx context.Context) error {
	var next atomic.Int64
	return together(fillers, func(int) error {
		conn, err := b.sides[0].connect(ctx)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		for id := next.Add(1); id <= b.rows; id = next.Add(1) {
			var body string
			if err := conn.QueryRow(ctx, fmt.Sprintf("SELECT repeat('x', %d) FROM kept WHERE id = $1", b.Entry), id).Scan(&body); err != nil {
				return err
			}
		}
		return nil
	})
}

// together runs several at once, and returns what went wrong.
func together(n int, do func(i int) error) error {
	var all sync.WaitGroup
	problems := make([]error, n)
	for i := range n {
		all.Go(func() { problems[i] = do(i) })
	}
	all.Wait()
	return errors.Join(problems...)
}

// turn puts one sidecar under load.
func (b *bed) turn(ctx context.Context, s *Side) error {
	before, err := s.sidecar.Series(ctx)
	if err != nil {
		return err
	}
	began, computed := time.Now(), s.sidecar.ProcessorTime()
	latencies := make([][]time.Duration, len(s.clients))
	if err := together(len(s.clients), func(i int) (err error) {
		latencies[i], err = b.ask(ctx, s.clients[i], began.Add(b.Turn))
		return err
	}); err != nil {
		return err
	}
	s.Took += time.Since(began)
	s.Computed += s.sidecar.ProcessorTime() - computed
	for _, some := range latencies {
		s.latencies = append(s.latencies, some...)
	}
	after, err := s.sidecar.Series(ctx)
	if err != nil {
		return err
	}
	s.add(before, after)
	return nil
}

// ask asks one thing after the other, and returns how long each hit took.
func (b *bed) ask(ctx context.Context, conn *pgx.Conn, until time.Time) (took []time.Duration, err error) {
	const usual = 1 << 18
	took = make([]time.Duration, 0, usual)
	var body string
	for i := 1; i <= garbageEvery || time.Now().Before(until); i++ {
		if i%garbageEvery == 0 {
			if err := conn.QueryRow(ctx, "SELECT body FROM large WHERE id = 1 AND $1::bigint > 0", b.never.Add(1)).Scan(&body); err != nil {
				return nil, err
			}
			continue
		}
		began := time.Now()
		if err := conn.QueryRow(ctx, "SELECT body FROM hot WHERE id = $1", 1+i%hotRows).Scan(&body); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// conclude reckons from all turns.
func (s *Side) conclude(ctx context.Context) error {
	series, err := s.sidecar.Series(ctx)
	if err != nil {
		return err
	}
	s.Kept, s.Resident = int64(series["freshet_memory_bytes"]), int64(series["process_resident_memory_bytes"])
	slices.Sort(s.latencies)
	s.Reads = int64(len(s.latencies))
	if s.Reads == 0 {
		return errors.New("no read was timed: make turns longer")
	}
	first, _ := slices.BinarySearch(s.latencies, long+1)
	s.Long = s.Reads - int64(first)
	at := func(share float64) time.Duration { return s.latencies[int(share*float64(s.Reads-1))] }
	s.P50, s.P99, s.P999, s.Longest = at(0.5), at(0.99), at(0.999), at(1)
	return nil
}

func (b *bed) close() error {
	var problems []error
	for _, s := range b.sides {
		for _, conn := range s.clients {
			problems = append(problems, conn.Close(context.Background()))
		}
		problems = append(problems, s.sidecar.Close())
	}
	if b.postgres != nil {
		problems = append(problems, b.postgres.Close())
	}
	return errors.Join(problems...)
}
