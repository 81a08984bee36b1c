package fleet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/loadtest/stale"
)

// read is the statement that clients of the fleet send.
const read = "SELECT version FROM items WHERE id = $1"

// settle is how long servers that have just started are left alone, so that what they do
// once is over.
const settle = 2 * time.Second

// schema makes the rows; their ids count from 0.
const schema = `CREATE TABLE items (id bigint PRIMARY KEY, version bigint NOT NULL, filler text NOT NULL);
INSERT INTO items SELECT n, 1, repeat('x', 100) FROM generate_series(0, %d - 1) n;
ANALYZE items`

// bed is one fleet with its servers.
type bed struct {
	options  Options
	postgres *servers.Postgres
	database string
	redis    []*servers.Redis
	cluster  *servers.RedisCluster // nil: redis is one
	url      string
	sidecars []*servers.Freshet
	judge    *stale.Judge
	// near is a session past the sidecars, of whoever measures and writes.
	near *pgx.Conn
}

// newBed starts a Redis and a fleet over a database of their own. The caller must close it.
func newBed(ctx context.Context, o Options, postgres *servers.Postgres, sidecars int, kind Kind) (*bed, error) {
	b := &bed{options: o, postgres: postgres, database: fmt.Sprintf("of_%d_%s", sidecars, kind), judge: stale.New(int64(o.Rows), 0)}
	err := b.fill(ctx)
	if err == nil {
		err = b.startRedis(ctx, kind)
	}
	for range sidecars {
		if err == nil {
			err = b.startSidecar(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, pause(ctx, settle)
}

func (b *bed) fill(ctx context.Context) error {
	if err := b.postgres.Execute(ctx, "postgres", "CREATE DATABASE "+b.database); err != nil {
		return err
	}
	if err := b.postgres.Execute(ctx, b.database, fmt.Sprintf(schema, b.options.Rows)); err != nil {
		return err
	}
	var err error
	b.near, err = connect(ctx, b.postgres.DSN(b.database))
	return err
}

func (b *bed) startRedis(ctx context.Context, kind Kind) (err error) {
	if kind == Cluster {
		if b.cluster, err = servers.LaunchCluster(ctx, 3); err != nil {
			return err
		}
		b.redis, b.url = b.cluster.Nodes(), b.cluster.URL()
		return nil
	}
	one, err := servers.LaunchRedis(ctx, servers.RedisOptions{})
	if err != nil {
		return err
	}
	b.redis, b.url = []*servers.Redis{one}, "unix://"+one.SocketPath()
	return nil
}

// startSidecar adds one to the fleet. It asks Redis for everything: with cheap reads it would
// find out that Postgres is sooner.
func (b *bed) startSidecar(ctx context.Context) error {
	flags := []string{"--redis", b.url, "--redis-policy", "always", "--verify", "0", "--staleness", b.options.Staleness.String()}
	f, err := servers.LaunchFreshet(ctx, servers.FreshetOptions{
		Program: b.options.Program, Owner: b.postgres.DSN(b.database), Upstream: b.postgres.FollowerDSN(b.database),
		Flags: append(flags, b.options.Flags...),
	})
	if err == nil {
		b.sidecars = append(b.sidecars, f)
	}
	return err
}

// client connects to one sidecar.
func (b *bed) client(ctx context.Context, sidecar int) (*pgx.Conn, error) {
	s := b.sidecars[sidecar]
	return connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", s.SocketDir(), s.Port(), b.database))
}

// clients connects one client to each sidecar. The caller must closeAll.
func (b *bed) clients(ctx context.Context) ([]*pgx.Conn, error) {
	var all []*pgx.Conn
	for i := range b.sidecars {
		conn, err := b.client(ctx, i)
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, conn)
	}
	return all, nil
}

func (b *bed) close() error {
	var errs []error
	if b.near != nil {
		errs = append(errs, b.near.Close(context.Background()))
	}
	for _, s := range b.sidecars {
		errs = append(errs, s.Close())
	}
	if b.cluster != nil {
		errs = append(errs, b.cluster.Close())
	} else {
		for _, r := range b.redis {
			errs = append(errs, r.Close())
		}
	}
	errs = append(errs, b.postgres.Execute(context.Background(), "postgres", "DROP DATABASE IF EXISTS "+b.database+" WITH (FORCE)"))
	return errors.Join(errs...)
}

func connect(ctx context.Context, dsn string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("connect for a fleet: %w", err)
	}
	return conn, nil
}

func closeAll(all []*pgx.Conn) {
	for _, conn := range all {
		_ = conn.Close(context.Background()) // nobody waits for it
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// launchPostgres starts the server of all fleets, with room for their sessions.
func launchPostgres(ctx context.Context, o Options) (*servers.Postgres, error) {
	most := 0
	for _, n := range o.Sidecars {
		most = max(most, n)
	}
	const perSidecar, others = 8, 50
	return servers.LaunchPostgres(ctx, servers.PostgresOptions{Settings: map[string]string{
		"max_connections": strconv.Itoa(perSidecar*(most+1) + others), "shared_buffers": "128MB"}})
}
