package cache

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// rows are the rows of an answer, as pgx gives those of Postgres.
type rows struct {
	state  *connectionState
	codec  *codec // nil once closed
	fields []pgconn.FieldDescription
	rest   []byte // of the answer
	// more, unless nil, brings the rows behind those of the answer.
	more *execution
	// tag and end are how the statement ended. Nobody is told before the rows are closed.
	tag    pgconn.CommandTag
	end    error
	err    error
	closed bool
	values [][]byte
	// observed, unless nil, is told when rows that come from Postgres have ended.
	observed *observing
	// early is an error that Query returns besides the rows.
	early error
}

// plan is how a value of one column is scanned into one type of destinations.
type plan struct {
	into reflect.Type
	pgtype.ScanPlan
}

// replay returns the rows of an answer that was kept.
func replay(in *connectionState, c *codec, v *view, a *answer) *rows {
	return &rows{state: in, codec: c, fields: v.fields, rest: a.rows, tag: a.commandTag()}
}

// failed returns rows that are none, because of err.
func failed(err error) *rows { return &rows{err: err, early: err, closed: true} }

// Close implements pgx.Rows.
func (r *rows) Close() {
	if r.closed {
		return
	}
	r.closed = true
	if r.more != nil {
		r.tag, r.end = r.more.finish()
		r.more = nil
	}
	if r.err == nil {
		r.err = r.end
	}
	r.observed.end(r.err)
	r.values = nil
	if r.codec != nil {
		r.state.give(r.codec)
		r.codec = nil
	}
}

// Err implements pgx.Rows.
func (r *rows) Err() error { return r.err }

// CommandTag implements pgx.Rows.
func (r *rows) CommandTag() pgconn.CommandTag {
	if !r.closed || r.err != nil {
		return pgconn.CommandTag{}
	}
	return r.tag
}

// FieldDescriptions implements pgx.Rows.
func (r *rows) FieldDescriptions() []pgconn.FieldDescription { return r.fields }

// RawValues implements pgx.Rows. They are shared and must not be changed.
func (r *rows) RawValues() [][]byte { return r.values }

// Conn implements pgx.Rows: there is none.
func (r *rows) Conn() *pgx.Conn { return nil }

// TypeMap implements pgx.Rows. It is that of the rows until they are closed.
func (r *rows) TypeMap() *pgtype.Map {
	if r.codec == nil {
		return nil
	}
	return r.codec.types
}

// Next implements pgx.Rows.
func (r *rows) Next() bool {
	switch {
	case r.closed:
		return false
	case len(r.rest) > 0:
		r.take()
		return true
	case r.more != nil && r.more.next():
		r.values = r.more.reader.Values()
		return true
	}
	r.Close()
	return false
}

// take makes the next row of the answer the present one.
func (r *rows) take() {
	values := r.codec.values[:0]
	for range r.fields {
		value, rest, _ := takePart(r.rest) // whole, or it would not be here
		values, r.rest = append(values, value), rest
	}
	r.codec.values, r.values = values, values
}

// fail ends the rows with an error.
func (r *rows) fail(err error) error {
	if r.err == nil {
		r.err = err
		r.Close()
	}
	return err
}

// Scan implements pgx.Rows.
func (r *rows) Scan(destinations ...any) error {
	if len(r.fields) != len(r.values) {
		return r.fail(fmt.Errorf("number of field descriptions must equal number of values, got %d and %d", len(r.fields), len(r.values)))
	}
	if len(destinations) == 1 {
		if scanner, ok := destinations[0].(pgx.RowScanner); ok {
			if err := scanner.ScanRow(r); err != nil {
				return r.fail(err)
			}
			return nil
		}
	}
	if len(r.fields) != len(destinations) {
		return r.fail(fmt.Errorf("number of field descriptions must equal number of destinations, got %d and %d", len(r.fields), len(destinations)))
	}
	for i, into := range destinations {
		if into == nil {
			continue
		}
		if err := r.codec.planFor(i, &r.fields[i], into).Scan(r.values[i], into); err != nil {
			return r.fail(pgx.ScanArgError{ColumnIndex: i, FieldName: r.fields[i].Name, Err: err})
		}
	}
	return nil
}

// planFor returns how the values of column i are scanned into destinations like this one.
func (c *codec) planFor(i int, field *pgconn.FieldDescription, into any) pgtype.ScanPlan {
	for len(c.plans) <= i {
		c.plans = append(c.plans, plan{})
	}
	p := &c.plans[i]
	if t := reflect.TypeOf(into); p.into != t {
		*p = plan{t, c.types.PlanScan(field.DataTypeOID, field.Format, into)}
	}
	return p.ScanPlan
}

// Values implements pgx.Rows.
func (r *rows) Values() ([]any, error) {
	if r.closed {
		return nil, errors.New("rows is closed")
	}
	values := make([]any, 0, len(r.fields))
	for i := range r.fields {
		value, err := r.codec.decode(&r.fields[i], r.values[i])
		if err != nil {
			return nil, r.fail(err)
		}
		values = append(values, value)
	}
	return values, nil
}

// decode returns a value as pgx does where nobody says which type is wanted.
func (c *codec) decode(field *pgconn.FieldDescription, value []byte) (any, error) {
	if value == nil {
		return nil, nil
	}
	if t, ok := c.types.TypeForOID(field.DataTypeOID); ok {
		return t.Codec.DecodeValue(c.types, field.DataTypeOID, field.Format, value)
	}
	if field.Format == pgtype.TextFormatCode {
		return string(value), nil
	}
	return append([]byte{}, value...), nil
}

// row is the first of rows.
type row rows

// Scan implements pgx.Row.
func (r *row) Scan(destinations ...any) error {
	all := (*rows)(r)
	if all.err != nil {
		return all.err
	}
	for _, into := range destinations {
		if _, ok := into.(*pgtype.DriverBytes); ok {
			all.Close()
			return errors.New("cannot scan into *pgtype.DriverBytes from QueryRow")
		}
	}
	if !all.Next() {
		if all.err == nil {
			return pgx.ErrNoRows
		}
		return all.err
	}
	_ = all.Scan(destinations...) // all.err says so too
	all.Close()
	return all.err
}
