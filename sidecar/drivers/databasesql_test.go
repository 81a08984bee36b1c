package drivers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"

	"github.com/freshet/freshet/loadtest/servers"
)

func TestDatabaseSQL(t *testing.T) {
	const pqModule, pgxModule = "github.com/lib/pq", "github.com/jackc/pgx/v5"
	for name, driver := range map[string]struct {
		module, name, flags string
		more                func(p *sqlProgram, dsn string)
	}{
		"lib/pq":            {pqModule, "postgres", " sslmode=disable", (*sqlProgram).pqOnly},
		"lib/pq, binary":    {pqModule, "postgres", " sslmode=disable binary_parameters=yes", (*sqlProgram).pqOnly},
		"database/sql, pgx": {pgxModule, "pgx", "", (*sqlProgram).pgxOnly},
		"database/sql, pgx, simple protocol": {
			pgxModule, "pgx", " default_query_exec_mode=simple_protocol", (*sqlProgram).pgxOnly,
		},
	} {
		t.Run(name, func(t *testing.T) {
			prove(t, client{name: name, run: func(t *testing.T, at endpoint) string {
				t.Helper()
				dsn := at.dsn() + driver.flags
				db, err := sql.Open(driver.name, dsn)
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				p := &sqlProgram{ctx: t.Context(), db: db}
				p.start(t, driver.module)
				p.run()
				driver.more(p, dsn)
				return p.text.String()
			}})
		})
	}
}

// sqlProgram is a shop's chores with database/sql.
type sqlProgram struct {
	transcript
	ctx context.Context
	db  *sql.DB
}

func (p *sqlProgram) run() {
	p.repeatedReads()
	p.preparedReads()
	p.types()
	p.ownWrites()
	p.transactions()
	p.failures()
	p.cancelled()
	p.repeatedReads()
}

func (p *sqlProgram) repeatedReads() {
	for range 15 {
		for _, name := range []string{"currency", "motto"} {
			var value string
			err := p.db.QueryRowContext(p.ctx, "SELECT value FROM setting WHERE name = $1", name).Scan(&value)
			p.printOr(err, value)
		}
		p.query("SELECT value FROM setting WHERE name = 'vat'")
	}
}

func (p *sqlProgram) preparedReads() {
	statement, err := p.db.PrepareContext(p.ctx, "SELECT name, value FROM setting WHERE name = $1")
	if err != nil {
		p.printError(err)
		return
	}
	defer statement.Close()
	for range 10 {
		var name, value string
		err := statement.QueryRowContext(p.ctx, "motto").Scan(&name, &value)
		p.printOr(err, name, value)
	}
}

func (p *sqlProgram) types() {
	for range 3 {
		p.query("SELECT * FROM item WHERE id <> $1 ORDER BY id", 2)
		p.query("SELECT * FROM item ORDER BY id")
		p.query("SELECT id FROM item WHERE name = $1 AND price < $2 AND stock >= $3", "anchor", 99.5, 0)
		p.query("SELECT id FROM item WHERE changed > $1", time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))
		p.query("SELECT id FROM item WHERE photo = $1", []byte{0, 255, 16})
		p.query("SELECT id FROM item WHERE false")
		p.query("SELECT name, amount FROM sold ORDER BY name")
	}
}

// query prints a whole result, with its columns and their types.
func (p *sqlProgram) query(text string, args ...any) {
	rows, err := p.db.QueryContext(p.ctx, text, args...)
	if err != nil {
		p.printError(err)
		return
	}
	defer rows.Close()
	columns, err := rows.ColumnTypes()
	if err != nil {
		p.printError(err)
		return
	}
	for _, c := range columns {
		length, hasLength := c.Length()
		precision, scale, hasScale := c.DecimalSize()
		p.print(c.Name(), c.DatabaseTypeName(), length, hasLength, precision, scale, hasScale)
	}
	for rows.Next() {
		values := make([]any, len(columns))
		pointers := make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		p.printOr(rows.Scan(pointers...), fmt.Sprintf("%#v", values))
	}
	p.printOr(rows.Err(), "end")
}

func (p *sqlProgram) exec(text string, args ...any) {
	result, err := p.db.ExecContext(p.ctx, text, args...)
	if err != nil {
		p.printError(err)
		return
	}
	n, err := result.RowsAffected()
	p.printOr(err, n)
}

// ownWrites reads on the connection that wrote: another connection of the pool
// might not see it yet.
func (p *sqlProgram) ownWrites() {
	conn, err := p.db.Conn(p.ctx)
	if err != nil {
		p.printError(err)
		return
	}
	defer conn.Close()
	for written := range 20 {
		if _, err := conn.ExecContext(p.ctx, "UPDATE item SET stock = $1 WHERE id = $2", written, 3); err != nil {
			p.printError(err)
		}
		for range 2 {
			var stock int
			p.printOr(conn.QueryRowContext(p.ctx, "SELECT stock FROM item WHERE id = $1", 3).Scan(&stock), stock)
		}
	}
	var id int64
	p.printOr(conn.QueryRowContext(p.ctx, "INSERT INTO sale (item, amount) VALUES ($1, $2) RETURNING id", 1, 5).Scan(&id), id)
}

func (p *sqlProgram) transactions() {
	for _, options := range []*sql.TxOptions{nil, {Isolation: sql.LevelRepeatableRead}, {Isolation: sql.LevelSerializable}} {
		for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
			tx, err := p.db.BeginTx(p.ctx, options)
			if err != nil {
				p.printError(err)
				return
			}
			_, err = tx.ExecContext(p.ctx, "UPDATE item SET stock = stock + 1 WHERE id = $1", 1)
			p.printOr(err, "updated")
			var stock int
			p.printOr(tx.QueryRowContext(p.ctx, "SELECT stock FROM item WHERE id = $1", 1).Scan(&stock), stock)
			p.printOr(end(tx), "ended")
		}
	}
	tx, err := p.db.BeginTx(p.ctx, nil)
	if err != nil {
		p.printError(err)
		return
	}
	var value string
	_, err = tx.ExecContext(p.ctx, "UPDATE item SET stock = -1")
	p.printOr(err, "updated")
	p.printOr(tx.QueryRowContext(p.ctx, "SELECT name FROM item WHERE id = $1", 1).Scan(&value), value)
	p.printOr(tx.Commit(), "committed")
	p.query("SELECT stock FROM item WHERE id = 1")
}

func (p *sqlProgram) failures() {
	p.query("SELECT nothing FROM item")
	p.query("SELEC 1")
	p.query("SELECT 1 / $1::int", 0)
	p.query("SELECT $1::int", "one")
	p.exec("INSERT INTO item (id, name, price, stock) VALUES (1, 'x', 1, 1)")
	p.exec("UPDATE item SET stock = 0 WHERE id = 2; UPDATE item SET stock = 1 WHERE id = 2")
	p.exec("UPDATE item SET stock = 7 WHERE id = 2; SELECT 1 / 0")
}

// cancelled has a statement cancelled. A cancel that comes before Postgres has begun with the
// statement cancels nothing, so that each attempt waits longer than the one before.
func (p *sqlProgram) cancelled() {
	cancelled := false
	for wait := 100 * time.Millisecond; !cancelled && wait < 20*time.Second; wait *= 10 {
		ctx, cancel := context.WithTimeout(p.ctx, wait)
		_, err := p.db.ExecContext(ctx, "SELECT pg_sleep(20)")
		cancel()
		// Which of the two a driver says is a matter of time.
		var refused interface{ SQLState() string }
		cancelled = errors.Is(err, context.DeadlineExceeded) || errors.As(err, &refused) && refused.SQLState() == "57014"
	}
	p.print(cancelled)
	p.query("SELECT stock FROM item WHERE id = 2")
}

// pqOnly is what only lib/pq has: its own COPY and notifications.
func (p *sqlProgram) pqOnly(dsn string) {
	tx, err := p.db.BeginTx(p.ctx, nil)
	if err != nil {
		p.printError(err)
		return
	}
	statement, err := tx.PrepareContext(p.ctx, "COPY sale (item, amount) FROM STDIN")
	if err != nil {
		p.printError(err)
		return
	}
	for i := range 3 {
		_, err := statement.ExecContext(p.ctx, i+1, 100*i)
		p.printOr(err, "copied")
	}
	_, err = statement.ExecContext(p.ctx)
	p.printOr(err, "flushed")
	p.printOr(errors.Join(statement.Close(), tx.Commit()), "committed")
	var ids []int64
	p.printOr(p.db.QueryRowContext(p.ctx, "SELECT array_agg(id ORDER BY id) FROM sale WHERE item = ANY($1)", pq.Array([]int{1, 2})).
		Scan((*pq.Int64Array)(&ids)), ids)

	listener := pq.NewListener(dsn, time.Second, time.Minute, nil)
	defer listener.Close()
	p.printOr(listener.Listen("shop"), "listening")
	p.exec("NOTIFY shop, 'open'")
	select {
	case n := <-listener.Notify:
		p.print(n.Channel, n.Extra)
	case <-time.After(notifiedMax):
		p.print("no notification came")
	}
}

// notifiedMax is how long a program waits for a notification.
const notifiedMax = servers.EventuallyMax

// pgxOnly is what only pgx offers beneath database/sql.
func (p *sqlProgram) pgxOnly(string) {
	conn, err := p.db.Conn(p.ctx)
	if err != nil {
		p.printError(err)
		return
	}
	defer conn.Close()
	err = conn.Raw(func(raw any) error {
		rows, err := raw.(*stdlib.Conn).Conn().Query(p.ctx, "SELECT tags FROM item WHERE id = $1", 1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var tags []string
			if err := rows.Scan(&tags); err != nil {
				return err
			}
			p.print(slices.Clone(tags), strings.Join(tags, "|"))
		}
		return rows.Err()
	})
	p.printOr(err, "raw")
}
