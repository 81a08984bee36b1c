package cache

import (
	"encoding/hex"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// A statement that is loaded again and again is prepared on each connection, as pgx does
// with those of the pool: for one that finds a row by its key, Postgres takes longer to
// parse and to plan than for all the rest. What a prepared statement means was decided when
// it was parsed, in part for good:
//
//  1. somebody leaves a connection with SET standard_conforming_strings = off;
//  2. a load prepares its statement there. Its question finds out that the connection is in
//     another state, and nothing is kept;
//  3. somebody sets the connection right again;
//  4. a load finds the connection in the pool's own state, and keeps what the statement of 2
//     says, whose literals were read in another way.
//
// So only what was prepared behind a question that found the pool's own state is used.
// Forced by TestPreparedInAnotherState.
const (
	// preparedLoadsMin is from which load of a shape on it is prepared.
	preparedLoadsMin = 2
	// preparedMax is how many statements are prepared on a connection. Others are parsed
	// each time, until the connection ends: pgxpool has each for an hour.
	preparedMax = 128
	// preparedPrefix begins their names.
	preparedPrefix = "freshet_"
)

// The errors of a statement whose columns are not what they were: of one that was prepared,
// and of one whose columns are asked for in other formats than it has columns.
const (
	codeChanged = "0A000"
	codeFormats = "08P01"
)

// preparedName names a statement in a state of connections. In no process does a name
// mean another text.
func preparedName(in *connectionState, v *view) string {
	id := digestOf(append(in.id[:len(in.id):len(in.id)], v.id[:]...))
	return preparedPrefix + hex.EncodeToString(id[:])
}

// sendStatement sends the statement of the read.
func (l *execution) sendStatement() {
	r, bound := l.read, &l.read.codec.encoded
	l.prepared = l.preparable()
	if l.prepared == "" {
		l.pipeline.SendQueryParams(r.sql, bound.ParamValues, r.meaning.description.ParamOIDs, bound.ParamFormats, r.view.formats)
		return
	}
	if d := l.memo.statements[l.prepared]; d != nil {
		l.pipeline.SendQueryStatement(d, bound.ParamValues, bound.ParamFormats, r.view.formats)
		return
	}
	l.preparing = true
	l.pipeline.SendPrepare(l.prepared, r.sql, r.meaning.description.ParamOIDs)
	l.pipeline.SendQueryPrepared(l.prepared, bound.ParamValues, bound.ParamFormats, r.view.formats)
}

// preparable returns the name by which the statement is prepared, empty if it is not to be.
func (l *execution) preparable() string {
	r := l.read
	if !l.db.prepares || r.meaning.loads.Add(1) < preparedLoadsMin {
		return ""
	}
	d, known := l.memo.statements[r.meaning.name]
	if known && d == nil || !known && len(l.memo.statements) >= preparedMax {
		return ""
	}
	return r.meaning.name
}

// result is what the statement has to say, behind its preparation.
func (l *execution) result() (any, error) {
	if l.preparing {
		d, err := prepared(l.pipeline, l.prepared)
		if err != nil {
			return nil, err
		}
		l.preparing = false
		l.memo.uses(l.prepared, d)
	}
	return l.pipeline.GetResults()
}

// outdated reports whether an error says that the statement is not what the load takes it
// for: its tables have changed, or what was prepared is not there any more, or was there
// already. The pool executes it then. What is not there is prepared again.
func (l *execution) outdated(err error) bool {
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case !ok:
		return false
	case refusal.Code == codeFormats:
		return true
	case l.prepared == "":
		return false
	}
	switch refusal.Code {
	case codeUnprepared:
		delete(l.memo.statements, l.prepared)
	case codePrepared, codeChanged:
		l.memo.uses(l.prepared, nil)
	default:
		return false
	}
	return true
}

// uses notes a statement that was prepared, nil if it is not to be used.
func (m *memo) uses(name string, d *pgconn.StatementDescription) {
	if m.statements == nil {
		m.statements = map[string]*pgconn.StatementDescription{}
	}
	m.statements[name] = d
}

// prepared is what a pipeline has to say of the preparation of a statement. Executions of
// it need not ask for its columns: one that has others than it had is refused by Postgres.
func prepared(p *pgconn.Pipeline, name string) (*pgconn.StatementDescription, error) {
	results, err := p.GetResults()
	if err != nil {
		return nil, err
	}
	d, ok := results.(*pgconn.StatementDescription)
	if !ok {
		return nil, errElsewhere
	}
	d.Name = name
	return d, nil
}
