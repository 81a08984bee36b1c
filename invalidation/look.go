package invalidation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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

// The columns of a look, in its order: those of the outbox come behind the state's.
const (
	columnOfSnapshot = iota
	columnOfToken
	columnOfIncarnation
	columnOfMark
	columnOfStandby
	columnOfLoaded
	columnOfPosition
	columnOfOutbox
	columnOfSkipped
	columnOfReporting
	columnOfDefinitions
	columnOfXID
	columnOfTags
	columnsOfLook
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

// errNotALook says that a row is none that the statement of a look can return.
var errNotALook = errors.New("a row of the look has other columns than freshet's tables have: run freshet install again")

// errSkipped says that writers may have skipped their rows.
var errSkipped = errors.New("nobody followed for long, and changes were not recorded")

// look asks for everything that the head before may lack.
func look(ctx context.Context, conn *pgx.Conn, before fence.Snapshot) (*sighting, error) {
	return lookBy(ctx, conn, lookName, lookSQL, before)
}

// lookDefinitions is a look that reads the definitions, unless its snapshot is known.
func lookDefinitions(ctx context.Context, conn *pgx.Conn, before fence.Snapshot, known string) (*sighting, error) {
	return lookBy(ctx, conn, lookDefinitionsName, lookDefinitionsSQL, before, known)
}

// binaryFormat is the format code of all columns of a look.
var binaryFormat = []int16{pgx.BinaryFormatCode}

// lookBy looks by one statement, which it prepares where the session has not. The parameters
// go as text and the rows come as Postgres sends them: looks are what a busy follower does
// most, and pgx's types would take a third of the follower's time.
func lookBy(ctx context.Context, conn *pgx.Conn, name, sql string, before fence.Snapshot, more ...string) (*sighting, error) {
	statement, err := conn.Prepare(ctx, name, sql)
	if err != nil {
		return nil, fmt.Errorf("prepare the look: %w", explainMissing(err, conn.Config().User))
	}
	values := append(make([][]byte, 0, 3), strconv.AppendUint(nil, uint64(before.Xmax()), 10), arrayText(before.InProgress()))
	for _, m := range more {
		values = append(values, []byte(m))
	}
	rows := conn.PgConn().ExecStatement(ctx, statement, values, nil, binaryFormat)
	s := &sighting{}
	err = s.read(rows)
	if _, failed := rows.Close(); failed != nil {
		err = failed
	}
	if err != nil {
		return nil, fmt.Errorf("look at the outbox: %w", err)
	}
	if s.token == "" {
		return nil, errors.New("look at the outbox: the row of freshet.trim is missing")
	}
	s.dropForeign()
	return s, nil
}

// arrayText spells ids as Postgres does an array of them.
func arrayText(ids []fence.XID) []byte {
	text := []byte{'{'}
	for i, id := range ids {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendUint(text, uint64(id), 10)
	}
	return append(text, '}')
}

// read reads all rows of a look.
func (s *sighting) read(rows *pgconn.ResultReader) error {
	seen, tags := 0, 0
	for rows.NextRow() {
		row := rows.Values()
		if len(row) != columnsOfLook {
			return errNotALook
		}
		if row[columnOfXID] == nil {
			if err := s.readState(row); err != nil {
				return err
			}
			continue
		}
		xid, texts, err := readEvent(row)
		if err != nil {
			return err
		}
		if seen, tags = seen+1, tags+len(texts); seen > rowsPerLookMax || tags > tagsPerLookMax {
			s.overflow = true
			continue
		}
		s.add(xid, texts)
	}
	return nil
}

// readEvent reads a row of the outbox.
func readEvent(row [][]byte) (xid fence.XID, texts []string, err error) {
	id := row[columnOfXID]
	if len(id) != 8 {
		return 0, nil, errNotALook
	}
	texts, err = readTexts(row[columnOfTags])
	return fence.XID(binary.BigEndian.Uint64(id)), texts, err
}

// readState reads the row of a look that is none of the outbox.
func (s *sighting) readState(row [][]byte) error {
	if len(row[columnOfStandby]) != 1 || row[columnOfMark] == nil {
		return errNotALook
	}
	if isTrue(row[columnOfStandby]) {
		return errors.New("the server is a standby")
	}
	if row[columnOfToken] == nil || row[columnOfIncarnation] == nil || row[columnOfOutbox] == nil {
		return errChanged
	}
	if row[columnOfSkipped] == nil || isTrue(row[columnOfSkipped]) {
		return errSkipped
	}
	if len(row[columnOfLoaded]) != 8 || len(row[columnOfPosition]) != 8 || len(row[columnOfOutbox]) != 4 {
		return errNotALook
	}
	s.token, s.incarnation = string(row[columnOfToken]), fence.Incarnation(row[columnOfIncarnation])
	s.settingsLoaded = int64(binary.BigEndian.Uint64(row[columnOfLoaded]))
	s.position = binary.BigEndian.Uint64(row[columnOfPosition])
	s.outbox = binary.BigEndian.Uint32(row[columnOfOutbox])
	s.unreporting = !isTrue(row[columnOfReporting])
	s.at, s.definitions = string(row[columnOfSnapshot]), string(row[columnOfDefinitions])
	return s.parseSnapshots(s.at, string(row[columnOfMark]))
}

func (s *sighting) parseSnapshots(snapshot, mark string) (err error) {
	if s.snapshot, err = fence.ParseSnapshot(snapshot); err != nil {
		return err
	}
	s.mark, err = fence.ParseSnapshot(mark)
	return err
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

// isTrue reports whether a value is a true of Postgres' binary format.
func isTrue(value []byte) bool { return len(value) == 1 && value[0] == 1 }

// readTexts reads an array of texts in Postgres' binary format: the number of dimensions, a
// flag, the type, each dimension's length and lower bound, then each value behind its length.
// The texts share one string.
func readTexts(array []byte) ([]string, error) {
	if len(array) < 12 {
		return nil, errNotALook
	}
	dimensions := binary.BigEndian.Uint32(array)
	if dimensions == 0 {
		return nil, nil
	}
	if dimensions != 1 || len(array) < 20 {
		return nil, errNotALook
	}
	count, values, all := int(binary.BigEndian.Uint32(array[12:])), array[20:], string(array[20:])
	if count < 0 || count > len(values)/4 {
		return nil, errNotALook
	}
	texts, at := make([]string, count), 0
	for i := range texts {
		if len(values)-at < 4 {
			return nil, errNotALook
		}
		length := int(int32(binary.BigEndian.Uint32(values[at:])))
		if at += 4; length < 0 || length > len(values)-at {
			return nil, errNotALook // an absent value too: the outbox has none
		}
		texts[i] = all[at : at+length]
		at += length
	}
	return texts, nil
}
