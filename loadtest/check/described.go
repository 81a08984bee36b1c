package check

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Some drivers have a statement described before they bind it, with a Flush in
// between and no Sync: postgres.js each time if it prepares nothing, asyncpg at the
// first use of a name. pgx does neither by itself.

// describedQuery runs a statement in that way and calls each for every row, with the
// pointers filled.
func (s *session) describedQuery(sql string, arguments, into []any, each func()) error {
	pipeline := s.conn.PgConn().StartPipeline(context.Background())
	err := s.describeAndRun(pipeline, sql, arguments, into, each)
	return errors.Join(err, pipeline.Close())
}

func (s *session) describeAndRun(pipeline *pgconn.Pipeline, sql string, arguments, into []any, each func()) error {
	name, known := s.nameOf(sql)
	if !known {
		pipeline.SendPrepare(name, sql, nil)
		pipeline.SendFlushRequest()
		if err := pipeline.Flush(); err != nil {
			return fmt.Errorf("describe %q: %w", sql, err)
		}
		if _, err := pipeline.GetResults(); err != nil {
			return fmt.Errorf("describe %q: %w", sql, err)
		}
		if name != "" {
			s.named[sql] = name
		}
	}
	values := make([][]byte, len(arguments))
	for i, a := range arguments {
		values[i] = fmt.Append(nil, a)
	}
	pipeline.SendQueryPrepared(name, values, nil, nil)
	if err := pipeline.Sync(); err != nil {
		return fmt.Errorf("run %q: %w", sql, err)
	}
	results, err := pipeline.GetResults()
	if err != nil {
		return fmt.Errorf("run %q: %w", sql, err)
	}
	rows, ok := results.(*pgconn.ResultReader)
	if !ok {
		return fmt.Errorf("run %q: got %T", sql, results)
	}
	for rows.NextRow() {
		fields, values := rows.FieldDescriptions(), rows.Values()
		if len(values) != len(into) || len(fields) != len(into) {
			return fmt.Errorf("read %q: %d values, %d of them described, want %d", sql, len(values), len(fields), len(into))
		}
		for i, value := range values {
			field := fields[i]
			if err := s.conn.TypeMap().Scan(field.DataTypeOID, field.Format, value, into[i]); err != nil {
				return fmt.Errorf("read column %d of %q: %w", i, sql, err)
			}
		}
		each()
	}
	if _, err := rows.Close(); err != nil {
		return fmt.Errorf("run %q: %w", sql, err)
	}
	_, err = pipeline.GetResults() // of the Sync
	return err
}

// nameOf is the name that a statement has on this connection, or gets, and whether
// it has it already.
func (s *session) nameOf(sql string) (name string, known bool) {
	if s.protocol == describedEachTime {
		return "", false
	}
	if name, known = s.named[sql]; known {
		return name, true
	}
	return "described" + strconv.Itoa(len(s.named)), false
}

// describedOne is describedQuery of one row.
func (s *session) describedOne(sql string, arguments, into []any) error {
	found := false
	if err := s.describedQuery(sql, arguments, into, func() { found = true }); err != nil {
		return err
	}
	if !found {
		return pgx.ErrNoRows
	}
	return nil
}
