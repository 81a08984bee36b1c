package shop

import (
	"context"
	"fmt"
	"strings"
)

// Door is an address that speaks PostgreSQL's protocol, over a Unix socket.
type Door struct {
	Name     string // for reports
	Dir      string // of the socket
	Port     int
	Database string
}

// dsn is the connection string of keywords that both drivers understand.
func (d Door) dsn(role string) string {
	quote := func(value string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
	}
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", quote(d.Dir), d.Port, role, quote(d.Database))
}

// dialect is a driver and the way it asks.
type dialect int

const (
	pgxPrepared dialect = iota // named statement, parsed once
	pgxUnnamed                 // parsed each time
	pgxSimple                  // simple query, literals in the text
	pqUnnamed                  // lib/pq below database/sql, two round trips
	pqSimple                   // lib/pq below database/sql, simple query
)

func (d dialect) String() string {
	return [...]string{"pgx prepared", "pgx unnamed", "pgx simple", "lib/pq", "lib/pq simple"}[d]
}

// usualDialects are how the readers ask, in turn: half of them as
// programs do that use pgx as it comes, the others in the other ways.
var usualDialects = []dialect{pgxPrepared, pqUnnamed, pgxPrepared, pgxSimple, pgxPrepared, pqUnnamed, pgxPrepared, pgxUnnamed, pgxPrepared, pqSimple}

// session is one connection. It is for one goroutine.
type session interface {
	// query's rows must be closed before the next call.
	query(ctx context.Context, sql string, args ...any) (rows, error)
	// run executes a statement that returns nothing.
	run(ctx context.Context, sql string, args ...any) error
	close() error
}

// rows is what the drivers' results have in common.
type rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

func (d dialect) open(ctx context.Context, door Door, role string) (session, error) {
	ctx, cancel := context.WithTimeout(ctx, queryWaitMax)
	defer cancel()
	var s session
	var err error
	switch d {
	case pqUnnamed, pqSimple:
		s, err = openPQ(ctx, door.dsn(role), d == pqSimple)
	default:
		s, err = openPGX(ctx, door.dsn(role), d)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s with %v: %w", door.Name, d, err)
	}
	return s, nil
}
