package connection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// poolingWaitMax bounds each question whether a pooler shares its servers. One whose
	// pool is empty lets us wait.
	poolingWaitMax = 2 * time.Second
	// poolingRounds is how often it is asked, each time for itself: one round in four, at
	// the most, is misled by what other clients do meanwhile.
	poolingRounds = 12
	// poolingPause is between two questions of the session while the other one waits.
	poolingPause = 20 * time.Millisecond
)

// ErrPooled says that a session's statements reach several servers.
var ErrPooled = errors.New("a pooler in transaction mode is in between, which gives the statements of one session to several servers: " +
	"name Postgres itself, or a pooler in session mode")

// RefusePooling returns ErrPooled if conn leads through a pooler in transaction or
// statement mode, and another error if that cannot be told. Settings, locks, LISTEN and
// prepared statements of a session mean nothing there; its locks stay behind, and its
// settings become those of the application whose statement gets the server next. So who
// has a session prepared has to know.
//
// Postgres itself names the process that answers. Where that is another than the one
// that the session was told of when it began, something is in between. It then
// matters whether the session keeps its server while another one has a transaction
// open.
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
		return fmt.Errorf("ask whether a pooler shares its servers: open a second session: %w", OneLine(err))
	}
	defer other.Close(ctx)
	p := pair{conn, other, server}
	for range poolingRounds {
		if certain, err := p.ask(ctx); certain || err != nil {
			return err
		}
	}
	return nil
}

// pair is a session of which is asked whether it keeps its server, and another one.
type pair struct {
	conn, other *pgx.Conn
	server      uint32 // of conn, as it was first
}

// ask is one round. certain is set if more of them would say nothing new. A pool gives out
// the server that was used last, or the one that was not for longest, and what other clients
// give back meanwhile misleads:
//
//  1. conn is answered by server S;
//  2. a client gives server T back, which lies above S then;
//  3. the other session begins a transaction, on T;
//  4. conn is answered by S, and seems to keep it;
//  5. the transaction ends: T lies above S again, and 3 and 4 go on as before.
//
// So conn asks before each transaction, too, and the other session says which server it has.
// Forced by TestPoolerIsFoundOutBesideOtherClients.
func (p pair) ask(ctx context.Context) (certain bool, err error) {
	if err := p.keeps(ctx); err != nil {
		return false, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	began := make(chan begun, 1)
	go func() { began <- begin(ctx, p.other) }()
	// While the other session waits for a server, it would be the next to get this one's.
	for asked := 0; ; asked++ {
		select {
		case b := <-began:
			if errors.Is(b.err, errNoServer) && asked >= poolingRounds {
				return true, nil // each session has a server for itself, and there is none left
			}
			return false, p.compare(ctx, b)
		case <-time.After(poolingPause):
			if err := p.keeps(ctx); err != nil {
				stop()
				<-began
				return false, err
			}
		}
	}
}

// compare ends a transaction that the other session has begun, and says whether it or the
// session has another server than sessions have that keep theirs.
func (p pair) compare(ctx context.Context, b begun) error {
	if b.err != nil {
		return b.err
	}
	if b.server == p.server {
		return ErrPooled
	}
	if err := p.keeps(ctx); err != nil {
		return err
	}
	if _, err := p.other.PgConn().Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
		return fmt.Errorf("ask whether a pooler shares its servers: end a transaction: %w", err)
	}
	return nil
}

// keeps returns ErrPooled if another server answers the session than the first time.
func (p pair) keeps(ctx context.Context) error {
	now, err := serverOf(ctx, p.conn)
	if err != nil {
		return fmt.Errorf("ask which process answers while another session has a transaction: %w", err)
	}
	if now != p.server {
		return ErrPooled
	}
	return nil
}

// openOther opens a second session beside one.
func openOther(ctx context.Context, conn *pgx.Conn) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, poolingWaitMax)
	defer cancel()
	return pgx.ConnectConfig(ctx, conn.Config())
}

// errNoServer says that no server was free for a transaction.
var errNoServer = errors.New("ask whether a pooler shares its servers: none was free for a second session")

// begun is what came of a transaction: the server that has it, or why there is none.
type begun struct {
	server uint32
	err    error
}

// begin opens a transaction.
func begin(ctx context.Context, conn *pgx.Conn) begun {
	ctx, cancel := context.WithTimeout(ctx, poolingWaitMax)
	defer cancel()
	// The second statement takes a server where the first one alone is held back.
	server, err := number(conn.PgConn().Exec(ctx, "BEGIN; "+serverSQL))
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return begun{server: server}
	case errors.As(err, &refused):
		return begun{err: ErrPooled} // statement mode allows no transactions
	case ctx.Err() != nil:
		return begun{err: errNoServer}
	}
	return begun{err: fmt.Errorf("ask whether a pooler shares its servers: begin a transaction: %w", err)}
}

const serverSQL = "SELECT pg_catalog.pg_backend_pid()"

// serverOf asks which process answers.
func serverOf(ctx context.Context, conn *pgx.Conn) (pid uint32, err error) {
	ctx, cancel := context.WithTimeout(ctx, poolingWaitMax)
	defer cancel()
	return number(conn.PgConn().Exec(ctx, serverSQL))
}

// number is the one value of the last of the results.
func number(results *pgconn.MultiResultReader) (n uint32, err error) {
	all, err := results.ReadAll()
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(string(all[len(all)-1].Rows[0][0]), &n)
	return n, err
}
