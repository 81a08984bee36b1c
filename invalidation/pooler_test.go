package invalidation

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/connection"
	"github.com/freshet/freshet/loadtest/servers"
)

// pooled is the connection string of a superuser through a pooler.
func (db *database) pooled(p *servers.PgBouncer) string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", p.SocketDir(), p.Port(), db.Config().Database)
}

// A pooler in session mode is like Postgres, whether it refuses start-up parameters
// or drops them: the settings are in force.
func TestPoolerInSessionMode(t *testing.T) {
	t.Parallel()
	for name, ignored := range map[string][]string{"stock": nil, "ignoring": {"search_path", "default_transaction_isolation", "jit"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t, shop)
			pooler := servers.StartPgBouncer(t, servers.SharedPostgres(t), servers.PgBouncerOptions{Ignored: ignored})
			db.run("ALTER DATABASE " + db.Config().Database + " SET default_transaction_isolation = 'repeatable read'")
			through, err := pgx.Connect(t.Context(), db.pooled(pooler))
			if err != nil {
				t.Fatal(err)
			}
			defer through.Close(t.Context())
			if _, err := Install(t.Context(), through, Options{Watch: []string{"public.*"}}); err != nil {
				t.Fatalf("install through the pooler: %v", err)
			}
			f := db.follow(func(o *FollowerOptions) { o.ConnConfig = parse(t, db.pooled(pooler)) })
			entry := f.load(db.spell("users/id=1", "users/*")...)
			db.run("UPDATE users SET name = 'x' WHERE id = 1")
			f.confirmNow()
			f.wantAdmitted(entry, false, "a row that was written past the pooler")
		})
	}
}

// A pooler in transaction or statement mode is refused by everything that needs a
// session, with the reason; no lock of an installer stays behind.
func TestPoolerInTransactionModeIsRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"transaction", "statement"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t, shop)
			db.install("public.*")
			pooler := servers.StartPgBouncer(t, servers.SharedPostgres(t), servers.PgBouncerOptions{Mode: mode})
			config := parse(t, db.pooled(pooler))
			config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
			through, err := pgx.ConnectConfig(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			defer through.Close(t.Context())
			if _, err := Install(t.Context(), through, Options{Watch: []string{"public.*"}}); !errors.Is(err, connection.ErrPooled) {
				t.Errorf("install says %v", err)
			}
			if err := Uninstall(t.Context(), through); !errors.Is(err, connection.ErrPooled) {
				t.Errorf("uninstall says %v", err)
			}
			if locks := db.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"); locks != "0" {
				t.Errorf("%s advisory locks stay behind", locks)
			}
			f := db.followWithoutWaiting(func(o *FollowerOptions) { o.ConnConfig = parse(t, db.pooled(pooler)) })
			servers.Eventually(t, "the follower says why it does not follow", func() bool {
				return strings.Contains(f.Stats().LastError, "pooler in transaction mode")
			})
			if f.Confirm(t.Context(), fence.Now()) == nil {
				t.Error("it follows")
			}
		})
	}
}

func parse(t *testing.T, dsn string) *pgx.ConnConfig {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return config
}
