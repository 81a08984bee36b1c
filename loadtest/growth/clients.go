package growth

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// clientsMax is how many clients there are at once, besides those that come for one read.
	clientsMax = 4
	// patience is when a client gives up a statement that takes sleep seconds.
	patience, sleep = 5 * time.Millisecond, 5
	// changeEvery is how often a table is given another column.
	changeEvery = time.Minute
)

// clients are those of one run.
type clients struct {
	bed     *bed
	running sync.WaitGroup
	// never counts what was asked for once.
	never      atomic.Int64
	operations atomic.Int64

	mu     sync.Mutex
	errors int64
	first  error
}

// client is one of them, with its connection through the sidecar and one past it. nil: it has
// none at the moment.
type client struct {
	*clients
	dice         *rand.Rand
	conn, beside *pgx.Conn
}

// operations are what clients do, each so often of a hundred times.
var operations = []struct {
	often int
	do    func(*client, context.Context) error
}{
	{45, (*client).readHot},
	{12, (*client).readNever},
	{6, (*client).readLarge},
	{8, (*client).sum},
	{6, (*client).sendNewText},
	{8, (*client).write},
	{3, (*client).writeBeside},
	{5, (*client).transact},
	{3, (*client).fail},
	{1, (*client).giveUp},
	{2, (*client).comeAndGo},
	{1, (*client).hangUp},
}

func startClients(ctx context.Context, b *bed) *clients {
	all := &clients{bed: b}
	for i := range clientsMax {
		c := &client{clients: all, dice: rand.New(rand.NewPCG(b.Seed, uint64(i)))}
		all.running.Go(func() { c.run(ctx) })
	}
	all.running.Go(func() { all.changeTables(ctx) })
	return all
}

// wait waits until all have gone, and returns how many operations and unexpected errors there
// were, and the first of these.
func (all *clients) wait() (operations, failures int64, first string) {
	all.running.Wait()
	if all.first != nil {
		first = all.first.Error()
	}
	return all.operations.Load(), all.errors, first
}

func (all *clients) note(ctx context.Context, err error) {
	all.operations.Add(1)
	if err == nil || ctx.Err() != nil {
		return
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	all.errors++
	if all.first == nil {
		all.first = err
	}
}

func (c *client) run(ctx context.Context) {
	defer c.leave()
	ticker := time.NewTicker(clientsMax * time.Second / time.Duration(c.bed.Rate))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.note(ctx, c.operate(ctx))
		}
	}
}

// operate does one thing.
func (c *client) operate(ctx context.Context) (err error) {
	if c.conn == nil || c.conn.IsClosed() {
		if c.conn, err = pgx.Connect(ctx, c.bed.through()); err != nil {
			return err
		}
	}
	n := c.dice.IntN(100)
	for _, o := range operations {
		if n -= o.often; n < 0 {
			return o.do(c, ctx)
		}
	}
	return errors.New("operations are fewer than a hundred of a hundred")
}

func (c *client) leave() {
	for _, conn := range []*pgx.Conn{c.conn, c.beside} {
		if conn != nil {
			_ = conn.Close(context.Background()) // nobody waits for it
		}
	}
}

// item is a row that is asked for: one of a few, mostly.
func (c *client) item() int {
	if c.dice.IntN(10) > 0 {
		return 1 + c.dice.IntN(itemRows/10)
	}
	return 1 + c.dice.IntN(itemRows)
}

func text(ctx context.Context, conn *pgx.Conn, sql string, arguments ...any) error {
	var body string
	return conn.QueryRow(ctx, sql, arguments...).Scan(&body)
}

func (c *client) readHot(ctx context.Context) error {
	return text(ctx, c.conn, "SELECT body FROM items WHERE id = $1", c.item())
}

func (c *client) readNever(ctx context.Context) error {
	return text(ctx, c.conn, "SELECT body FROM items WHERE id = $1 AND $2::bigint > 0", c.item(), c.never.Add(1))
}

func (c *client) readLarge(ctx context.Context) error {
	return text(ctx, c.conn, "SELECT body FROM large WHERE id = $1 AND $2::bigint > 0", 1+c.dice.IntN(largeRows), c.never.Add(1))
}

func (c *client) sum(ctx context.Context) error {
	return text(ctx, c.conn, "SELECT count(*) || max(body) FROM items WHERE shelf = $1", c.dice.IntN(itemRows/shelfRows))
}

func (c *client) sendNewText(ctx context.Context) error {
	return text(ctx, c.conn, fmt.Sprintf("SELECT body AS name%d FROM items WHERE id = $1", c.never.Add(1)), c.item())
}

const update = "UPDATE items SET body = md5(body) WHERE id = $1"

func (c *client) write(ctx context.Context) error {
	_, err := c.conn.Exec(ctx, update, c.item())
	return err
}

func (c *client) writeBeside(ctx context.Context) (err error) {
	if c.beside == nil || c.beside.IsClosed() {
		if c.beside, err = pgx.Connect(ctx, c.bed.postgres.DSN(database)); err != nil {
			return err
		}
	}
	_, err = c.beside.Exec(ctx, update, c.item())
	return err
}

func (c *client) transact(ctx context.Context) error {
	return pgx.BeginFunc(ctx, c.conn, func(tx pgx.Tx) error {
		id := c.item()
		if err := text(ctx, tx.Conn(), "SELECT body FROM items WHERE id = $1", id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, update, id)
		return err
	})
}

func (c *client) fail(ctx context.Context) error {
	if err := text(ctx, c.conn, fmt.Sprintf("SELECT missing%d FROM items", c.never.Add(1))); err == nil {
		return errors.New("a column that is not there was read")
	}
	return nil
}

// giveUp closes the connection, as pgx does with one whose statement nobody waits for.
func (c *client) giveUp(ctx context.Context) error {
	short, stop := context.WithTimeout(ctx, patience)
	defer stop()
	_, err := c.conn.Exec(short, "SELECT pg_sleep($1)", sleep)
	if err == nil {
		return errors.New("nobody gave up")
	}
	return nil
}

func (c *client) comeAndGo(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.bed.through())
	if err != nil {
		return err
	}
	return errors.Join(text(ctx, conn, "SELECT body FROM items WHERE id = $1", c.item()), conn.Close(ctx))
}

func (c *client) hangUp(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.bed.through())
	if err != nil {
		return err
	}
	err = text(ctx, conn, "SELECT body FROM items WHERE id = $1", c.item())
	_ = conn.PgConn().Conn().Close() // without a word of farewell
	_ = conn.Close(ctx)              // says that it is closed
	return err
}

// changeTables gives a table a column now and then, and takes it away.
func (all *clients) changeTables(ctx context.Context) {
	ticker := time.NewTicker(changeEvery)
	defer ticker.Stop()
	for change, other := "ADD COLUMN more int", "DROP COLUMN more"; ; change, other = other, change {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			all.note(ctx, all.bed.postgres.Execute(ctx, database, "ALTER TABLE changing "+change))
		}
	}
}
