package cache

import (
	"context"
	"encoding/binary"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
)

// shapeWaitMax is how long a read waits until its statement is understood, before it goes to
// Postgres. Tests want every statement understood, however busy the machine is.
var shapeWaitMax = 500 * time.Millisecond

// againAfter is how long it stands that something could not be found out.
const againAfter = time.Second

// The reasons for which reads go to Postgres, beside those of the analysis and of
// settings.
const (
	reasonTemporary     = "temporary_tables"
	reasonTemporaryPath = "temporary_path"
	reasonNoColumns     = "no_columns"
)

// shape is one text of a statement in one state of connections.
type shape struct {
	sql string
	// found is closed when meaning is set, or could not be found out.
	found   chan struct{}
	meaning atomic.Pointer[meaning]
	failed  atomic.Int64
}

// meaning is what a statement is: of one that is not cacheable, only why not.
type meaning struct {
	reason string
	*verdict
	literals []analysis.Literal
	// description is how pgx describes the statement to itself.
	description *pgconn.StatementDescription
	// views are its rows in each form.
	views [forms]view
	// number is the shape's in this process.
	number uint64
	joins  joins
	// counts are of its reads, and of those that differ in literals only.
	counts *statement
	// loads counts its loads, and name is that of its prepared statement.
	loads atomic.Uint64
	name  string
}

// form is how rows are asked for.
type form uint8

const (
	pgxForm form = iota // as pgx asks for them
	sqlForm             // as its driver for database/sql does
	forms
)

// view is a statement whose rows are asked for in one form.
type view struct {
	fields  []pgconn.FieldDescription
	formats []int16
	// id is of the text, of what it was understood as, and of the formats.
	id digest
}

// verdict is what a text depends on, and those that differ in literals only.
type verdict struct{ *analysis.Verdict }

func newShape(sql string) *shape { return &shape{sql: sql, found: make(chan struct{})} }

// fails notes that the meaning could not be found out.
func (s *shape) fails() {
	s.failed.Store(int64(fence.Now()))
	close(s.found)
}

// stands reports whether a shape need not be looked for again.
func (s *shape) stands() bool {
	at := s.failed.Load()
	return at == 0 || fence.Now() < fence.Instant(at).Add(againAfter)
}

// understand returns the meaning of a text in a state, waiting a moment for it; nil if it
// is not known.
func (db *DB) understand(ctx context.Context, b *book, in *connectionState, sql string) *meaning {
	s, ok := in.shapes.get(sql)
	if ok {
		if m := s.meaning.Load(); m != nil {
			return m
		}
	}
	s, ok = in.shapes.getOrMake(sql, shapesMax, (*shape).stands, func() (*shape, bool) {
		made := newShape(strings.Clone(sql))
		return made, db.ask(question{book: b, state: in, shape: made})
	})
	if !ok || !db.await(ctx, s.found) {
		return nil
	}
	return s.meaning.Load()
}

// await waits for a moment until something is found out.
func (db *DB) await(ctx context.Context, found <-chan struct{}) bool {
	select {
	case <-found:
		return true
	default:
	}
	timer := time.NewTimer(shapeWaitMax)
	defer timer.Stop()
	select {
	case <-found:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// describe takes over how Postgres describes a statement, and what it was understood as.
func (m *meaning) describe(in *connectionState, sql string, d *pgconn.StatementDescription, format func(oid uint32) int16) {
	m.description = d
	m.views = [forms]view{pgxForm: newView(sql, d, format), sqlForm: newView(sql, d, sqlFormat)}
	m.name = preparedName(in, &m.views[pgxForm])
}

func newView(sql string, d *pgconn.StatementDescription, format func(oid uint32) int16) (v view) {
	text := appendPart(nil, []byte(sql))
	for _, oid := range d.ParamOIDs {
		text = binary.BigEndian.AppendUint32(text, oid)
	}
	for _, field := range d.Fields {
		field.Format = format(field.DataTypeOID)
		v.fields, v.formats = append(v.fields, field), append(v.formats, field.Format)
		text = appendPart(text, []byte(field.Name))
		text = binary.BigEndian.AppendUint32(text, field.TableOID)
		text = binary.BigEndian.AppendUint16(text, field.TableAttributeNumber)
		text = binary.BigEndian.AppendUint32(text, field.DataTypeOID)
		text = binary.BigEndian.AppendUint16(text, uint16(field.DataTypeSize))
		text = binary.BigEndian.AppendUint32(text, uint32(field.TypeModifier))
		text = append(text, byte(field.Format))
	}
	v.id = digestOf(text)
	return v
}

// describes reports whether rows with these fields are those of the statement.
func (v *view) describes(fields []pgconn.FieldDescription) bool {
	if len(fields) != len(v.fields) {
		return false
	}
	for i := range fields {
		if fields[i] != v.fields[i] {
			return false
		}
	}
	return true
}
