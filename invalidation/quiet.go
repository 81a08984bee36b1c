package invalidation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

// quietPeriod is how long a table must have been left alone before triggers are put
// on it by a role that cannot keep GRANTs waiting (holdGrantsSQL): scripts grant
// right after they create.
const quietPeriod = 10 * time.Second

// youngMax bounds the tables that are remembered as young. Beyond it all are seen
// anew.
const youngMax = 10_000

// young is a row of pg_class, and when it was seen first.
type young struct {
	version string
	since   fence.Instant
}

// holdsGrants reports whether the role may lock pg_class: superusers may.
func holdsGrants(ctx context.Context, conn *pgx.Conn) (may bool, err error) {
	if err := conn.QueryRow(ctx, "SELECT has_table_privilege('pg_class', 'UPDATE')").Scan(&may); err != nil {
		return false, fmt.Errorf("ask for the right to lock the catalog: %w", err)
	}
	return may, nil
}

// leaveYoung takes the trees out of a plan that have a table which changed in the
// quiet period, and reports whether there were any.
func (k *keeper) leaveYoung(p *plan, now fence.Instant) (left bool) {
	if k.young == nil || len(k.young) > youngMax {
		k.young = map[uint32]young{}
	}
	isYoung := func(table unarmed) bool {
		if table.version == "" {
			return false
		}
		seen, known := k.young[table.oid]
		if !known || seen.version != table.version {
			seen = young{table.version, now}
			k.young[table.oid] = seen
		}
		return now.Sub(seen.since) < quietPeriod
	}
	before := len(p.trees)
	p.trees = slices.DeleteFunc(p.trees, func(t treePlan) bool {
		youngOnes := 0
		for _, table := range t.missing { // each is looked at, to begin its time
			if isYoung(table) {
				youngOnes++
			}
		}
		return youngOnes > 0
	})
	return len(p.trees) < before
}
