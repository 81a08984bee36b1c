package invalidation

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// benchmark starts a follower on an idle database.
func benchmark(b *testing.B) (*Follower, *pgx.Conn) {
	b.Helper()
	pg := servers.SharedPostgres(b)
	config, err := pgx.ParseConfig(pg.DSN(pg.CreateDatabase(b)))
	if err != nil {
		b.Fatal(err)
	}
	conn, err := connect(b.Context(), config, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closeConn(conn) })
	if _, err := conn.Exec(b.Context(), "CREATE TABLE public.t (id int PRIMARY KEY)"); err != nil {
		b.Fatal(err)
	}
	if _, err := Install(b.Context(), conn, Options{Watch: []string{"public.*"}, FollowerRoles: []string{servers.Follower}}); err != nil {
		b.Fatal(err)
	}
	config.User = servers.Follower
	f, err := NewFollower(FollowerOptions{ConnConfig: config, Fence: fence.New(fence.Options{}), Logger: slog.New(slog.DiscardHandler)})
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
	return f, conn
}

// BenchmarkConfirm is the wait of one strong read; the round trip beside it is
// what a query that does nothing takes on the same machine.
func BenchmarkConfirm(b *testing.B) {
	f, conn := benchmark(b)
	b.Run("confirm", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := f.Confirm(b.Context(), fence.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("roundtrip", func(b *testing.B) {
		for b.Loop() {
			if _, err := conn.Exec(b.Context(), "SELECT 1"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		before := f.Stats().Looks
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := f.Confirm(b.Context(), fence.Now()); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(f.Stats().Looks-before)/float64(b.N), "looks/op")
	})
}

// BenchmarkLook is one look at an outbox with many old rows and no new one.
func BenchmarkLook(b *testing.B) {
	f, conn := benchmark(b)
	if _, err := conn.Exec(b.Context(), "INSERT INTO freshet.outbox (tags) SELECT '{x}' FROM generate_series(1, 100000)"); err != nil {
		b.Fatal(err)
	}
	if err := f.Confirm(b.Context(), fence.Now()); err != nil {
		b.Fatal(err)
	}
	head := f.fence.Head().Snapshot
	b.ReportAllocs()
	for b.Loop() {
		if _, err := look(b.Context(), conn, head); err != nil {
			b.Fatal(err)
		}
	}
}
