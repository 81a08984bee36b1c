package invalidation

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

const (
	// happenedMax bounds what is kept of what happened: the oldest goes first.
	happenedMax = 32
	// happenedTablesMax bounds the tables that are named of each.
	happenedTablesMax = 8
	// changesMax bounds the changes of definitions whose tables are to be asked for: one above it is
	// told without. changeXIDsMax bounds the transactions of one.
	changesMax    = 8
	changeXIDsMax = 64
)

// HappeningKind says what happened.
type HappeningKind string

// The kinds of what happened.
const (
	// HappenedDDL is a change of names, rights or definitions.
	HappenedDDL HappeningKind = "ddl"
	// HappenedInstall is a table that is watched, or columns of it, and was not before.
	HappenedInstall HappeningKind = "install"
	// HappenedPurge is an end of answers that somebody has asked for.
	HappenedPurge HappeningKind = "purge"
)

// Happening is what an operator wants to see beside the figures.
type Happening struct {
	// Number counts them, from 1 on.
	Number uint64
	At     time.Time
	Kind   HappeningKind
	// Tables are the names of those that it is about, with the columns of an installation, as far as
	// they are known: happenedTablesMax at most, and More counts the others. Where there are none,
	// it is about all.
	Tables []string
	More   int
}

// happened keeps what happened, at a moment.
func (c *counters) happened(kind HappeningKind, tables []string, at time.Time) {
	slices.Sort(tables)
	tables = slices.Compact(tables)
	shown := tables[:min(len(tables), happenedTablesMax)]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.happenings++
	if len(c.latest) == happenedMax {
		c.latest = append(c.latest[:0], c.latest[1:]...)
	}
	c.latest = append(c.latest, Happening{c.happenings, at, kind, shown, len(tables) - len(shown)})
}

// happen tells what the events of a look were about, whose tables the states of the look before and
// of this one name. An audit may have found what an event is about before the event is received
// (TestDroppedTableIsNamedBehindAnAudit).
func (l *looker) happen(s *sighting) {
	if !l.known {
		return // the first look finds what was there
	}
	before := l.published
	now, state := time.Now(), l.f.State()
	if s.purged.any {
		l.f.stats.happened(HappenedPurge, namesOf(s.purged.roots, before, state), now)
	}
	if !s.changed.any {
		return
	}
	change := definitionChange{now, s.changed.xids, namesOf(s.changed.roots, before, state)}
	for _, t := range before.Tables() {
		if _, there := state.Table(t.Root); !there {
			change.tables = append(change.tables, t.Schema+"."+t.Name)
		}
	}
	select {
	case l.f.changes <- change:
	default:
		l.f.stats.happened(HappenedDDL, change.tables, now)
	}
}

// definitionChange is a change of definitions whose tables the keeper is to ask for: most of its events
// name none.
type definitionChange struct {
	at     time.Time
	xids   []uint32
	tables []string // those that are known
}

// changedSQL names the relations whose own rows of the catalog, or whose columns', are of one of
// the transactions $1.
const changedSQL = `SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('freshet', 'pg_toast')
AND (c.xmin = ANY ($1::text[]::xid[]) OR c.oid IN (SELECT a.attrelid FROM pg_catalog.pg_attribute a WHERE a.xmin = ANY ($1::text[]::xid[])))
ORDER BY 1 LIMIT $2`

// tell keeps a change with the tables that it was about.
func (k *keeper) tell(ctx context.Context, conn *pgx.Conn, c definitionChange) error {
	xids := make([]string, len(c.xids))
	for i, xid := range c.xids {
		xids[i] = strconv.FormatUint(uint64(xid), 10)
	}
	rows, err := conn.Query(ctx, changedSQL, xids, happenedTablesMax+1)
	if err != nil {
		return fmt.Errorf("ask which tables have changed: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("ask which tables have changed: %w", err)
	}
	k.f.stats.happened(HappenedDDL, append(c.tables, names...), c.at)
	return nil
}

// about are the tables that events of a look are about.
type about struct {
	any   bool
	roots map[uint32]bool
	xids  []uint32 // as the catalog has them, changeXIDsMax at most
}

// note adds those of one event.
func (a *about) note(xid fence.XID, texts []string) {
	a.any = true
	if len(a.xids) < changeXIDsMax {
		a.xids = append(a.xids, uint32(xid))
	}
	for _, text := range texts {
		digits, _, _ := strings.Cut(strings.TrimPrefix(text, fence.SchemaText+"/"), "/")
		root, err := strconv.ParseUint(digits, 10, 32)
		if err != nil {
			continue
		}
		if a.roots == nil {
			a.roots = map[uint32]bool{}
		}
		a.roots[uint32(root)] = true
	}
}

func namesOf(roots map[uint32]bool, states ...*State) (names []string) {
	for root := range roots {
		for _, state := range states {
			if t, ok := state.Table(root); ok {
				names = append(names, t.Schema+"."+t.Name)
				break
			}
		}
	}
	return names
}

// newlyWatched names the tables, with their columns, that a state has and one before had not, or
// with other columns.
func newlyWatched(before, state *State) (names []string) {
	for _, t := range state.Tables() {
		if was, ok := before.Table(t.Root); !ok || !slices.Equal(was.Columns, t.Columns) {
			names = append(names, t.Schema+"."+t.Name+"("+strings.Join(t.Columns, ", ")+")")
		}
	}
	return names
}
