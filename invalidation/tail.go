package invalidation

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

// Kinds of a Change.
const (
	// ChangedRows says that rows of a table were written, KeysOf names which, as far as the
	// table's watched columns tell.
	ChangedRows = "rows"
	// ChangedTable says that a table was written without a list of rows: TRUNCATE, or too
	// many of them.
	ChangedTable = "table"
	// ChangedSchema says that definitions or rights changed, of Table if it has a name.
	ChangedSchema = "schema"
	// ChangedOwn says that freshet.touch was called, with Names.
	ChangedOwn = "own"
	// Gap says that changes before this one may be missing: they were trimmed, the server
	// began another life, or there were too many.
	Gap = "gap"
)

// Change is what one statement has changed of one table, as others may read it. Its JSON
// form keeps its names and meaning.
type Change struct {
	Kind  string `json:"kind"`
	Table string `json:"table,omitempty"`
	// Keys are the values, by watched column, that the rows had or got. Long ones are
	// replaced by their MD5.
	Keys map[string][]string `json:"keys,omitempty"`
	// Names are tags of the application's own.
	Names []string `json:"names,omitempty"`
	// Transaction is the writer's. Changes of one are not always neighbours.
	Transaction uint64 `json:"transaction,omitempty"`
	// Received is when it was read, by this machine's clock: after its commit.
	Received time.Time `json:"received"`
	// Position is where to go on: what was committed by then has been told, with this
	// change or before it, or is told again.
	Position string `json:"position"`
}

// tailRowsMax bounds the rows of the outbox that a Tail reads at once. Where there are
// more, it tells of a gap.
const tailRowsMax = 100_000

// tailSQL is a look whose events are to be read by others: the state of the outbox first,
// then its rows in the order in which they were written.
const tailSQL = `
SELECT pg_current_snapshot()::text, freshet.incarnation(), t.mark::text, NULL::xid8, NULL::text[] FROM freshet.trim t
UNION ALL
(SELECT NULL, NULL, NULL, o.xid, o.tags FROM freshet.outbox o WHERE o.xid >= $1 OR o.xid = ANY ($2) ORDER BY o.written LIMIT $3)`

// FromBeginning is the position before everything that the outbox holds.
const FromBeginning = "beginning"

// Tail reads what the outbox holds, in order, and remembers where it is. It takes no lock
// that a writer meets, and keeps nothing from being trimmed: who comes back later than
// events are kept is told of a gap. It belongs to one goroutine.
type Tail struct {
	conn        *pgx.Conn
	incarnation fence.Incarnation
	head        fence.Snapshot
	// known is set once there is a head.
	known bool
	// beginning is set if what the outbox holds is told before anything else.
	beginning bool
	// names are those of tables, by OID, as of the last read that asked.
	names map[uint32]string
}

// NewTail returns a Tail that begins at a position: one that a Change told, FromBeginning,
// or "" for what is committed from the first Read on.
func NewTail(conn *pgx.Conn, position string) (*Tail, error) {
	t := &Tail{conn: conn, names: map[uint32]string{}}
	switch position {
	case "":
		return t, nil
	case FromBeginning:
		t.beginning = true
		return t, nil
	}
	incarnation, snapshot, found := strings.Cut(position, "@")
	head, err := fence.ParseSnapshot(snapshot)
	if !found || err != nil {
		return nil, fmt.Errorf("read position %q: it is not one that was told", position)
	}
	t.incarnation, t.head, t.known = fence.Incarnation(incarnation), head, true
	return t, nil
}

// Read returns what was committed since the last Read.
func (t *Tail) Read(ctx context.Context) ([]Change, error) {
	seen, events, err := t.look(ctx)
	if err != nil {
		return nil, err
	}
	var changes []Change
	now := time.Now().UTC()
	before := t.position()
	switch {
	case !t.known && !t.beginning:
		events = nil
	case t.known && (t.incarnation != seen.incarnation || !t.head.Includes(seen.mark)), len(events) > tailRowsMax:
		changes = append(changes, Change{Kind: Gap})
		before = string(seen.incarnation) + "@" + seen.mark.String()
	}
	for _, e := range events {
		if !seen.snapshot.Sees(e.xid) {
			continue // it came with a dump, from another server
		}
		told, err := t.changes(ctx, e)
		if err != nil {
			return nil, err
		}
		changes = append(changes, told...)
	}
	t.incarnation, t.head, t.known = seen.incarnation, seen.snapshot, true
	for i := range changes {
		changes[i].Received, changes[i].Position = now, before
	}
	if n := len(changes); n > 0 {
		changes[n-1].Position = t.position()
	}
	return changes, nil
}

// position is where the Tail is, FromBeginning before the first look.
func (t *Tail) position() string {
	if !t.known {
		return FromBeginning
	}
	return string(t.incarnation) + "@" + t.head.String()
}

// tailed is a row of the outbox.
type tailed struct {
	xid  fence.XID
	tags []string
}

// outboxState is what a look says of the outbox.
type outboxState struct {
	incarnation    fence.Incarnation
	snapshot, mark fence.Snapshot
}

func (t *Tail) look(ctx context.Context) (seen outboxState, events []tailed, err error) {
	fail := func(err error) (outboxState, []tailed, error) {
		return seen, nil, fmt.Errorf("read the outbox: %w", explainMissing(err, t.conn.Config().User))
	}
	xmax, running := uint64(0), []uint64{}
	if t.known {
		xmax = uint64(t.head.Xmax())
		for _, x := range t.head.InProgress() {
			running = append(running, uint64(x))
		}
	}
	rows, err := t.conn.Query(ctx, tailSQL, xmax, running, tailRowsMax+1)
	if err != nil {
		return fail(err)
	}
	defer rows.Close()
	for rows.Next() {
		var snapshot, incarnation, mark *string
		var xid *uint64
		var tags []string
		if err := rows.Scan(&snapshot, &incarnation, &mark, &xid, &tags); err != nil {
			return fail(err)
		}
		if xid != nil {
			events = append(events, tailed{fence.XID(*xid), tags})
			continue
		}
		if incarnation == nil {
			return fail(errors.New("nobody has followed since the server began; start a sidecar, or wait for one"))
		}
		seen.incarnation = fence.Incarnation(*incarnation)
		if seen.snapshot, err = fence.ParseSnapshot(*snapshot); err != nil {
			return fail(err)
		}
		if seen.mark, err = fence.ParseSnapshot(*mark); err != nil {
			return fail(err)
		}
	}
	if err := rows.Err(); err != nil {
		return fail(err)
	}
	if t.known && t.incarnation != seen.incarnation {
		// The ids of another life mean nothing here: all that is there is told.
		t.known, t.beginning = false, true
		again, all, err := t.look(ctx)
		t.known, t.beginning = true, false
		return again, all, err
	}
	return seen, events, nil
}

// changes are what one row tells, a Change for each table.
func (t *Tail) changes(ctx context.Context, e tailed) (all []Change, err error) {
	at := map[string]int{}
	of := func(kind, table string) *Change {
		name := kind + " " + table
		i, known := at[name]
		if !known {
			i = len(all)
			at[name] = i
			all = append(all, Change{Kind: kind, Table: table, Transaction: uint64(e.xid)})
		}
		return &all[i]
	}
	for _, tag := range e.tags {
		if strings.HasPrefix(tag, fence.OwnPrefix+fence.OwnReserved) {
			continue
		}
		if name, own := strings.CutPrefix(tag, fence.OwnPrefix); own {
			c := of(ChangedOwn, "")
			c.Names = append(c.Names, name)
			continue
		}
		rest, schema := strings.CutPrefix(tag, fence.SchemaText)
		if schema || fence.IsRoleText(tag) {
			table, err := t.table(ctx, strings.TrimPrefix(rest, "/"))
			if err != nil {
				return nil, err
			}
			of(ChangedSchema, table)
			continue
		}
		digits, what, _ := strings.Cut(tag, "/")
		table, err := t.table(ctx, digits)
		if err != nil {
			return nil, err
		}
		column, value, precise := strings.Cut(what, "=")
		switch {
		case what == "*":
			of(ChangedTable, table)
		case precise:
			c := of(ChangedRows, table)
			if c.Keys == nil {
				c.Keys = map[string][]string{}
			}
			c.Keys[column] = append(c.Keys[column], value)
		default:
			of(ChangedRows, table)
		}
	}
	return withoutWhole(all), nil
}

// withoutWhole leaves out that rows were written of a table that was written as a whole.
func withoutWhole(all []Change) (kept []Change) {
	whole := map[string]bool{}
	for _, c := range all {
		whole[c.Table] = whole[c.Table] || c.Kind == ChangedTable
	}
	for _, c := range all {
		if c.Kind != ChangedRows || !whole[c.Table] {
			kept = append(kept, c)
		}
	}
	return kept
}

// table returns the name of a table by the text of its OID, "" for none; of one that is
// gone it is the OID.
func (t *Tail) table(ctx context.Context, digits string) (name string, err error) {
	oid, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || oid == 0 {
		return "", nil
	}
	if name, known := t.names[uint32(oid)]; known {
		return name, nil
	}
	err = t.conn.QueryRow(ctx, `SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1`, uint32(oid)).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return digits, nil
	}
	if err != nil {
		return "", fmt.Errorf("ask for the name of a table: %w", err)
	}
	if len(t.names) < writtenMax {
		t.names[uint32(oid)] = name
	}
	return name, nil
}
