package shop

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/lib/pq"
)

// pqSession is a pool of exactly one connection, held for good.
type pqSession struct {
	pool   *sql.DB
	conn   *sql.Conn
	simple bool
}

func openPQ(ctx context.Context, dsn string, simple bool) (session, error) {
	connector, err := pq.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(1)
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return &pqSession{pool, conn, simple}, nil
}

func (s *pqSession) query(ctx context.Context, text string, args ...any) (rows, error) {
	if s.simple {
		text, args = inline(text, args), nil
	}
	return s.conn.QueryContext(ctx, text, args...)
}

func (s *pqSession) run(ctx context.Context, text string, args ...any) error {
	if s.simple {
		text, args = inline(text, args), nil
	}
	_, err := s.conn.ExecContext(ctx, text, args...)
	return err
}

func (s *pqSession) close() error { return errors.Join(s.conn.Close(), s.pool.Close()) }

// inline puts the arguments, which are texts and int64, into the statement as
// literals, as programs do that use lib/pq without arguments.
func inline(text string, args []any) string {
	for i := len(args); i > 0; i-- { // $10 before $1
		literal := ""
		switch arg := args[i-1].(type) {
		case int64:
			literal = strconv.FormatInt(arg, 10)
		case string:
			literal = pq.QuoteLiteral(arg)
		default:
			panic(fmt.Sprintf("inline an argument of type %T", arg))
		}
		text = strings.ReplaceAll(text, "$"+strconv.Itoa(i), literal)
	}
	return text
}
