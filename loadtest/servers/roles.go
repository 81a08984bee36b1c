package servers

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// shareWith has the server launched with options, and say at its end whether its tests have changed
// roles, if these are to be steady.
func shareWith(s *sharedServer[*Postgres], options PostgresOptions, steadyRoles bool) {
	if steadyRoles {
		s.launch, s.ended = launchOfSteadyRoles(options)
	} else {
		s.launch = func() (*Postgres, error) { return LaunchPostgres(context.Background(), options) }
	}
}

// launchOfSteadyRoles returns what launches a server whose roles its tests leave alone, and what
// says at its end whether they did.
func launchOfSteadyRoles(options PostgresOptions) (launch func() (*Postgres, error), ended func(*Postgres) error) {
	ctx := context.Background()
	var before int64
	launch = func() (*Postgres, error) {
		p, err := LaunchPostgres(ctx, options)
		if err != nil {
			return nil, err
		}
		if before, _, err = p.roleChanges(ctx); err != nil {
			_ = p.Close() // the error is that it does not answer
			return nil, err
		}
		return p, nil
	}
	ended = func(p *Postgres) error {
		after, roles, err := p.roleChanges(ctx)
		if err == nil && after != before {
			err = fmt.Errorf("roles were changed %d times on a server that tests share, where the sidecars of other tests notice it and lose what they keep; roles there now: %s; "+
				"have the test that makes, changes or drops roles use SharedPostgresOfRoles", after-before, roles)
		}
		return err
	}
	return launch, ended
}

// roleChanges counts the rows of roles and of their memberships that sessions have written which have
// ended, whether or not that was rolled back, and names the roles that are there besides Postgres' own.
func (p *Postgres) roleChanges(ctx context.Context) (n int64, roles string, err error) {
	conn, err := pgx.Connect(ctx, p.DSN("postgres"))
	if err != nil {
		return 0, "", fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, `SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint,
		(SELECT string_agg(rolname, ', ' ORDER BY oid) FROM pg_roles WHERE NOT starts_with(rolname, 'pg_'))
		FROM pg_stat_sys_tables WHERE relname IN ('pg_authid', 'pg_auth_members')`).Scan(&n, &roles)
	if err != nil {
		return 0, "", fmt.Errorf("count changes of roles: %w", err)
	}
	return n, roles, nil
}
