package check

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// shapeCount is the number of rows of table shapes, whose columns come, go and change
// their types.
const shapeCount = 8

const selectShapeSQL = `SELECT * FROM shapes WHERE id = $1`

// alterShapes are changes of the table, the last of which leaves it as it was.
var alterShapes = [...]string{
	"ALTER TABLE shapes ADD COLUMN w int8 NOT NULL DEFAULT 5",
	"ALTER TABLE shapes ALTER v TYPE int8",
	"ALTER TABLE shapes DROP COLUMN w",
	"ALTER TABLE shapes ALTER v TYPE int",
}

// shaped is a client that has statements described and reads their rows by the
// description that it has, as drivers do.
type shaped struct {
	*session
	// columns are what statements were described with, by name; nil where nothing was
	// told.
	columns map[string][]column
}

func (w *world) newShaped(number, door int, l level) *shaped {
	return &shaped{session: w.newSession("describer", number, door, l, prepared), columns: map[string][]column{}}
}

// parse prepares the statement, in place of the one of that name, and has it described or
// not.
func (s *shaped) parse(name string, described bool) {
	messages := []pgproto3.FrontendMessage{parse(name, selectShapeSQL)}
	if name != "" {
		messages = []pgproto3.FrontendMessage{forget(name), messages[0]}
	}
	if described {
		messages = append(messages, describe(name))
	}
	if got, err := s.obtain(messages...); err == nil {
		s.columns[name] = got.columns
	}
}

// use executes a statement that was parsed before.
func (s *shaped) use(name string, id int) { s.readShape(name, id, bindID(name, id), executePortal()) }

// once parses and executes the unnamed statement in one group, and is told its columns
// before the rows or not.
func (s *shaped) once(id int, described bool) {
	messages := []pgproto3.FrontendMessage{parse("", selectShapeSQL), bindID("", id), executePortal()}
	if described {
		messages = []pgproto3.FrontendMessage{messages[0], messages[1], describePortal(), messages[2]}
	}
	s.columns[""] = nil
	s.readShape("", id, messages...)
}

func bindID(name string, id int) *pgproto3.Bind { return bind(name, []byte(strconv.Itoa(id))) }

// resultChanged is what PostgreSQL says where a statement would give other columns than
// those that it was described with.
const resultChanged = "0A000"

// readShape sends what reads a row by a statement, and judges whether it is of the
// columns described.
func (s *shaped) readShape(name string, id int, messages ...pgproto3.FrontendMessage) {
	q := s.ask()
	got, err := s.tell(messages...)
	switch {
	case err != nil:
		return
	case got.refused != nil && got.refused.Code == resultChanged:
		got.rows = nil
	case got.refused != nil:
		_ = s.failed(got.refused) // counted
		return
	}
	if got.columns != nil {
		s.columns[name] = got.columns
	}
	columns := s.columns[name]
	v := s.answer(q)
	if columns != nil {
		wrong := ""
		if got.refused == nil && len(got.rows) != 1 {
			wrong = fmt.Sprintf("%d rows", len(got.rows))
		}
		for _, row := range got.rows {
			wrong += misshapen(columns, row, id)
		}
		v.check(AsDescribed, wrong == "", "%s, where shape %d was described as %v", wrong, id, columns)
	}
	v.count()
}

// misshapen says how the row of an id differs from its description, "" if it does not.
func misshapen(columns []column, row [][]byte, id int) string {
	if len(row) != len(columns) {
		return fmt.Sprintf("a row of %d columns", len(row))
	}
	for i, c := range columns {
		value, ok := wholeNumber(c, row[i])
		if !ok {
			return fmt.Sprintf("%d bytes in column %s", len(row[i]), c.name)
		}
		if want := map[string]int64{"id": int64(id), "v": int64(id), "w": 5}[c.name]; value != want {
			return fmt.Sprintf("%d in column %s", value, c.name)
		}
	}
	return ""
}

// wholeNumber reads a value in the binary form of the type that was described.
func wholeNumber(c column, value []byte) (n int64, ok bool) {
	switch {
	case c.oid == pgtype.Int4OID && len(value) == 4:
		return int64(int32(binary.BigEndian.Uint32(value))), true
	case c.oid == pgtype.Int8OID && len(value) == 8:
		return int64(binary.BigEndian.Uint64(value)), true
	}
	return 0, false
}

// turn has a statement described, or uses one that was.
func (s *shaped) turn() {
	name := []string{"", "shape"}[s.random.IntN(2)]
	id := s.random.IntN(shapeCount)
	_, known := s.columns[name]
	switch n := s.random.IntN(10); {
	case n < 2:
		s.once(id, s.random.IntN(2) == 0)
	case n < 4 || !known:
		s.parse(name, s.random.IntN(4) > 0)
	default:
		s.use(name, id)
	}
}

// shapedTurnsMax bounds the turns of one connection.
const (
	shapedTurnsMax = 200
	shapedPace     = 20 * time.Millisecond
)

// startShaped starts a client at every sidecar and one at PostgreSQL itself.
func (w *world) startShaped(ctx context.Context, start func(func())) {
	levels := []level{levelSession, levelBounded}
	for door := direct; door < w.options.Sidecars; door++ {
		l := levelDirect
		if door != direct {
			l = levels[door%len(levels)]
		}
		s := w.newShaped(firstShaped+door-direct, door, l)
		start(func() { s.run(ctx, shapedPace) })
	}
}

// run takes turns until ctx ends.
func (s *shaped) run(ctx context.Context, pace time.Duration) {
	on := s.conn
	s.turns(ctx, pace, 20, shapedTurnsMax, func() {
		if on != s.conn {
			on, s.columns = s.conn, map[string][]column{}
		}
		s.turn()
	})
}
