package invalidation

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// The benchmarks of this file measure what a watched table costs its writers.
// Ways of writing are compared in one run, taking turns, so that what slows the
// machine down slows all of them down.

// slice is how long one way writes before it is the next one's turn.
const slice = 250 * time.Millisecond

// naiveTrigger is what a cache without a doorbell would install.
const naiveTrigger = `
CREATE FUNCTION naive() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN PERFORM pg_notify('naive', TG_TABLE_NAME || '/id=' || NEW.id); RETURN NULL; END$$;
CREATE TRIGGER naive AFTER INSERT OR UPDATE ON naive FOR EACH ROW EXECUTE FUNCTION naive();`

// way is one way of writing a row: a database, and a table in it.
type way struct {
	name  string
	dsn   string
	table string
}

// writeCost holds a server whose commits take a millisecond, as on a network
// disk, and the ways to compare: no trigger; one NOTIFY a row; ours while a
// follower is awake; ours where no follower is, who would have to be rung for.
type writeCost struct {
	ways     []way
	follower *Follower
	awake    *pgx.Conn // of the database with the follower
	nobody   *pgx.Conn // of the database without
}

func newWriteCost(b *testing.B, rows int) *writeCost {
	b.Helper()
	pg := servers.StartPostgres(b, servers.PostgresOptions{Settings: map[string]string{
		"fsync": "on", "commit_delay": "1000", "commit_siblings": "0", "max_wal_size": "4GB"}})
	c := &writeCost{}
	open := func(tables ...string) (string, *pgx.Conn) {
		dsn := pg.DSN(pg.CreateDatabase(b))
		conn := benchConn(b, dsn)
		for _, table := range tables {
			benchRun(b, conn, "CREATE TABLE "+table+" (id int PRIMARY KEY, v int) WITH (fillfactor = 50)",
				fmt.Sprintf("INSERT INTO %s SELECT g, 0 FROM generate_series(1, %d) g", table, rows))
		}
		return dsn, conn
	}
	withFollower, awake := open("bare", "naive", "watched")
	benchRun(b, awake, naiveTrigger)
	without, nobody := open("watched")
	for _, conn := range []*pgx.Conn{awake, nobody} {
		if _, err := Install(b.Context(), conn, Options{Watch: []string{"public.watched"}, FollowerRoles: []string{servers.Follower}}); err != nil {
			b.Fatal(err)
		}
	}
	c.awake, c.nobody = awake, nobody
	c.ways = []way{{"bare", withFollower, "bare"}, {"naive", withFollower, "naive"}, {"awake", withFollower, "watched"}, {"nobody", without, "watched"}}
	c.follower = benchFollower(b, withFollower, FollowerOptions{})
	return c
}

func benchConn(b *testing.B, dsn string) *pgx.Conn {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func benchRun(b *testing.B, conn *pgx.Conn, statements ...string) {
	b.Helper()
	for _, s := range statements {
		if _, err := conn.PgConn().Exec(b.Context(), s).ReadAll(); err != nil {
			b.Fatalf("%s: %v", s, err)
		}
	}
}

// BenchmarkWriteCost is the throughput of updates of single rows. Each operation
// is a turn of every way; its own time means nothing.
func BenchmarkWriteCost(b *testing.B) {
	const rows = 10_000
	c := newWriteCost(b, rows)
	for _, writers := range []int{1, 16} {
		conns := make([][]*pgx.Conn, len(c.ways))
		for i, w := range c.ways {
			for range writers {
				conns[i] = append(conns[i], benchConn(b, w.dsn))
			}
		}
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			written, spent := make([]int64, len(c.ways)), make([]time.Duration, len(c.ways))
			for turn := 0; b.Loop(); turn++ {
				for k := range c.ways {
					i := (k + turn) % len(c.ways)
					began := time.Now()
					written[i] += writeFor(b, conns[i], c.ways[i].table, rows)
					spent[i] += time.Since(began)
				}
			}
			rate := func(i int) float64 { return float64(written[i]) / spent[i].Seconds() }
			for i, w := range c.ways {
				b.ReportMetric(rate(i), w.name+"-tps")
				b.ReportMetric(100*rate(i)/rate(0), w.name+"-%")
			}
		})
	}
}

// writeFor updates single rows on all connections at once, for one slice.
func writeFor(b *testing.B, conns []*pgx.Conn, table string, rows int) int64 {
	b.Helper()
	var written atomic.Int64
	var writers sync.WaitGroup
	statement := "UPDATE " + table + " SET v = v + 1 WHERE id = $1"
	end := time.Now().Add(slice)
	for w, conn := range conns {
		writers.Go(func() {
			// Each has rows of its own: no waiting for row locks.
			for i := w; time.Now().Before(end); i = (i + len(conns)) % rows {
				if _, err := conn.Exec(b.Context(), statement, i+1); err != nil {
					b.Error(err)
					return
				}
				written.Add(1)
			}
		})
	}
	writers.Wait()
	return written.Load()
}

// BenchmarkBulkWriteCost is the time of statements that change many rows, and of
// COPY. The naive way is left out where it takes minutes.
func BenchmarkBulkWriteCost(b *testing.B) {
	const naiveRowsMax = 100_000
	for _, rows := range []int{1, 1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("update/rows=%d", rows), func(b *testing.B) {
			c := newWriteCost(b, rows)
			c.compare(b, rows <= naiveRowsMax, func(w way, conn *pgx.Conn) time.Duration {
				began := time.Now()
				benchRun(b, conn, "UPDATE "+w.table+" SET v = v + 1")
				took := time.Since(began)
				if rows > 1000 {
					benchRun(b, conn, "VACUUM "+w.table)
				}
				return took
			})
		})
	}
	b.Run("copy/rows=100000", func(b *testing.B) {
		const rows = 100_000
		c := newWriteCost(b, 0)
		c.compare(b, true, func(w way, conn *pgx.Conn) time.Duration {
			source := pgx.CopyFromSlice(rows, func(i int) ([]any, error) { return []any{i, i}, nil })
			began := time.Now()
			if _, err := conn.CopyFrom(b.Context(), pgx.Identifier{w.table}, []string{"id", "v"}, source); err != nil {
				b.Fatal(err)
			}
			took := time.Since(began)
			benchRun(b, conn, "TRUNCATE "+w.table)
			return took
		})
	})
}

// compare lets the ways take turns and reports the median time of each.
func (c *writeCost) compare(b *testing.B, naive bool, write func(way, *pgx.Conn) time.Duration) {
	b.Helper()
	took := make([][]time.Duration, len(c.ways))
	// The first time is another: caches are cold, plans are made.
	for turn := -1; turn < 0 || b.Loop(); turn++ {
		for i, w := range c.ways {
			conn := c.awake
			if w.name == "nobody" {
				conn = c.nobody
			}
			if w.name == "naive" && !naive {
				continue
			}
			if t := write(w, conn); turn >= 0 {
				took[i] = append(took[i], t)
			}
		}
	}
	bare := percentile(took[0], 50)
	for i, w := range c.ways {
		if len(took[i]) > 0 {
			b.ReportMetric(milliseconds(percentile(took[i], 50)), w.name+"-ms")
			b.ReportMetric(float64(percentile(took[i], 50))/float64(bare), w.name+"-times")
		}
	}
}

// BenchmarkEventLatency is the time from the acknowledged commit until a follower
// that slept has received its event.
func BenchmarkEventLatency(b *testing.B) {
	const samples = 200
	c := newWriteCost(b, 1)
	var waits []time.Duration
	for b.Loop() {
		for range samples {
			for c.follower.Stats().Awake {
				time.Sleep(time.Millisecond)
			}
			before := c.follower.Stats().Events
			benchRun(b, c.awake, "UPDATE watched SET v = v + 1")
			began := time.Now()
			for c.follower.Stats().Events == before {
				time.Sleep(20 * time.Microsecond)
			}
			waits = append(waits, time.Since(began))
		}
	}
	b.ReportMetric(milliseconds(percentile(waits, 50)), "p50-ms")
	b.ReportMetric(milliseconds(percentile(waits, 99)), "p99-ms")
	b.ReportMetric(milliseconds(slices.Max(waits)), "max-ms")
}

func percentile(of []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// outboxEvents is how many events BenchmarkOutbox pushes through.
var outboxEvents = flag.Int("outbox-events", 200_000, "how many events BenchmarkOutbox pushes through the outbox")

// BenchmarkOutbox pushes events through an outbox that is trimmed meanwhile, and
// reports its size with indexes: the largest in each quarter of the run, which
// does not grow if trimming leaves no bloat. Time is scaled down: what is an hour
// of retention and a minute between two rounds of autovacuum is seconds here.
func BenchmarkOutbox(b *testing.B) {
	const retention, poll, writers, perTransaction = 250 * time.Millisecond, 50 * time.Millisecond, 2, 500
	pg := servers.StartPostgres(b, servers.PostgresOptions{Settings: map[string]string{
		"autovacuum_naptime": "1s", "autovacuum_vacuum_cost_delay": "0", "max_wal_size": "2GB"}})
	dsn := pg.DSN(pg.CreateDatabase(b))
	conn := benchConn(b, dsn)
	benchRun(b, conn, "CREATE TABLE watched (id int PRIMARY KEY, v int) WITH (fillfactor = 50)", "INSERT INTO watched SELECT g, 0 FROM generate_series(1, 1000) g")
	if _, err := Install(b.Context(), conn, Options{Watch: []string{"public.watched"}, FollowerRoles: []string{servers.Follower}}); err != nil {
		b.Fatal(err)
	}
	f := benchFollower(b, dsn, FollowerOptions{Retention: retention, Poll: poll})
	var largest [4]int64
	for b.Loop() {
		var pushed atomic.Int64
		var group sync.WaitGroup
		for w := range writers {
			writer := benchConn(b, dsn)
			burst := fmt.Sprintf("DO $$ BEGIN FOR i IN 1..%d LOOP UPDATE watched SET v = v + 1 WHERE id = %d + i; END LOOP; END $$", perTransaction, w*perTransaction)
			group.Go(func() {
				for pushed.Add(perTransaction) <= int64(*outboxEvents) {
					if _, err := writer.PgConn().Exec(b.Context(), burst).ReadAll(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { group.Wait(); close(done) }()
		watchOutbox(b, conn, done, &pushed, &largest)
	}
	for i, size := range largest {
		b.ReportMetric(float64(size)/1e6, fmt.Sprintf("quarter%d-MB", i+1))
	}
	b.ReportMetric(float64(*outboxEvents)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	resets := f.Stats().Resets
	b.ReportMetric(float64(resets[resetOverflow]+resets[resetTrimmed]), "resets")
}

// watchOutbox notes the largest size in each quarter until the writers are done.
func watchOutbox(b *testing.B, conn *pgx.Conn, done <-chan struct{}, pushed *atomic.Int64, largest *[4]int64) {
	b.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		var size int64
		if err := conn.QueryRow(b.Context(), "SELECT pg_total_relation_size('freshet.outbox')").Scan(&size); err != nil {
			b.Fatal(err)
		}
		quarter := min(int(4*pushed.Load()/int64(*outboxEvents)), 3)
		largest[quarter] = max(largest[quarter], size)
	}
}

// benchFollower runs a follower and waits for its first look.
func benchFollower(b *testing.B, dsn string, o FollowerOptions) *Follower {
	b.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		b.Fatal(err)
	}
	config.User = servers.Follower
	o.ConnConfig, o.Fence = config, fence.New(fence.Options{})
	f, err := NewFollower(o)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-done
	})
	for deadline := time.Now().Add(waitMax); f.Confirm(b.Context(), fence.Now()) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("the follower has made no look")
		}
	}
	return f
}
