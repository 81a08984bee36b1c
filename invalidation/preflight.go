package invalidation

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation/connection"
)

//go:embed schema/preflight.sql
var preflightSQL string

const (
	// installWaitMax bounds the wait for another installer, and installersMax for how many of
	// them, one after the other: a fleet may start at once.
	installWaitMax = 10 * time.Second
	installersMax  = 6
)

// UnmatchedError says that a pattern matches no relation. Nothing was installed.
type UnmatchedError struct {
	Pattern string
	// Names are those that it could have meant: "schema.*" if it ends so, else
	// "schema.table".
	Names []string
}

func (e *UnmatchedError) Error() string {
	return fmt.Sprintf("no table matches %s; nothing was installed", e.Pattern)
}

// unmatched returns an UnmatchedError for the first pattern that matches nothing,
// and names those that match nothing yet: with a wildcard for the tables of a schema
// that has none.
func unmatched(patterns []pattern, all []candidate, empty []string) (early []string, err error) {
	for _, p := range patterns {
		matched := false
		var names []string
		for _, r := range all {
			matched = matched || p.matches(r.name())
			name := r.name().String()
			if strings.HasSuffix(p.text, ".*") {
				name = r.Schema + ".*"
			}
			names = append(names, name)
		}
		switch {
		case matched:
		case p.wild && slices.ContainsFunc(empty, p.schema.MatchString):
			early = append(early, p.text)
		default:
			return nil, &UnmatchedError{p.text, names}
		}
	}
	return early, nil
}

// emptySchemas are the users' schemas that have no relation yet.
func emptySchemas(ctx context.Context, conn *pgx.Conn) (names []string, err error) {
	err = conn.QueryRow(ctx, `SELECT array_agg(n.nspname::text ORDER BY n.nspname) FROM pg_namespace n
		WHERE n.nspname NOT IN ('information_schema', 'freshet') AND NOT starts_with(n.nspname::text, 'pg_')
		AND NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'f', 'v', 'm'))`).Scan(&names)
	if err != nil {
		return nil, fmt.Errorf("list the schemas: %w", err)
	}
	return names, nil
}

// checkServer refuses servers that cannot be installed on. A schema of our name
// that an ordinary user made first could hold anything, and our functions run
// with a superuser's rights.
func checkServer(ctx context.Context, conn *pgx.Conn) error {
	problem, err := serverProblem(ctx, conn, true)
	return errors.Join(err, problem)
}

// serverProblem is why a server can never be followed, or with installs be installed
// on; nil if it can.
func serverProblem(ctx context.Context, conn *pgx.Conn, installs bool) (problem, err error) {
	var version int
	var standby, aurora bool
	var stranger *string
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), to_regproc('pg_catalog.aurora_version') IS NOT NULL, (
		SELECT r.rolname::text FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
		WHERE n.nspname = 'freshet' AND NOT r.rolsuper AND r.rolname <> current_user)`).Scan(&version, &standby, &aurora, &stranger)
	switch {
	case err != nil:
		return nil, fmt.Errorf("inspect the server: %w", err)
	case version < serverVersionMin:
		problem = fmt.Errorf("inspect the server: version %d is too old; PostgreSQL 14 or newer is needed", version/10000)
	case standby:
		problem = errors.New("inspect the server: it is a standby; connect to the primary")
	case aurora:
		problem = errors.New("inspect the server: it is Amazon Aurora, where unlogged tables survive a crash: nothing would tell that transaction ids are used again, and stale answers could be served; use RDS for PostgreSQL")
	case installs && stranger != nil:
		problem = fmt.Errorf("inspect the server: schema freshet belongs to %q, who is no superuser; drop or rename it first", *stranger)
	}
	return problem, nil
}

// Unusable says why the database that config leads to can never be followed, nor with
// installs be installed on where nothing is yet: problem is nil if it can. err says that
// this could not be found out now. before, unless nil, is called first, as a Follower's.
func Unusable(ctx context.Context, config *pgx.ConnConfig, before func(context.Context, *pgx.ConnConfig) error, installs bool) (problem, err error) {
	conn, err := connection.Open(ctx, connection.Options{Config: config, Before: before, Name: "freshet follower"})
	if errors.Is(err, connection.ErrPooled) {
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	if problem, err = serverProblem(ctx, conn, false); problem != nil || err != nil || !installs {
		return problem, err
	}
	installed, err := installedAtAll(ctx, conn)
	if err != nil || installed {
		return nil, err
	}
	if problem, err = serverProblem(ctx, conn, true); problem != nil || err != nil {
		return problem, err
	}
	may, err := mayInstall(ctx, conn)
	if err == nil && !may {
		problem = fmt.Errorf("nothing is installed in database %s, and role %s has no right to install (CREATE in the database): run \"freshet install\" once as a role that has, with --follower-role %s", conn.Config().Database, conn.Config().User, conn.Config().User)
	}
	return problem, err
}

func installedAtAll(ctx context.Context, conn *pgx.Conn) (installed bool, err error) {
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'freshet')").Scan(&installed); err != nil {
		return false, fmt.Errorf("ask what is installed: %w", err)
	}
	return installed, nil
}

// checkPublications refuses to make tables that a publication would contain: each
// subscriber without them stops.
func checkPublications(ctx context.Context, conn *pgx.Conn) error {
	var publication *string
	if err := conn.QueryRow(ctx, `SELECT min(pubname::text) FROM pg_publication WHERE puballtables`).Scan(&publication); err != nil {
		return fmt.Errorf("inspect the publications: %w", err)
	}
	if publication != nil {
		return fmt.Errorf("publication %s is FOR ALL TABLES: its subscribers, who have no schema freshet, would stop with \"logical replication target relation does not exist\"; publish schemas or tables by name (CREATE PUBLICATION … FOR TABLES IN SCHEMA public), or install with --force where nobody subscribes; nothing was installed", *publication)
	}
	return nil
}

// lockInstallers waits until no other installer is at work. It fails if one of them is for
// longer than wait, and not because many are one after the other:
//
//  1. an installer waits for another one;
//  2. that one ends, and a third begins, which has waited for longer;
//  3. the first has waited for as long as it may, and the third is not done.
//
// So it waits anew for the third. Forced by TestInstallersComeOneAfterTheOther.
func lockInstallers(ctx context.Context, conn *pgx.Conn, wait time.Duration) (unlock func(), err error) {
	for range installersMax {
		before := installer(ctx, conn)
		if err = tryLockInstallers(ctx, conn, wait); sqlState(err) != lockNotAvailable {
			break
		}
		if now := installer(ctx, conn); now == before && now != "" {
			break
		}
	}
	if sqlState(err) == lockNotAvailable {
		return nil, fmt.Errorf("wait for other installers: %s has been installing for more than %v; wait until it is done, or end it with pg_terminate_backend", cmp.Or(installer(ctx, conn), "another process"), wait)
	}
	if err != nil {
		return nil, fmt.Errorf("wait for other installers: %w", err)
	}
	return func() {
		// However slow the server is, only who gives up loses the connection, and the lock
		// with it (TestInstallersLockIsGivenBack).
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", installLock); err != nil {
			closeConn(conn)
		}
	}, nil
}

// lockNotAvailable is the SQLSTATE of a lock_timeout.
const lockNotAvailable = "55P03"

// tryLockInstallers takes the installers' lock, unless another one has it for all of wait.
func tryLockInstallers(ctx context.Context, conn *pgx.Conn, wait time.Duration) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', $1, true)", settingText(wait)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "SELECT pg_advisory_lock($1)", installLock)
		return err
	})
}

// installer names the process that holds the installers' lock; "" if none does, or nobody can
// tell.
func installer(ctx context.Context, conn *pgx.Conn) string {
	var name string
	err := conn.QueryRow(ctx, `SELECT format('process %s (application %s)', l.pid, coalesce(nullif(a.application_name, ''), 'unnamed'))
		FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::int8 << 32) + l.objid::int8 = $1 AND l.objsubid = 1
		AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) LIMIT 1`, installLock).Scan(&name)
	if err != nil {
		return ""
	}
	return name
}
