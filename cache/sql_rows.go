package cache

import (
	"database/sql/driver"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// sqlKind is how values of a type are given to database/sql. Types that are not listed
// come as Postgres prints them.
type sqlKind struct {
	binary  bool // asked for in the binary format
	convert conversion
	scan    reflect.Type // nil: string
}

// conversion makes a value of database/sql of a column's bytes.
type conversion func(c *codec, column int, field *pgconn.FieldDescription, src []byte) (driver.Value, error)

// through converts by way of a T.
func through[T any](value func(T) (driver.Value, error)) conversion {
	return func(c *codec, column int, field *pgconn.FieldDescription, src []byte) (driver.Value, error) {
		var into T
		if err := c.planFor(column, field, &into).Scan(src, &into); err != nil {
			return nil, err
		}
		return value(into)
	}
}

// itself is a value that database/sql takes as it is.
func itself[T any](v T) (driver.Value, error) { return v, nil }

func integer[T int16 | int32](v T) (driver.Value, error) { return int64(v), nil }

var (
	sqlUint32 = sqlKind{true, through(pgtype.Uint32.Value), nil}
	sqlJSON   = sqlKind{false, through(itself[[]byte]), nil}
	sqlText   = sqlKind{false, through(itself[string]), nil}
)

var sqlKinds = map[uint32]sqlKind{
	pgtype.BoolOID:        {true, through(itself[bool]), reflect.TypeFor[bool]()},
	pgtype.ByteaOID:       {true, through(itself[[]byte]), reflect.TypeFor[[]byte]()},
	pgtype.CIDOID:         sqlUint32,
	pgtype.OIDOID:         sqlUint32,
	pgtype.XIDOID:         sqlUint32,
	pgtype.DateOID:        {true, through(pgtype.Date.Value), reflect.TypeFor[time.Time]()},
	pgtype.Float4OID:      {true, through(func(v float32) (driver.Value, error) { return float64(v), nil }), reflect.TypeFor[float32]()},
	pgtype.Float8OID:      {true, through(itself[float64]), reflect.TypeFor[float64]()},
	pgtype.Int2OID:        {true, through(integer[int16]), reflect.TypeFor[int16]()},
	pgtype.Int4OID:        {true, through(integer[int32]), reflect.TypeFor[int32]()},
	pgtype.Int8OID:        {true, through(itself[int64]), reflect.TypeFor[int64]()},
	pgtype.JSONOID:        sqlJSON,
	pgtype.JSONBOID:       sqlJSON,
	pgtype.XMLOID:         sqlJSON,
	pgtype.NumericOID:     {false, through(itself[string]), reflect.TypeFor[float64]()},
	pgtype.TimestampOID:   {true, through(pgtype.Timestamp.Value), reflect.TypeFor[time.Time]()},
	pgtype.TimestamptzOID: {true, through(pgtype.Timestamptz.Value), reflect.TypeFor[time.Time]()},
}

func sqlKindOf(oid uint32) sqlKind {
	if k, ok := sqlKinds[oid]; ok {
		return k
	}
	return sqlText
}

// sqlFormat is the format in which values of a type are asked for.
func sqlFormat(oid uint32) int16 {
	if sqlKindOf(oid).binary {
		return pgtype.BinaryFormatCode
	}
	return pgtype.TextFormatCode
}

// sqlRows are rows from the cache.
type sqlRows struct {
	all *rows
	// first is set until the first row was given, and more if there is one: what it
	// met, the query is asked for.
	first, more bool
	kinds       []sqlKind
	types       []string
}

func newSQLRows(all *rows) (driver.Rows, error) {
	r := &sqlRows{all: all, first: true}
	if codec := all.codec; codec != nil { // what is asked for when the rows are closed
		for _, f := range all.fields {
			r.kinds = append(r.kinds, sqlKindOf(f.DataTypeOID))
			r.types = append(r.types, codec.typeName(f.DataTypeOID))
		}
	}
	r.more = all.Next()
	if err := all.Err(); err != nil {
		all.Close()
		return nil, err
	}
	return r, nil
}

// typeName is how database/sql calls a type.
func (c *codec) typeName(oid uint32) string {
	if t, ok := c.types.TypeForOID(oid); ok {
		return strings.ToUpper(t.Name)
	}
	return strconv.FormatUint(uint64(oid), 10)
}

// Columns implements driver.Rows.
func (r *sqlRows) Columns() []string {
	names := make([]string, len(r.all.fields))
	for i := range r.all.fields {
		names[i] = r.all.fields[i].Name
	}
	return names
}

// Close implements driver.Rows.
func (r *sqlRows) Close() error {
	r.all.Close()
	return r.all.Err()
}

// Next implements driver.Rows.
func (r *sqlRows) Next(into []driver.Value) error {
	more := r.more
	if !r.first {
		more = r.all.Next()
	}
	r.first = false
	if !more {
		if err := r.all.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	for i, src := range r.all.RawValues() {
		into[i] = nil
		if src == nil {
			continue
		}
		value, err := r.kinds[i].convert(r.all.codec, i, &r.all.fields[i], src)
		if err != nil {
			return fmt.Errorf("convert field %d failed: %w", i, err)
		}
		into[i] = value
	}
	return nil
}

// ColumnTypeDatabaseTypeName implements driver.RowsColumnTypeDatabaseTypeName.
func (r *sqlRows) ColumnTypeDatabaseTypeName(i int) string { return r.types[i] }

// ColumnTypeScanType implements driver.RowsColumnTypeScanType.
func (r *sqlRows) ColumnTypeScanType(i int) reflect.Type {
	if scan := r.kinds[i].scan; scan != nil {
		return scan
	}
	return reflect.TypeFor[string]()
}

// modifierHeader is what Postgres adds to the lengths in a type's modifier.
const modifierHeader = 4

// ColumnTypeLength implements driver.RowsColumnTypeLength.
func (r *sqlRows) ColumnTypeLength(i int) (length int64, ok bool) {
	switch f := &r.all.fields[i]; f.DataTypeOID {
	case pgtype.TextOID, pgtype.ByteaOID:
		return math.MaxInt64, true
	case pgtype.VarcharOID, pgtype.BPCharOID:
		return int64(f.TypeModifier) - modifierHeader, true
	case pgtype.VarbitOID:
		return int64(f.TypeModifier), true
	}
	return 0, false
}

// ColumnTypePrecisionScale implements driver.RowsColumnTypePrecisionScale.
func (r *sqlRows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	f := &r.all.fields[i]
	if f.DataTypeOID != pgtype.NumericOID {
		return 0, 0, false
	}
	modifier := f.TypeModifier - modifierHeader
	return int64(modifier >> 16 & 0xffff), int64(modifier & 0xffff), true
}
