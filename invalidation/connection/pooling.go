package connection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// poolingWaitMax bounds the question whether a pooler shares its servers. One
	// whose pool is empty lets us wait.
	poolingWaitMax = 2 * time.Second
	// poolingRounds is how often it is asked: others may take and leave servers
	// meanwhile.
	poolingRounds = 3
)

// ErrPooled says that a session's statements reach several servers.
var ErrPooled = errors.New("a pooler in transaction mode is in between, which gives the statements of one session to several servers: " +
	"name Postgres itself, or a pooler in session mode")

// RefusePooling returns ErrPooled if conn leads through a pooler in transaction or
// statement mode. Settings, locks, LISTEN and prepared statements of a session mean
// nothing there, and its locks stay behind.
//
// Postgres itself names the process that answers. Where that is another than the one
// that the session was told of when it began, something is in between. It then
// matters whether the session keeps its server while another one has a transaction
// open: a pool gives out the server that was used last.
func RefusePooling(ctx context.Context, conn *pgx.Conn) error {
	server, err := serverOf(ctx, conn)
	if err != nil {
		return fmt.Errorf("ask which process answers: %w", err)
	}
	if server == conn.PgConn().PID() {
		return nil
	}
	other, err := openOther(ctx, conn)
	if err != nil {
		return nil // no second place in the pool: each session has one for itself
	}
	defer other.Close(ctx)
	for range poolingRounds {
		began, err := begin(ctx, other)
		if err != nil {
			return err
		}
		if !began {
			return nil
		}
		now, err := serverOf(ctx, conn)
		if err != nil || now != server {
			return ErrPooled
		}
		if _, err := other.PgConn().Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
			return ErrPooled
		}
	}
	return nil
}

// openOther opens a second session beside one.
func openOther(ctx context.Context, conn *pgx.Conn) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, poolingWaitMax)
	defer cancel()
	return pgx.ConnectConfig(ctx, conn.Config())
}

// begin opens a transaction. began is false if no server was free for it.
func begin(ctx context.Context, conn *pgx.Conn) (began bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, poolingWaitMax)
	defer cancel()
	// The second statement takes a server where the first one alone is held back.
	_, err = conn.PgConn().Exec(ctx, "BEGIN; SELECT 1").ReadAll()
	if err == nil {
		return true, nil
	}
	if ctx.Err() != nil {
		return false, nil
	}
	return false, ErrPooled // statement mode allows no transactions
}

// serverOf asks which process answers.
func serverOf(ctx context.Context, conn *pgx.Conn) (pid uint32, err error) {
	ctx, cancel := context.WithTimeout(ctx, poolingWaitMax)
	defer cancel()
	results, err := conn.PgConn().Exec(ctx, "SELECT pg_catalog.pg_backend_pid()").ReadAll()
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(string(results[0].Rows[0][0]), &pid)
	return pid, err
}
