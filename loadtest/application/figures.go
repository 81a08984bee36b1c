package application

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// reading is what a side's servers have counted so far.
type reading struct {
	// database is the time that Postgres took for the application, to plan and to execute,
	// by its own account; calls are the statements.
	database time.Duration
	calls    int64
	sidecar  counted
}

// counted is what a sidecar says of itself, of what is needed here.
type counted struct {
	Queries       map[string]uint64   `json:"queries"`
	Misses        map[string]uint64   `json:"misses"`
	Bypasses      map[string]uint64   `json:"bypasses"`
	BypassSeconds map[string]float64  `json:"bypass_seconds"`
	SavedSeconds  float64             `json:"saved_seconds"`
	Examples      map[string][]string `json:"bypass_examples"`
	// Shapes are since the sidecar began, and not summed up.
	Shapes []Shape `json:"shapes"`
}

// figures are of one turn, or of all.
type figures struct {
	seconds  float64
	requests float64
	// waited is what all clients together waited for answers, in seconds.
	waited float64
	reading
}

// since returns what was counted after an earlier reading.
func (r reading) since(e reading) reading {
	d := reading{database: r.database - e.database, calls: r.calls - e.calls}
	d.sidecar = counted{
		Queries: less(r.sidecar.Queries, e.sidecar.Queries), Misses: less(r.sidecar.Misses, e.sidecar.Misses), Bypasses: less(r.sidecar.Bypasses, e.sidecar.Bypasses),
		BypassSeconds: less(r.sidecar.BypassSeconds, e.sidecar.BypassSeconds), SavedSeconds: r.sidecar.SavedSeconds - e.sidecar.SavedSeconds,
		Examples: r.sidecar.Examples, Shapes: r.sidecar.Shapes,
	}
	return d
}

// add adds another turn's figures.
func (f *figures) add(o figures) {
	f.seconds, f.requests, f.waited = f.seconds+o.seconds, f.requests+o.requests, f.waited+o.waited
	f.database, f.calls = f.database+o.database, f.calls+o.calls
	s := &f.sidecar
	s.Queries, s.Misses = more(s.Queries, o.sidecar.Queries), more(s.Misses, o.sidecar.Misses)
	s.Bypasses, s.BypassSeconds = more(s.Bypasses, o.sidecar.Bypasses), more(s.BypassSeconds, o.sidecar.BypassSeconds)
	s.SavedSeconds, s.Examples, s.Shapes = s.SavedSeconds+o.sidecar.SavedSeconds, o.sidecar.Examples, o.sidecar.Shapes
}

// number is what is counted by names.
type number interface{ uint64 | float64 }

func less[N number](all, before map[string]N) map[string]N {
	rest := map[string]N{}
	for name, n := range all {
		rest[name] = n - before[name]
	}
	return rest
}

func more[N number](all, others map[string]N) map[string]N {
	sum := less(all, nil)
	for name, n := range others {
		sum[name] += n
	}
	return sum
}

// read reads what a side's servers have counted.
func (s *side) read(ctx context.Context) (r reading, err error) {
	var milliseconds float64
	if err := s.game.statistics.QueryRow(ctx, `
		SELECT coalesce(sum(s.total_exec_time + s.total_plan_time), 0), coalesce(sum(s.calls), 0)::bigint
		FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid JOIN pg_roles r ON r.oid = s.userid
		WHERE d.datname = $1 AND r.rolname = $2`, s.database, role).Scan(&milliseconds, &r.calls); err != nil {
		return r, fmt.Errorf("read Postgres' statistics: %w", err)
	}
	r.database = time.Duration(milliseconds * float64(time.Millisecond))
	if s.sidecar == nil {
		return r, nil
	}
	conn, err := pgx.Connect(ctx, s.place().DSN())
	if err != nil {
		return r, fmt.Errorf("connect to the sidecar: %w", err)
	}
	defer conn.Close(ctx)
	var text string
	if err := conn.QueryRow(ctx, "SHOW freshet.report", pgx.QueryExecModeSimpleProtocol).Scan(&text); err != nil {
		return r, fmt.Errorf("read the sidecar's report: %w", err)
	}
	return r, json.Unmarshal([]byte(text), &r.sidecar)
}

// statementsMax is how many statements are told that Postgres took longest for.
const statementsMax = 12

// statements returns those that Postgres took longest for, of what the application sent.
func (s *side) statements(ctx context.Context) ([]Statement, error) {
	rows, err := s.game.statistics.Query(ctx, `
		SELECT s.query, s.calls, s.total_exec_time + s.total_plan_time
		FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid JOIN pg_roles r ON r.oid = s.userid
		WHERE d.datname = $1 AND r.rolname = $2 ORDER BY 3 DESC LIMIT $3`, s.database, role, statementsMax)
	if err != nil {
		return nil, fmt.Errorf("read Postgres' statistics: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (st Statement, err error) {
		return st, row.Scan(&st.Text, &st.Calls, &st.Milliseconds)
	})
}
