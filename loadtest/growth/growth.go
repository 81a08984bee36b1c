// Package growth measures whether a sidecar grows while it serves: its memory, what of it
// lives, its goroutines, threads and descriptors, and its outbox in Postgres.
//
// A Run starts and ends all servers itself. Clients read what is kept and what is not, small
// and large answers and statements nobody has sent before; they write through the sidecar and
// past it, fail, give up, hang up and come again, and tables change. What comes and goes must
// leave nothing behind: see Report.Broken.
package growth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

const (
	database = "growth"
	// role is the clients', who may no more than they need.
	role = "client"
	// itemRows are small, of which each shelf has shelfRows. largeRows are of largeBytes.
	itemRows, shelfRows = 1000, 20
	largeRows           = 256
	largeBytes          = 32 << 10
	// memory is the sidecar's: so little that it is full before the run is judged.
	memory = "16MiB"
)

var schema = fmt.Sprintf(`
	CREATE TABLE items (id bigint PRIMARY KEY, shelf bigint NOT NULL, body text NOT NULL);
	CREATE INDEX ON items (shelf);
	CREATE TABLE large (id bigint PRIMARY KEY, body text NOT NULL);
	ALTER TABLE large ALTER body SET STORAGE EXTERNAL;
	CREATE TABLE changing (id bigint PRIMARY KEY);
	INSERT INTO items SELECT n, n / %d, md5(n::text) FROM generate_series(1, %d) n;
	INSERT INTO large SELECT n, repeat('x', %d) FROM generate_series(1, %d) n;
	CREATE ROLE %s LOGIN;
	GRANT SELECT, UPDATE ON items TO %[5]s;
	GRANT SELECT ON large TO %[5]s;
	ANALYZE`, shelfRows, itemRows, largeBytes, largeRows, role)

// Options say how to run. All are required.
type Options struct {
	// Program is the built freshet.
	Program string
	// Duration is how long clients come and go, Rate how many operations they make a second,
	// together, and Sample how often the sidecar is looked at.
	Duration time.Duration
	Rate     int
	Sample   time.Duration
	// Seed decides who does what.
	Seed uint64
	// Progress is told of each sample.
	Progress func(what string)
}

// bed is the servers of a run.
type bed struct {
	Options
	postgres *servers.Postgres
	redis    *servers.Redis
	sidecar  *servers.Freshet
	// owner is a connection past the sidecar, for looks at the outbox alone.
	owner *pgx.Conn
}

// Run serves clients and looks at the sidecar until Duration is over or ctx ends.
func Run(ctx context.Context, o Options) (report Report, err error) {
	b := &bed{Options: o}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.start(ctx); err != nil {
		return report, fmt.Errorf("start the servers: %w", err)
	}
	serving, stop := context.WithTimeout(ctx, o.Duration)
	defer stop()
	all := startClients(serving, b)
	defer func() { report.Operations, report.Errors, report.FirstError = all.wait() }()
	began, ticker := time.Now(), time.NewTicker(o.Sample)
	defer ticker.Stop()
	for {
		select {
		case <-serving.Done():
			return report, ctx.Err()
		case <-ticker.C:
		}
		s, err := b.sample(ctx)
		if err != nil {
			// On a busy machine the sidecar refuses a reader of metrics who would wait too long.
			report.Missed++
			o.Progress("no sample: " + err.Error())
			continue
		}
		s.At = time.Since(began).Round(time.Second)
		report.Samples = append(report.Samples, s)
		o.Progress(s.String())
	}
}

func (b *bed) start(ctx context.Context) (err error) {
	if b.postgres, err = servers.LaunchPostgres(ctx, servers.PostgresOptions{}); err != nil {
		return err
	}
	if b.redis, err = servers.LaunchRedis(ctx, servers.RedisOptions{Settings: map[string]string{"maxmemory": "32mb", "maxmemory-policy": "allkeys-lru"}}); err != nil {
		return err
	}
	if err := b.postgres.Execute(ctx, "postgres", "CREATE DATABASE "+database); err != nil {
		return err
	}
	if err := b.postgres.Execute(ctx, database, schema); err != nil {
		return err
	}
	b.sidecar, err = servers.LaunchFreshet(ctx, servers.FreshetOptions{
		Program: b.Program, Owner: b.postgres.DSN(database), Upstream: b.postgres.FollowerDSN(database), Metrics: true,
		Flags: []string{"--memory", memory, "--redis", b.redis.URL()},
	})
	if err != nil {
		return err
	}
	b.owner, err = pgx.Connect(ctx, b.postgres.DSN(database))
	return err
}

// through is how a client reaches the sidecar.
func (b *bed) through() string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s", b.sidecar.SocketDir(), b.sidecar.Port(), role, database)
}

// sample looks at the sidecar.
func (b *bed) sample(ctx context.Context) (s Sample, err error) {
	series, err := b.sidecar.Series(ctx)
	if err != nil {
		return s, err
	}
	var missing []string
	of := func(name string) float64 {
		value, ok := series[name]
		if !ok {
			missing = append(missing, name)
		}
		return value
	}
	s = Sample{
		// What lives is none before garbage was collected for the first time.
		Resident: of("process_resident_memory_bytes"), Live: of("go_gc_heap_live_bytes"),
		Goroutines: of("go_goroutines"), Threads: of("go_threads"), Descriptors: of("process_open_fds"),
	}
	if missing != nil {
		return s, fmt.Errorf("read the sidecar's metrics: %s are missing", strings.Join(missing, ", "))
	}
	err = b.owner.QueryRow(ctx, "SELECT pg_total_relation_size('freshet.outbox')::float8").Scan(&s.Outbox)
	return s, err
}

func (b *bed) close() error {
	var problems []error
	if b.owner != nil {
		problems = append(problems, b.owner.Close(context.Background()))
	}
	if b.sidecar != nil {
		problems = append(problems, b.sidecar.Close())
	}
	if b.redis != nil {
		problems = append(problems, b.redis.Close())
	}
	if b.postgres != nil {
		problems = append(problems, b.postgres.Close())
	}
	return errors.Join(problems...)
}
