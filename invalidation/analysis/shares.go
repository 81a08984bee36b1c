package analysis

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// defaultShare is the share of the rows that have one value of a column of which nothing is
// known: a 200th, as Postgres' planner assumes (DEFAULT_NUM_DISTINCT in its selfuncs.h).
const defaultShare = 1. / 200

// shareOf is the share of one value of a column by pg_stats.n_distinct, which is a number of
// values, or with a minus their number for each row, and by pg_class.reltuples.
func shareOf(distinct, rows float64) float64 {
	switch {
	case distinct == 0 || distinct < 0 && rows <= 0:
		return defaultShare
	case distinct < 0:
		return min(1, 1/(-distinct*rows))
	default:
		return min(1, 1/distinct)
	}
}

// loadShares estimates which share of the rows of relations have one value of a column, by
// Postgres' statistics, as they are when the relations are loaded. Where there are none, or
// freshet.statistics is not there, which reads them for who may not, all columns count alike.
// A wrong estimate costs hits and nothing else: see statement.template.
func (c *catalog) loadShares(ctx context.Context, conn *pgx.Conn, oids []uint32) error {
	if len(oids) == 0 {
		return nil
	}
	if c.statistics == nil {
		var there bool
		if err := conn.QueryRow(ctx, `SELECT coalesce(pg_catalog.has_function_privilege(p.oid, 'EXECUTE'), false)
			FROM (SELECT pg_catalog.to_regprocedure('freshet.statistics(oid[])')::oid AS oid) p`).Scan(&there); err != nil {
			return err
		}
		c.statistics = &there
	}
	if !*c.statistics {
		return nil
	}
	rows, err := conn.Query(ctx, `
		SELECT s.relation, s.attribute::int4, s.n_distinct::float8, c.reltuples::float8
		FROM freshet.statistics($1) s JOIN pg_catalog.pg_class c ON c.oid = s.relation`, oids)
	if err != nil {
		return err
	}
	var oid uint32
	var number int
	var distinct, tuples float64
	_, err = pgx.ForEachRow(rows, []any{&oid, &number, &distinct, &tuples}, func() error {
		r := c.relations[oid]
		if r == nil {
			return nil
		}
		if column, ok := r.columns[number]; ok { // else it was added a moment ago
			column.share = shareOf(distinct, tuples)
			r.columns[number] = column
		}
		return nil
	})
	return err
}
