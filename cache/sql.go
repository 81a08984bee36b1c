package cache

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/freshet/freshet/invalidation/analysis"
)

// sqlIdleMax is how many idle connections database/sql may keep: they are nothing but
// names, as connections of the pool are taken when they are needed.
const sqlIdleMax = 256

// OpenSQL returns a handle of database/sql on db, for GORM, bun, ent, sqlx and whatever
// else wants one. Its values are those of pgx/v5/stdlib. Closing it leaves db open.
//
// Its connections are virtual: a hit needs none of the pool's. One is taken for what
// goes to Postgres, and kept for a transaction, or after a statement that may have changed
// what the connection's next statements mean (a SET), as long as the *sql.Conn or the
// statement has it.
func OpenSQL(db *DB) *sql.DB {
	handle := sql.OpenDB(connector{db, stdlib.GetPoolConnector(db.pool)})
	handle.SetMaxIdleConns(sqlIdleMax)
	return handle
}

// connector implements driver.Connector.
type connector struct {
	db *DB
	// pool makes connections of stdlib of the pool's.
	pool driver.Connector
}

// Connect implements driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) { return &sqlConn{connector: c}, nil }

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c.pool.Driver() }

// sqlConn is a virtual connection. database/sql uses it from one goroutine at a time.
type sqlConn struct {
	connector
	// inner, unless nil, is the pool's connection that it has.
	inner *stdlib.Conn
	// tx is the transaction that inner has, nil if none; changed is set if the state of
	// inner may not be the pool's any more.
	tx      *sqlTx
	changed bool
}

// errForeign says that the pool's driver is not the one that it was.
var errForeign = errors.New("connect: pgx's driver gave a connection of another kind")

// take returns the pool's connection.
func (c *sqlConn) take(ctx context.Context) (*stdlib.Conn, error) {
	if c.inner != nil {
		return c.inner, nil
	}
	made, err := c.pool.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := made.(*stdlib.Conn)
	if !ok {
		return nil, errors.Join(errForeign, made.Close())
	}
	c.inner = inner
	return inner, nil
}

// give gives the pool's connection back, unless something holds it here.
func (c *sqlConn) give() {
	if c.tx == nil && !c.changed {
		c.release()
	}
}

func (c *sqlConn) release() {
	if c.inner != nil {
		_ = c.inner.Close() // gives it back; what is wrong with it, the pool finds out
	}
	c.inner, c.changed = nil, false
}

// leavesState reports whether a statement leaves alone what the connection's next ones
// mean.
func leavesState(sql string) bool {
	return analysis.ReadsPlainly(sql) || analysis.WritesRows(sql) && !strings.Contains(strings.ToLower(sql), "set_config")
}

// Conn returns the pool's connection, for who asks (*sql.Conn).Raw for it; nil if there is
// none to be had. What is done with it is as if it were done with DB.Pool.
func (c *sqlConn) Conn() *pgx.Conn {
	inner, err := c.take(context.Background())
	if err != nil {
		return nil
	}
	c.changed = true
	return inner.Conn()
}

// Close implements driver.Conn.
func (c *sqlConn) Close() error {
	c.release()
	return nil
}

// IsValid implements driver.Validator: it is called when the connection is not used any
// more for now.
func (c *sqlConn) IsValid() bool {
	c.release()
	return true
}

// ResetSession implements driver.SessionResetter.
func (c *sqlConn) ResetSession(context.Context) error { return nil }

// Ping implements driver.Pinger.
func (c *sqlConn) Ping(ctx context.Context) error {
	inner, err := c.take(ctx)
	if err != nil {
		return err
	}
	defer c.give()
	return inner.Ping(ctx)
}

// CheckNamedValue implements driver.NamedValueChecker: pgx takes every value.
func (c *sqlConn) CheckNamedValue(*driver.NamedValue) error { return nil }

// Begin implements driver.Conn.
func (c *sqlConn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx implements driver.ConnBeginTx.
func (c *sqlConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	readerOf(ctx).load.refuses(refusedTx)
	inner, err := c.take(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := inner.BeginTx(ctx, o)
	if err != nil {
		c.give()
		return nil, err
	}
	c.tx = &sqlTx{Tx: tx, conn: c, passed: passed{db: c.db, session: c.db.session(readerOf(ctx)), writes: true}}
	return c.tx, nil
}

// sqlTx is a transaction, whose end later reads are shown.
type sqlTx struct {
	driver.Tx
	conn *sqlConn
	passed
}

// Commit implements driver.Tx.
func (t *sqlTx) Commit() error {
	defer t.over()
	return t.Tx.Commit()
}

// Rollback implements driver.Tx.
func (t *sqlTx) Rollback() error {
	defer t.over()
	return t.Tx.Rollback()
}

func (t *sqlTx) over() {
	t.end()
	t.conn.tx = nil
	t.conn.give()
}

// pass is called before a statement goes to Postgres. What it returns is called when that
// has ended.
func (c *sqlConn) pass(ctx context.Context, sql string) (ended func()) {
	p := c.db.passes(ctx, sql)
	c.changed = c.changed || !leavesState(sql)
	if c.tx != nil {
		c.tx.defines = c.tx.defines || p.defines
	}
	return func() {
		p.end()
		c.give()
	}
}

// ExecContext implements driver.ExecerContext.
func (c *sqlConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	inner, err := c.take(ctx)
	if err != nil {
		return nil, err
	}
	defer c.pass(ctx, query)()
	return inner.ExecContext(ctx, query, args)
}

// QueryContext implements driver.QueryerContext.
func (c *sqlConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	o := c.observe(ctx, query)
	reason := passedHeld
	if c.inner == nil {
		all, course := c.db.answer(ctx, query, valuesOf(args), sqlForm)
		if all != nil {
			o.answered(all, course)
			return newSQLRows(all)
		}
		reason = course.reason
	}
	if reason == passedHeld && c.tx == nil {
		c.db.cache.outcomes.note(passing(reason))
	}
	observed := o.passes(reason)
	rows, err := c.passedQuery(ctx, query, args, observed)
	if err != nil {
		observed.end(err)
		return nil, err
	}
	return rows, nil
}

// observe begins to observe a statement, unless it is in a transaction.
func (c *sqlConn) observe(ctx context.Context, query string) observing {
	if c.tx != nil {
		return observing{}
	}
	return c.db.observe(ctx, query)
}

// passedQuery is a query that Postgres answers.
func (c *sqlConn) passedQuery(ctx context.Context, query string, args []driver.NamedValue, observed *observing) (*passedSQLRows, error) {
	inner, err := c.take(ctx)
	if err != nil {
		return nil, err
	}
	ended := c.pass(ctx, query)
	all, err := inner.QueryContext(ctx, query, args)
	if err != nil {
		ended()
		return nil, err
	}
	live, ok := all.(*stdlib.Rows)
	if !ok {
		ended()
		return nil, errors.Join(errForeign, all.Close())
	}
	return &passedSQLRows{Rows: live, ended: ended, observed: observed}, nil
}

// valuesOf are arguments as pgx takes them.
func valuesOf(args []driver.NamedValue) []any {
	values := make([]any, len(args))
	for i := range args {
		values[i] = args[i].Value
	}
	return values
}

// passedSQLRows are rows of Postgres' own. database/sql closes them at their end, before
// it tells anybody of it.
type passedSQLRows struct {
	*stdlib.Rows
	ended    func()
	observed *observing
	err      error
}

// Next implements driver.Rows.
func (r *passedSQLRows) Next(into []driver.Value) error {
	err := r.Rows.Next(into)
	if err != nil && err != io.EOF { //nolint:errorlint // as the interface says
		r.err = err
	}
	return err
}

// Close implements driver.Rows.
func (r *passedSQLRows) Close() error {
	defer func() {
		r.ended()
		r.observed.end(r.err)
	}()
	return r.Rows.Close()
}

// Prepare implements driver.Conn.
func (c *sqlConn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext implements driver.ConnPrepareContext. Postgres says what is wrong with
// a statement now, but it is prepared where it is executed, by pgx, which keeps it.
func (c *sqlConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	inner, err := c.take(ctx)
	if err != nil {
		return nil, err
	}
	defer c.give()
	prepared, err := inner.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	inputs := prepared.NumInput()
	if err := prepared.Close(); err != nil {
		return nil, err
	}
	return &sqlStmt{c, query, inputs}, nil
}

// sqlStmt is a statement that was prepared.
type sqlStmt struct {
	conn   *sqlConn
	query  string
	inputs int
}

var errOldStmt = errors.New("statements are executed with a context")

// Close implements driver.Stmt.
func (s *sqlStmt) Close() error { return nil }

// NumInput implements driver.Stmt.
func (s *sqlStmt) NumInput() int { return s.inputs }

// Exec implements driver.Stmt. database/sql does not call it.
func (s *sqlStmt) Exec([]driver.Value) (driver.Result, error) { return nil, errOldStmt }

// Query implements driver.Stmt. database/sql does not call it.
func (s *sqlStmt) Query([]driver.Value) (driver.Rows, error) { return nil, errOldStmt }

// ExecContext implements driver.StmtExecContext.
func (s *sqlStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.ExecContext(ctx, s.query, args)
}

// QueryContext implements driver.StmtQueryContext.
func (s *sqlStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.QueryContext(ctx, s.query, args)
}
