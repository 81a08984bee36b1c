package invalidation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

// lost is a table that was watched, is there, and is not watched any more: its triggers
// were taken off, by us as a column that they name is gone, or by somebody's hand.
// Without a word it would only seem slow.
type lost struct {
	root  uint32
	since time.Time
	// seen is the snapshot at which it was seen to be watched last.
	seen fence.Snapshot
	// judged is set once its triggers are all gone and nobody has taken them off on purpose.
	judged bool
}

// releasedPrefix begins the tag by which UninstallTables says, in the transaction that takes the
// triggers off, that this is on purpose. The OID of the table follows.
const releasedPrefix = fence.OwnPrefix + fence.OwnReserved + "released/"

// releasedSQL reads these tags since a transaction.
const releasedSQL = `SELECT o.xid, substr(tag, length($1::text) + 1) FROM freshet.outbox o, unnest(o.tags) AS tag
	WHERE o.xid >= $2::text::xid8 AND starts_with(tag, $1)`

// released are those of the candidates, which are lost, that somebody took out on purpose since
// they were watched last; also those that still have a trigger, as the triggers of a tree go one
// table after the other, and each time it is said of all. A table that was taken out, installed
// again and then lost its triggers has been seen meanwhile.
func (l *looker) released(ctx context.Context, candidates map[uint32]lost) (map[uint32]bool, error) {
	first := fence.XID(0)
	for _, was := range candidates {
		if was.judged {
			continue
		}
		if first == 0 || was.seen.Xmin() < first {
			first = was.seen.Xmin()
		}
	}
	if first == 0 {
		return nil, nil
	}
	rows, err := l.conn.Query(ctx, releasedSQL, releasedPrefix, strconv.FormatUint(uint64(first), 10))
	if err != nil {
		return nil, fmt.Errorf("read which tables were taken out: %w", err)
	}
	released := map[uint32]bool{}
	var xid uint64
	var digits string
	_, err = pgx.ForEachRow(rows, []any{&xid, &digits}, func() error {
		oid, err := strconv.ParseUint(digits, 10, 32)
		if was, lost := candidates[uint32(oid)]; err == nil && lost && !was.seen.Sees(fence.XID(xid)) {
			released[uint32(oid)] = true
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read which tables were taken out: %w", err)
	}
	return released, nil
}

// lostSQL reads which of the relations are there.
const lostSQL = `SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.oid = ANY($1::oid[]) AND c.relkind <> 'm' ORDER BY 2, 3`

// noteLost finds what was watched before and is not in state, and names each as a
// problem until the table is watched again or dropped, unless it was taken out on purpose. Tables whose triggers are there
// and wrong have a problem of their own already; while nothing is installed, the one
// problem of that stands for all.
func (l *looker) noteLost(ctx context.Context, state *State, c *catalog) error {
	before := l.f.State()
	if state.installation = c.installation(); state.installation == 0 {
		state.installation = before.installation
	}
	candidates := before.lostTo(state, time.Now())
	if len(candidates) == 0 || state.installation != before.installation {
		return nil // there are none, or somebody uninstalled Freshet and chose anew
	}
	rows, err := l.conn.Query(ctx, lostSQL, slices.Collect(maps.Keys(candidates)))
	if err != nil {
		return fmt.Errorf("read which tables are there: %w", err)
	}
	there, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct {
		OID          uint32
		Schema, Name string
	}])
	if err != nil {
		return fmt.Errorf("read which tables are there: %w", err)
	}
	armed := map[uint32]bool{}
	for _, t := range c.Triggers {
		armed[t.Table] = true
	}
	released, err := l.released(ctx, candidates)
	if err != nil {
		return err
	}
	state.lost = map[uint32]lost{}
	isThere := map[uint32]bool{}
	for _, table := range there {
		was := candidates[table.OID]
		if released[table.OID] {
			continue
		}
		was.judged = was.judged || !armed[table.OID]
		state.lost[table.OID], isThere[table.OID] = was, true
		_, withRoot := candidates[was.root]
		if !state.installed || armed[table.OID] || was.root != table.OID && withRoot {
			continue
		}
		name := table.Schema + "." + table.Name
		state.doubt(fmt.Sprintf("%s: no longer watched since %s, as its triggers are gone (a column that they name was renamed or dropped, or somebody dropped them): freshet install --watch %s",
			name, was.since.UTC().Format("2006-01-02 15:04:05 UTC"), name), was.since)
	}
	slices.Sort(state.problems)
	for oid := range before.byOID {
		if was, candidate := candidates[oid]; candidate && !released[oid] {
			l.f.stats.lostTables[state.lossOf(was, isThere[oid])].Add(1)
		}
	}
	return nil
}

// loss says why a table is watched no longer.
type loss int

const (
	lossColumn    loss = iota // a column is gone that its triggers name
	lossTrigger               // triggers of it are gone, or others than were installed
	lossDisabled              // a trigger of it was disabled
	lossDropped               // it was dropped itself
	lossInstalled             // what all tables share is not in place
	losses
)

// String gives the name used in statistics, metrics and documents.
func (c loss) String() string {
	return [...]string{"column", "trigger", "disabled", "dropped", "installation"}[c]
}

// untrusted is an error that says why a table of which triggers are there is not watched.
type untrusted struct {
	cause loss
	error
}

// lossOf is the cause of which a table is not in s that was watched before.
func (s *State) lossOf(was lost, there bool) loss {
	cause, doubtful := s.untrusted[was.root]
	switch {
	case !there:
		return lossDropped
	case !s.installed:
		return lossInstalled
	case doubtful:
		return cause
	}
	return lossTrigger
}

// installation tells one installation from another one behind an uninstall: the OID of a
// function that installing again keeps, 0 if that is not there.
func (c *catalog) installation() uint32 {
	for _, f := range c.Functions {
		if f.Name == "touch" {
			return f.OID
		}
	}
	return 0
}

// lostTo is what s watches and a newer state does not, lost now, and what had been lost
// before.
func (s *State) lostTo(newer *State, now time.Time) map[uint32]lost {
	all := map[uint32]lost{}
	for oid, was := range s.lost {
		if _, watched := newer.byOID[oid]; !watched {
			all[oid] = was
		}
	}
	for oid, t := range s.byOID {
		if _, watched := newer.byOID[oid]; !watched {
			all[oid] = lost{root: t.Root, since: now, seen: s.since}
		}
	}
	return all
}
