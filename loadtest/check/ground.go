package check

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/freshet/freshet/loadtest/servers"
)

// Ground is servers of PostgreSQL on which scripts are played. Each server is one script's at a
// time, which finds a fresh copy of a filled database there: to start a server and to install
// costs as much as all else that a script does. The zero value has no servers yet; who has used it has
// to Close it. Its methods may be called concurrently.
type Ground struct {
	mu   sync.Mutex
	free []*servers.Postgres
	all  []*servers.Postgres
}

// filled is the database that is copied.
const filled = database + "_filled"

// groundSettings leave a server to its script: autovacuum would come to one that lives for
// longer than a script.
func groundSettings() map[string]string {
	settings := maps.Clone(postgresSettings)
	settings["autovacuum"] = "off"
	return settings
}

// take returns a server with the database as it is after an install of the program, which
// makes no mistake unless its environment says so.
func (g *Ground) take(ctx context.Context, program string) (p *servers.Postgres, err error) {
	if p = g.taken(); p == nil {
		if p, err = g.launch(ctx, program); err != nil {
			return nil, err
		}
	}
	// Of the script before, nothing is left, its connections included.
	err = execute(ctx, p.DSN("postgres"), "DROP DATABASE IF EXISTS "+database+" WITH (FORCE)")
	if err == nil {
		err = p.CopyDatabase(ctx, database, filled)
	}
	if err != nil {
		g.give(p)
		return nil, err
	}
	return p, nil
}

// taken returns a server that nobody has, nil if there is none.
func (g *Ground) taken() (p *servers.Postgres) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if last := len(g.free) - 1; last >= 0 {
		p, g.free = g.free[last], g.free[:last]
	}
	return p
}

// launch starts a server with the database that is copied.
func (g *Ground) launch(ctx context.Context, program string) (*servers.Postgres, error) {
	p, err := servers.LaunchPostgres(ctx, servers.PostgresOptions{Settings: groundSettings()})
	if err != nil {
		return nil, err
	}
	if err := fill(ctx, p, filled, program, nil); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, p)
	return p, nil
}

// give lets another script have a server.
func (g *Ground) give(p *servers.Postgres) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free = append(g.free, p)
}

// Close ends the servers. No script is played on them meanwhile, or later.
func (g *Ground) Close() (err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.all {
		err = errors.Join(err, p.Close())
	}
	g.all, g.free = nil, nil
	return err
}
