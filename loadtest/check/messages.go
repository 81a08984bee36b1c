package check

import (
	"bytes"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Some orders of messages no driver of Go makes by itself: what is parsed in one group
// and bound in a later one, rows that nobody had described with them.

// told is what came back for a group of messages.
type told struct {
	// columns are those described in it; nil if none were.
	columns []column
	rows    [][][]byte
	// refused is the server's error, nil if there was none.
	refused *pgconn.PgError
}

// column is what a description says of a column.
type column struct {
	name string
	oid  uint32
}

// tell sends messages and a Sync, and returns what comes back. That the server refuses
// them is no error, and leaves the connection alone.
func (s *session) tell(messages ...pgproto3.FrontendMessage) (told, error) {
	if err := s.limit(); err != nil {
		return told{}, err
	}
	f := s.conn.PgConn().Frontend()
	for _, m := range messages {
		f.Send(m)
	}
	f.Send(&pgproto3.Sync{})
	if err := f.Flush(); err != nil {
		return told{}, s.failed(err)
	}
	var got told
	for {
		message, err := f.Receive()
		if err != nil {
			return told{}, s.failed(err)
		}
		switch m := message.(type) {
		case *pgproto3.RowDescription:
			got.columns = columnsOf(m)
		case *pgproto3.DataRow:
			got.rows = append(got.rows, cloned(m.Values))
		case *pgproto3.ErrorResponse:
			got.refused = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			return got, nil
		}
	}
}

// obtain is tell for what has no reason to be refused.
func (s *session) obtain(messages ...pgproto3.FrontendMessage) (told, error) {
	got, err := s.tell(messages...)
	if err == nil && got.refused != nil {
		err = s.failed(got.refused)
	}
	return got, err
}

// columnsOf copies a description out of the buffer that it lies in.
func columnsOf(m *pgproto3.RowDescription) []column {
	columns := make([]column, len(m.Fields))
	for i, f := range m.Fields {
		columns[i] = column{name: string(f.Name), oid: f.DataTypeOID}
	}
	return columns
}

// cloned copies a row out of the buffer that it lies in.
func cloned(values [][]byte) [][]byte {
	row := make([][]byte, len(values))
	for i, v := range values {
		row[i] = bytes.Clone(v)
	}
	return row
}

// The messages of the extended protocol. A name that is empty is the unnamed
// statement's.

func parse(name, sql string) *pgproto3.Parse { return &pgproto3.Parse{Name: name, Query: sql} }

func bind(name string, values ...[]byte) *pgproto3.Bind {
	return &pgproto3.Bind{PreparedStatement: name, Parameters: values, ResultFormatCodes: []int16{1}}
}

func describe(name string) *pgproto3.Describe {
	return &pgproto3.Describe{ObjectType: 'S', Name: name}
}

func describePortal() *pgproto3.Describe { return &pgproto3.Describe{ObjectType: 'P'} }

func executePortal() *pgproto3.Execute { return &pgproto3.Execute{} }

func forget(name string) *pgproto3.Close { return &pgproto3.Close{ObjectType: 'S', Name: name} }
