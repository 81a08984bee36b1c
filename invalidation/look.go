package invalidation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

const (
	// rowsPerLookMax bounds the outbox rows of one look, and tagsPerLookMax their
	// tags. Beyond, nothing older than the look's head is trusted.
	rowsPerLookMax = 10_000
	tagsPerLookMax = 1 << 20
)

// lookName is the prepared statement's name.
const lookName = "freshet_look"

// lookSQL is one plain statement in a transaction of its own, so that all it
// returns belongs to the one snapshot it returns. The first row holds the state,
// the others the events that the head before may lack: $1 is that head's xmax,
// $2 its list of running transactions. The position in the log, and whether writers
// skip their rows or have skipped some that are not accounted for, are read after
// the snapshot was taken: see freshet.attended.
var lookSQL = lookSQLWith("NULL::text")

// lookDefinitionsName and lookDefinitionsSQL are of a look that reads the definitions
// too, unless its snapshot is $3.
const lookDefinitionsName = "freshet_look_definitions"

var lookDefinitionsSQL = lookSQLWith("CASE WHEN pg_current_snapshot()::text <> $3 THEN " + definitionsSQL + " END")

func lookSQLWith(definitions string) string {
	return `
SELECT pg_current_snapshot()::text, (SELECT token FROM freshet.incarnation), t.incarnation, t.mark::text,
	pg_is_in_recovery(), (EXTRACT(epoch FROM pg_conf_load_time()) * 1000000)::int8,
	(pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8, ` + outboxFileSQL + `,
	(SELECT g.is_called OR g.last_value <> t.returned FROM freshet.given_up g), ` + eventsInPlaceSQL + `, ` + definitions + `, NULL::xid8, NULL::text[]
FROM freshet.trim t
UNION ALL
(SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, o.xid, o.tags
FROM freshet.outbox o WHERE o.xid >= $1 OR o.xid = ANY ($2) LIMIT ` + strconv.Itoa(rowsPerLookMax+1) + `)`
}

// The columns of a look: those of the outbox come behind the state's.
const (
	columnOfXID   = 11
	columnOfTags  = 12
	columnsOfLook = 13
)

// eventsInPlaceSQL asks for the event triggers. Whoever takes them away is reported by
// none; as each look asks, no change after it goes unnoticed.
const eventsInPlaceSQL = `(SELECT count(*) = 3 FROM pg_event_trigger e WHERE e.evtenabled = 'A' AND e.evtname IN ('freshet_ddl_start', 'freshet_ddl_end', 'freshet_drop'))`

// sighting is what one look saw.
type sighting struct {
	snapshot       fence.Snapshot
	token          string
	incarnation    fence.Incarnation // the one that mark belongs to
	mark           fence.Snapshot
	settingsLoaded int64 // microseconds, by the server's clock
	position       uint64
	outbox         uint32 // where it lies
	// at is snapshot as Postgres spells it, and definitions sums up what was defined in
	// it: "" if that was not asked for, or the same as in the snapshot that was named.
	at, definitions string
	// unreporting says that an event trigger is not in place.
	unreporting bool
	events      []fence.Event
	// kinds counts the events, foreign ones included, by what they change.
	kinds [eventKinds]uint64
	// written is what the events say of tables, by the OID of the tree's root.
	written map[uint32]Written
	// marked is set if an event among them has a mark of a purge or of Distrust.
	marked bool
	// changed are the tables that events about names, rights or definitions name, purged those of
	// purges.
	changed, purged about
	// overflow says that there were more events than are read.
	overflow bool
	// schema says that there was an event about the schema.
	schema bool
	// roles says that there was one about roles.
	roles bool
}

// errChanged says that the database is not the one that the session greeted.
var errChanged = errors.New("the database's incarnation changed")

// errSkipped says that writers may have skipped their rows.
var errSkipped = errors.New("nobody followed for long, and changes were not recorded")

// look asks for everything that the head before may lack.
func look(ctx context.Context, conn *pgx.Conn, before fence.Snapshot) (*sighting, error) {
	return lookBy(ctx, conn, lookName, before)
}

// lookDefinitions is a look that reads the definitions, unless its snapshot is known.
func lookDefinitions(ctx context.Context, conn *pgx.Conn, before fence.Snapshot, known string) (*sighting, error) {
	return lookBy(ctx, conn, lookDefinitionsName, before, known)
}

func lookBy(ctx context.Context, conn *pgx.Conn, name string, before fence.Snapshot, more ...any) (*sighting, error) {
	running := make([]uint64, len(before.InProgress()))
	for i, x := range before.InProgress() {
		running[i] = uint64(x)
	}
	rows, err := conn.Query(ctx, name, append([]any{uint64(before.Xmax()), running}, more...)...)
	if err != nil {
		return nil, fmt.Errorf("look at the outbox: %w", err)
	}
	defer rows.Close()
	s := &sighting{}
	seen, tags := 0, 0
	var xid uint64
	var texts []string
	event := [columnsOfLook]any{columnOfXID: &xid, columnOfTags: &texts} // what is nil is not read
	for rows.Next() {
		if rows.RawValues()[columnOfXID] == nil {
			if err := s.readState(rows); err != nil {
				return nil, err
			}
			continue
		}
		if err := rows.Scan(event[:]...); err != nil {
			return nil, fmt.Errorf("look at the outbox: %w", err)
		}
		if seen, tags = seen+1, tags+len(texts); seen > rowsPerLookMax || tags > tagsPerLookMax {
			s.overflow = true
			continue
		}
		s.add(fence.XID(xid), texts)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look at the outbox: %w", err)
	}
	if s.token == "" {
		return nil, errors.New("look at the outbox: the row of freshet.trim is missing")
	}
	s.dropForeign()
	return s, nil
}

// readState reads the row of a look that is none of the outbox.
func (s *sighting) readState(rows pgx.Rows) error {
	var snapshot, token, incarnation, mark, definitions *string
	var standby, skipped, events *bool
	var loaded, position *int64
	var outbox *uint32
	if err := rows.Scan(&snapshot, &token, &incarnation, &mark, &standby, &loaded, &position, &outbox, &skipped, &events, &definitions, nil, nil); err != nil {
		return fmt.Errorf("look at the outbox: %w", err)
	}
	if *standby {
		return errors.New("look at the outbox: the server is a standby")
	}
	if token == nil || incarnation == nil || outbox == nil {
		return errChanged
	}
	if skipped == nil || *skipped {
		return errSkipped
	}
	s.token, s.incarnation = *token, fence.Incarnation(*incarnation)
	s.settingsLoaded, s.position, s.outbox = *loaded, uint64(*position), *outbox
	s.at, s.unreporting = *snapshot, !*events
	if definitions != nil {
		s.definitions = *definitions
	}
	return s.parseSnapshots(*snapshot, *mark)
}

func (s *sighting) parseSnapshots(snapshot, mark string) (err error) {
	if s.snapshot, err = fence.ParseSnapshot(snapshot); err != nil {
		return fmt.Errorf("look at the outbox: %w", err)
	}
	if s.mark, err = fence.ParseSnapshot(mark); err != nil {
		return fmt.Errorf("look at the outbox: %w", err)
	}
	return nil
}

func (s *sighting) add(xid fence.XID, texts []string) {
	event := fence.Event{XID: xid, Tags: make([]fence.Tag, len(texts))}
	for i, text := range texts {
		event.Tags[i] = fence.NewTag(text)
		s.schema = s.schema || isSchemaText(text)
		s.roles = s.roles || fence.IsRoleText(text)
	}
	s.events = append(s.events, event)
	kind := kindOfEvent(texts)
	s.kinds[kind]++
	s.note(texts)
	switch {
	case marks(texts):
		s.marked = true
		if slices.Contains(texts, purgedText) {
			s.purged.note(xid, texts)
		}
	case kind == eventOfSchema:
		s.changed.note(xid, texts)
	}
}

// isSchemaText recognizes fence.SchemaText and fence.RelationSchemaText.
func isSchemaText(text string) bool {
	const n = len(fence.SchemaText)
	return len(text) >= n && text[:n] == fence.SchemaText && (len(text) == n || text[n] == '/')
}

// dropForeign removes events whose transaction the look's own snapshot does not
// see: rows that came with a dump or a replication from another server, under
// ids that mean nothing here.
func (s *sighting) dropForeign() {
	kept := s.events[:0]
	for _, e := range s.events {
		if s.snapshot.Sees(e.XID) {
			kept = append(kept, e)
		}
	}
	s.events = kept
}
