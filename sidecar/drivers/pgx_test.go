package drivers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestPgx(t *testing.T) {
	for name, mode := range map[string]pgx.QueryExecMode{
		"pgx":                  pgx.QueryExecModeCacheStatement,
		"pgx, cache_describe":  pgx.QueryExecModeCacheDescribe,
		"pgx, describe_exec":   pgx.QueryExecModeDescribeExec,
		"pgx, exec":            pgx.QueryExecModeExec,
		"pgx, simple_protocol": pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(name, func(t *testing.T) {
			prove(t, client{name: name, run: func(t *testing.T, at endpoint) string {
				t.Helper()
				p := &pgxProgram{ctx: t.Context()}
				p.start(t, "github.com/jackc/pgx/v5")
				config, err := pgx.ParseConfig(at.dsn())
				if err != nil {
					t.Fatal(err)
				}
				config.DefaultQueryExecMode = mode
				config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { p.print(n.Severity, n.Code, n.Message) }
				if p.conn, err = pgx.ConnectConfig(p.ctx, config); err != nil {
					t.Fatal(err)
				}
				defer p.conn.Close(context.Background())
				p.db = p.conn
				p.run()
				return p.text.String()
			}})
		})
	}
}

// pgxQuerier is what connections, transactions, pools and the library have in common.
type pgxQuerier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, from pgx.CopyFromSource) (int64, error)
	Begin(ctx context.Context) (pgx.Tx, error)
}

// pgxProgram is a shop's chores with pgx.
type pgxProgram struct {
	transcript
	ctx context.Context
	// db is what statements are sent to: conn, or a pool or the library, and then conn is
	// nil; in a transaction, that.
	db   pgxQuerier
	conn *pgx.Conn
}

func (p *pgxProgram) run() {
	p.repeatedReads()
	p.batches()
	p.pipelines()
	p.ownWrites()
	p.transactions()
	p.byHand()
	p.failures()
	p.timeouts()
	p.copies()
	p.streams()
	p.notifications()
	p.cursor()
	p.repeatedReads()
}

// runPooled is what of run does not need one connection from beginning to end.
func (p *pgxProgram) runPooled() {
	p.repeatedReads()
	p.batches()
	p.ownWrites()
	p.transactions()
	p.failures()
	p.copies()
	p.repeatedReads()
}

func (p *pgxProgram) repeatedReads() {
	for range 15 {
		for _, name := range []string{"currency", "motto"} {
			p.query("SELECT value FROM setting WHERE name = $1", name)
		}
		p.query("SELECT value FROM setting WHERE name = 'vat'")
	}
	for range 3 {
		p.query("SELECT id, name, price, stock, tags, details, photo, weight, made, changed FROM item ORDER BY id")
		p.query("SELECT name FROM item WHERE id = $1 AND price < $2", 1, 99.5)
		p.query("SELECT id FROM item WHERE false")
		p.query("SELECT name, amount FROM sold ORDER BY name")
	}
}

// query prints a whole result, with its columns and their types.
func (p *pgxProgram) query(text string, args ...any) { p.rows(p.db.Query(p.ctx, text, args...)) }

func (p *pgxProgram) rows(rows pgx.Rows, err error) {
	if err != nil {
		p.printError(err)
		return
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		p.printOr(err, fmt.Sprintf("%+v", values))
	}
	for _, f := range rows.FieldDescriptions() {
		p.print(f.Name, f.DataTypeOID, f.DataTypeSize, f.TypeModifier, f.Format, f.TableAttributeNumber)
	}
	p.printOr(rows.Err(), rows.CommandTag())
}

func (p *pgxProgram) exec(text string, args ...any) {
	tag, err := p.db.Exec(p.ctx, text, args...)
	p.printOr(err, tag)
}

func (p *pgxProgram) batches() {
	for range 3 {
		reads := &pgx.Batch{}
		for _, name := range []string{"currency", "motto", "vat"} {
			reads.Queue("SELECT value FROM setting WHERE name = $1", name)
		}
		p.send(reads)
		mixed := &pgx.Batch{}
		mixed.Queue("SELECT stock FROM item WHERE id = $1", 2)
		mixed.Queue("UPDATE item SET stock = stock + 1 WHERE id = $1", 2)
		mixed.Queue("SELECT stock FROM item WHERE id = $1", 2)
		p.send(mixed)
		p.query("SELECT stock FROM item WHERE id = $1", 2)
	}
	failing := &pgx.Batch{}
	failing.Queue("UPDATE item SET stock = stock + 1 WHERE id = $1", 2)
	failing.Queue("UPDATE item SET stock = $1", -1)
	failing.Queue("SELECT stock FROM item WHERE id = $1", 2)
	p.send(failing)
	p.query("SELECT stock FROM item WHERE id = $1", 2)
}

func (p *pgxProgram) send(batch *pgx.Batch) {
	results := p.db.SendBatch(p.ctx, batch)
	for range batch.Len() {
		p.rows(results.Query())
	}
	p.printOr(results.Close(), "batch ended")
}

// pipelines uses the protocol's pipeline mode itself: several Syncs on the way.
func (p *pgxProgram) pipelines() {
	for range 3 {
		pipeline := p.conn.PgConn().StartPipeline(p.ctx)
		for _, text := range []string{
			"SELECT value FROM setting WHERE name = 'currency'",
			"SELECT value FROM setting WHERE name = 'motto'",
			"UPDATE item SET stock = stock + 1 WHERE id = 1",
			"SELECT stock FROM item WHERE id = 1",
			"SELECT 1 / 0",
			"SELECT stock FROM item WHERE id = 1",
		} {
			pipeline.SendQueryParams(text, nil, nil, nil, nil)
			p.printOr(pipeline.Sync(), "sent")
		}
		for {
			result, err := pipeline.GetResults()
			if result == nil && err == nil {
				break
			}
			switch result := result.(type) {
			case *pgconn.ResultReader:
				read := result.Read()
				p.printOr(read.Err, read.CommandTag, fmt.Sprintf("%s", read.Rows))
			case *pgconn.PipelineSync:
				p.print("sync")
			default:
				p.printOr(err, fmt.Sprintf("%T", result))
			}
			if err != nil && p.conn.IsClosed() {
				break
			}
		}
		p.printOr(pipeline.Close(), "pipeline ended")
	}
}

func (p *pgxProgram) ownWrites() {
	for stock := range 20 {
		p.exec("UPDATE item SET stock = $1 WHERE id = $2", stock, 3)
		for range 2 {
			p.query("SELECT stock FROM item WHERE id = $1", 3)
		}
	}
	p.query("INSERT INTO sale (item, amount) VALUES ($1, $2) RETURNING id, amount", 1, 5)
	p.query("SELECT item, amount FROM sale ORDER BY id")
}

func (p *pgxProgram) transactions() {
	oops := errors.New("changed my mind")
	for _, isolation := range []pgx.TxIsoLevel{"", pgx.RepeatableRead, pgx.Serializable} {
		for _, end := range []error{nil, oops} {
			err := p.within(pgx.TxOptions{IsoLevel: isolation}, func(tx pgx.Tx) error {
				p.exec("UPDATE item SET stock = stock + 1 WHERE id = $1", 1)
				p.query("SELECT stock FROM item WHERE id = $1", 1)
				inner := pgx.BeginFunc(p.ctx, tx, func(pgx.Tx) error {
					p.exec("UPDATE item SET stock = $1", -1)
					return oops
				})
				p.print(inner, string(tx.Conn().PgConn().TxStatus()))
				p.query("SELECT stock FROM item WHERE id = $1", 1)
				return end
			})
			p.print(err)
			p.query("SELECT stock FROM item WHERE id = $1", 1)
		}
	}
}

// within calls f in a transaction, to which the statements are sent meanwhile.
func (p *pgxProgram) within(o pgx.TxOptions, f func(pgx.Tx) error) error {
	before := p.db
	defer func() { p.db = before }()
	from := before.(interface {
		BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
	})
	return pgx.BeginTxFunc(p.ctx, from, o, func(tx pgx.Tx) error {
		p.db = tx
		return f(tx)
	})
}

// byHand is a transaction of statements.
func (p *pgxProgram) byHand() {
	p.exec("BEGIN")
	p.query("SELECT 1 / $1::int", 0)
	p.query("SELECT stock FROM item WHERE id = $1", 1)
	p.exec("COMMIT")
	p.print(string(p.conn.PgConn().TxStatus()))
}

func (p *pgxProgram) failures() {
	p.query("SELECT nothing FROM item")
	p.query("SELEC 1")
	p.query("SELECT $1::int", "one")
	p.exec("INSERT INTO item (id, name, price, stock) VALUES (1, 'x', 1, 1)")
	p.exec("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$")
	p.exec("DROP TABLE IF EXISTS nowhere")
}

func (p *pgxProgram) timeouts() {
	p.exec("SET statement_timeout = '100ms'")
	p.query("SELECT pg_sleep(20)")
	p.exec("RESET statement_timeout")
}

func (p *pgxProgram) copies() {
	rows := [][]any{{1, 100}, {2, 200}}
	n, err := p.db.CopyFrom(p.ctx, pgx.Identifier{"sale"}, []string{"item", "amount"}, pgx.CopyFromRows(rows))
	p.printOr(err, n)
	n, err = p.db.CopyFrom(p.ctx, pgx.Identifier{"sale"}, []string{"item", "amount"}, pgx.CopyFromRows([][]any{{99, 1}}))
	p.printOr(err, n)
	p.query("SELECT item, amount FROM sale WHERE amount >= 100 ORDER BY id")
}

func (p *pgxProgram) streams() {
	var out bytes.Buffer
	tag, err := p.conn.PgConn().CopyTo(p.ctx, &out, "COPY (SELECT id, name FROM item ORDER BY id) TO STDOUT")
	p.printOr(err, tag, out.String())
	tag, err = p.conn.PgConn().CopyFrom(p.ctx, strings.NewReader("1\tmany\n"), "COPY sale (item, amount) FROM STDIN")
	p.printOr(err, tag)
	p.query("SELECT item, amount FROM sale WHERE amount >= 100 ORDER BY id")
}

func (p *pgxProgram) notifications() {
	p.exec("LISTEN shop")
	p.exec("NOTIFY shop, 'open'")
	ctx, cancel := context.WithTimeout(p.ctx, notifiedMax)
	defer cancel()
	n, err := p.conn.WaitForNotification(ctx)
	if err != nil {
		p.printError(err)
		return
	}
	p.print(n.Channel, n.Payload, n.PID == p.conn.PgConn().PID())
	p.exec("UNLISTEN *")
}

func (p *pgxProgram) cursor() {
	p.exec("BEGIN")
	p.exec("DECLARE every CURSOR FOR SELECT id FROM item ORDER BY id")
	p.query("FETCH 2 FROM every")
	p.query("FETCH 2 FROM every")
	p.exec("ROLLBACK")
}
