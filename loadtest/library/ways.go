package library

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache"
)

// Way is how a session reads.
type Way int

// The ways: through a cache.DB, through database/sql, and by wrapped functions, whose
// loads read through the DB; and each of them in turn.
const (
	Plain Way = iota
	SQL
	Wrapped
	Every
)

var wayNames = [...]string{"the DB", "database/sql", "wrapped functions", "every way"}

// String names the way.
func (w Way) String() string { return wayNames[w] }

// reader is one way. A statement that returns no row is pgx.ErrNoRows in each.
type reader interface {
	one(ctx context.Context, sql string, arguments, into []any) error
	rows(ctx context.Context, sql string, arguments, into []any, each func()) error
}

// plain is pgx's way.
type plain struct{ db *cache.DB }

func (p plain) one(ctx context.Context, sql string, arguments, into []any) error {
	return p.db.QueryRow(ctx, sql, arguments...).Scan(into...)
}

func (p plain) rows(ctx context.Context, sql string, arguments, into []any, each func()) error {
	found, err := p.db.Query(ctx, sql, arguments...)
	if err == nil {
		_, err = pgx.ForEachRow(found, into, func() error { each(); return nil })
	}
	return err
}

// throughSQL is the way of database/sql.
type throughSQL struct{ handle *sql.DB }

func (t throughSQL) one(ctx context.Context, text string, arguments, into []any) error {
	err := t.handle.QueryRowContext(ctx, text, arguments...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return pgx.ErrNoRows
	}
	return err
}

func (t throughSQL) rows(ctx context.Context, text string, arguments, into []any, each func()) error {
	found, err := t.handle.QueryContext(ctx, text, arguments...)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		if err := found.Scan(into...); err != nil {
			return err
		}
		each()
	}
	return found.Err()
}

// question is the key of wrapped functions: a statement with whole numbers.
type question struct {
	text      string
	count     int
	arguments [argumentsMax]int64
}

const argumentsMax = 3

// wrapped are functions with the cache before them. What writes goes past it.
type wrapped struct {
	plain
	row  func(context.Context, question) ([]int64, error)
	list func(context.Context, question) ([][]int64, error)
	// named is row for rows of which it names what they depend on, and not as Postgres
	// spells it.
	named func(context.Context, question) ([]int64, error)
}

// namedText ends statements that read one row, those of even ids by wrapped.named.
const namedText = " FROM registers WHERE id = $1"

func wrap(db *cache.DB) wrapped {
	w := wrapped{plain: plain{db}}
	row := func(ctx context.Context, q question) (row []int64, err error) {
		all, err := load(ctx, db, q)
		if err == nil && len(all) == 0 {
			err = pgx.ErrNoRows
		}
		if err != nil {
			return nil, err
		}
		return all[0], nil
	}
	w.row = cache.Wrap(db, "row", row, cache.Policy[question, []int64]{NotFound: pgx.ErrNoRows})
	w.named = cache.Wrap(db, "named", row, cache.Policy[question, []int64]{
		NotFound: pgx.ErrNoRows,
		DependsOn: func(q question, _ []int64) []cache.Dependency {
			return []cache.Dependency{cache.Row("public.registers", "id", fmt.Sprintf(" %03d", q.arguments[0]))}
		},
	})
	w.list = cache.Wrap(db, "rows", func(ctx context.Context, q question) ([][]int64, error) { return load(ctx, db, q) })
	return w
}

// load reads the rows of a question.
func load(ctx context.Context, db *cache.DB, q question) ([][]int64, error) {
	var arguments []any
	for _, a := range q.arguments[:q.count] {
		arguments = append(arguments, a)
	}
	found, err := db.Query(ctx, q.text, arguments...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, func(row pgx.CollectableRow) ([]int64, error) {
		values := make([]int64, len(row.FieldDescriptions()))
		into := make([]any, len(values))
		for i := range values {
			into[i] = &values[i]
		}
		return values, row.Scan(into...)
	})
}

func (w wrapped) one(ctx context.Context, sql string, arguments, into []any) error {
	if !reads(sql) {
		return w.plain.one(ctx, sql, arguments, into)
	}
	q, err := ask(sql, arguments)
	if err != nil {
		return err
	}
	row := w.row
	if strings.HasSuffix(q.text, namedText) && q.arguments[0]%2 == 0 {
		row = w.named
	}
	values, err := row(ctx, q)
	if err != nil {
		return err
	}
	return fill(into, values)
}

func (w wrapped) rows(ctx context.Context, sql string, arguments, into []any, each func()) error {
	q, err := ask(sql, arguments)
	if err != nil {
		return err
	}
	all, err := w.list(ctx, q)
	if err != nil {
		return err
	}
	for _, values := range all {
		if err := fill(into, values); err != nil {
			return err
		}
		each()
	}
	return nil
}

func reads(sql string) bool { return strings.HasPrefix(sql, "SELECT") }

// ask makes a key of a statement.
func ask(sql string, arguments []any) (question, error) {
	q := question{text: sql, count: len(arguments)}
	if len(arguments) > argumentsMax {
		return q, fmt.Errorf("make a key: %d arguments", len(arguments))
	}
	for i, argument := range arguments {
		switch a := argument.(type) {
		case int:
			q.arguments[i] = int64(a)
		case int64:
			q.arguments[i] = a
		default:
			return q, fmt.Errorf("make a key: argument of %T", argument)
		}
	}
	return q, nil
}

// fill gives values to the pointers that a statement's columns are scanned into.
func fill(into []any, values []int64) error {
	if len(into) != len(values) {
		return fmt.Errorf("fill %d pointers: %d values", len(into), len(values))
	}
	for i, value := range values {
		switch to := into[i].(type) {
		case *int64:
			*to = value
		case *int:
			*to = int(value)
		default:
			return fmt.Errorf("fill a pointer of %T", to)
		}
	}
	return nil
}
