package observe

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// changes compares what Postgres counts of changed rows with what passed here.
type changes struct {
	// counted is what Postgres has counted, by the roots of tables; first is when observing
	// began, last as of the question before.
	first, last map[uint32]int64
	// seen is what passed here, and open are tables of which it is not known how many rows
	// passed: of these nothing is concluded.
	seen map[uint32]int64
	open map[uint32]bool
	// elsewhere is how many rows were changed by others.
	elsewhere map[uint32]int64
}

func newChanges() changes {
	return changes{seen: map[uint32]int64{}, open: map[uint32]bool{}, elsewhere: map[uint32]int64{}}
}

// note counts rows that a statement has changed here.
func (c *changes) note(roots []uint32, rows int) {
	if len(roots) == 1 {
		c.seen[roots[0]] += int64(rows)
		return
	}
	for _, root := range roots {
		c.open[root] = true
	}
}

const changesSQL = "SELECT relid, n_tup_ins + n_tup_upd + n_tup_del FROM pg_catalog.pg_stat_user_tables"

// count asks Postgres.
func (o *Observer) countChanges(ctx context.Context) (map[uint32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	conn, err := o.connection(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, changesSQL)
	if err != nil {
		return nil, err
	}
	counted := map[uint32]int64{}
	var table uint32
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&table, &n}, func() error {
		if t, ok := o.state.Table(table); ok {
			table = t.Root
		}
		counted[table] += n
		return nil
	})
	return counted, err
}

// readChanges asks for the first time.
func (o *Observer) readChanges(ctx context.Context) error {
	counted, err := o.countChanges(ctx)
	o.changes.first, o.changes.last = counted, counted
	return err
}

// compareChanges finds out what was changed elsewhere. Postgres counts a while after the
// statement, so that what it has counted by now passed before; but what passed may still
// wait to be looked at here:
//
//  1. a statement's answer passes, and waits to be looked at;
//  2. Postgres counts its rows, and is asked;
//  3. the rows of 1 seem to have come from elsewhere.
//
// So what is compared is what Postgres had counted when it was asked before.
func (o *Observer) compareChanges(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := &o.changes
	for table, n := range c.last {
		others := n - c.first[table] - c.seen[table]
		if more := others - c.elsewhere[table]; more > 0 && !c.open[table] {
			c.elsewhere[table] = others
			o.memory.changeElsewhere(time.Now(), table)
		}
	}
	counted, err := o.countChanges(ctx)
	if err != nil {
		o.logger.Warn("cannot ask for what was changed elsewhere", "error", err)
		return
	}
	c.last = counted
}
