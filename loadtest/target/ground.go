package target

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/loadtest/servers"
)

// template is the database that each target's is a copy of.
const template = "filled"

// Ground is the Postgres on which all targets stand, at a distance or not.
type Ground struct {
	postgres *servers.Postgres
	// distance is nil where there is none.
	distance *servers.Distance
	apart    time.Duration
}

// settings are those of a small server as people run it, except that nothing is durable: a
// benchmark of reads should not be one of a disk.
var settings = map[string]string{"shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "30min", "jit": "on"}

// serverSessions are those of the targets themselves, and of whoever compares.
const serverSessions = 100

// Fill fills a database, as its owner, and creates the clients' role.
type Fill func(ctx context.Context, on *Ground, at Place) error

// SQL fills a database with statements.
func SQL(setup string) Fill {
	return func(ctx context.Context, on *Ground, at Place) error {
		return on.postgres.Execute(ctx, at.Database, setup)
	}
}

// NewGround starts Postgres for a number of sessions and fills a database. The caller must
// Close it.
func NewGround(ctx context.Context, fill Fill, sessions int, distance time.Duration) (*Ground, error) {
	chosen := maps.Clone(settings)
	chosen["max_connections"] = strconv.Itoa(sessions + serverSessions)
	postgres, err := servers.LaunchPostgres(ctx, servers.PostgresOptions{Settings: chosen})
	if err != nil {
		return nil, err
	}
	g := &Ground{postgres: postgres, apart: distance}
	if err := g.prepare(ctx, fill); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func (g *Ground) prepare(ctx context.Context, fill Fill) (err error) {
	if g.apart > 0 {
		socket := filepath.Join(g.postgres.SocketDir(), ".s.PGSQL."+strconv.Itoa(g.postgres.Port()))
		if g.distance, err = servers.NewDistance(socket, g.apart); err != nil {
			return err
		}
	}
	if err := g.postgres.Execute(ctx, "postgres", "CREATE DATABASE "+template); err != nil {
		return err
	}
	owner, err := pgconn.ParseConfig(g.postgres.DSN(template))
	if err != nil {
		return fmt.Errorf("fill a database: %w", err)
	}
	if err := fill(ctx, g, Place{owner.Host, int(owner.Port), owner.User, owner.Database}); err != nil {
		return err
	}
	return g.postgres.Execute(ctx, template, "VACUUM ANALYZE")
}

// database makes a target's database, a copy of the filled one.
func (g *Ground) database(ctx context.Context, target string) (string, error) {
	name := "of_" + strings.NewReplacer("+", "_", "-", "_").Replace(target)
	return name, g.postgres.Execute(ctx, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+template)
}

// place is where targets find Postgres.
func (g *Ground) place() (host string, port int) {
	if g.distance != nil {
		return g.distance.SocketDir(), g.postgres.Port()
	}
	return g.postgres.SocketDir(), g.postgres.Port()
}

// Near opens a session with Postgres itself, past a target and every distance, in the
// target's database.
func (g *Ground) Near(ctx context.Context, t Target, protocol Protocol) (Session, error) {
	at, _ := t.Place()
	return dial(ctx, g.postgres.SocketDir(), g.postgres.Port(), at.Database, protocol)
}

// Beside opens a session with Postgres past a target, as another program of its users would.
func (g *Ground) Beside(ctx context.Context, t Target, protocol Protocol) (Session, error) {
	host, port := g.place()
	at, _ := t.Place()
	return dial(ctx, host, port, at.Database, protocol)
}

// Process is Postgres.
func (g *Ground) Process() Process { return Process{"postgres", g.postgres.ProcessorTime} }

// Tool finds a client program of Postgres.
func (g *Ground) Tool(name string) (string, error) { return g.postgres.Tool(name) }

// Versions are those of what stands on the ground.
func (g *Ground) Version(ctx context.Context) (string, error) {
	conn, err := pgconn.Connect(ctx, g.postgres.DSN("postgres"))
	if err != nil {
		return "", fmt.Errorf("connect to Postgres: %w", err)
	}
	defer conn.Close(ctx)
	return conn.ParameterStatus("server_version"), nil
}

// Close ends Postgres.
func (g *Ground) Close() error {
	var err error
	if g.distance != nil {
		err = g.distance.Close()
	}
	return errors.Join(err, g.postgres.Close())
}
