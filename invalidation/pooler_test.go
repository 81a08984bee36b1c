package invalidation

import (
	"context"
	"errors"
	"fmt"
	"net"
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
			db := newWatched(t, shop)
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

// pooledBeside is a session through a pooler, beside one of another client that is in a
// transaction. between is called when the first other session of the same configuration is
// opened.
func pooledBeside(t *testing.T, db *database, pooler *servers.PgBouncer, between func(client *pgx.Conn)) *pgx.Conn {
	t.Helper()
	open := func(config *pgx.ConnConfig) *pgx.Conn {
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		return conn
	}
	client := open(parse(t, db.pooled(pooler)))
	said(t, client, "BEGIN; SELECT 1")
	config := parse(t, db.pooled(pooler))
	dial, dialled := config.DialFunc, 0
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dialled++; dialled == 2 {
			between(client)
		}
		return dial(ctx, network, address)
	}
	return open(config)
}

// said says something in the simple protocol, which poolers of all kinds understand.
func said(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}

// Settings of a session that was taken for one with a server of its own would be those of
// the clients behind the pooler.
func TestPoolerIsFoundOutBesideOtherClients(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	pooler := servers.StartPgBouncer(t, servers.SharedPostgres(t), servers.PgBouncerOptions{Mode: "transaction"})
	conn := pooledBeside(t, db, pooler, func(client *pgx.Conn) { said(t, client, "COMMIT") })
	if err := connection.RefusePooling(t.Context(), conn); !errors.Is(err, connection.ErrPooled) {
		t.Errorf("a client gives a server back that lies above the session's: %v", err)
	}
}

// Where no server is left, the session that would begin a transaction waits: for one that
// another session has for itself, or for any.
func TestPoolerWithoutAServerLeft(t *testing.T) {
	t.Parallel()
	for mode, keeps := range map[string]bool{"session": true, "transaction": false} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t, shop)
			pooler := servers.StartPgBouncer(t, servers.SharedPostgres(t), servers.PgBouncerOptions{Mode: mode, PoolSize: 2})
			conn := pooledBeside(t, db, pooler, func(*pgx.Conn) {
				if keeps {
					return
				}
				third, err := pgx.ConnectConfig(t.Context(), parse(t, db.pooled(pooler)))
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { third.Close(context.Background()) })
				said(t, third, "BEGIN; SELECT 1")
			})
			if err := connection.RefusePooling(t.Context(), conn); keeps != (err == nil) {
				t.Errorf("it says %v", err)
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
