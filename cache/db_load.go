package cache

import (
	"bytes"
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
)

// execution is one execution of a statement on a connection of the pool, behind a question
// for the connection's state, in one round trip.
type execution struct {
	db       *DB
	read     *read
	ctx      context.Context // the tracer's
	conn     *pgxpool.Conn
	pipeline *pgconn.Pipeline
	memo     *memo
	// prepares is set if the probe is prepared on the way.
	prepares bool
	// lookup, unless empty, finds the rows that the statement's joins lead to.
	lookup string
	// prepared, unless empty, is the name by which the statement is executed; preparing is
	// set until it is known to have been prepared on the way.
	prepared  string
	preparing bool
	reader    *pgconn.ResultReader
	// ended is set when the rows have come, or an error.
	ended bool
	tag   pgconn.CommandTag
	err   error
}

// errElsewhere says that a load was not made: the read is the pool's.
var errElsewhere = errors.New("the connection is not in the pool's own state")

// load executes the statement of a read and keeps the answer. It returns no rows, and why,
// if the pool has to execute it.
func (db *DB) load(ctx context.Context, r *read, flight *engine.Flight) (*rows, course) {
	defer flight.Finish(nil)
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		r.state.give(r.codec)
		return failed(err), course{outcome: OutcomeFailed}
	}
	start, ok := db.engine.Begin()
	tags, known := r.meaning.FenceTags(r.params())
	if !ok || !known || !db.relies(r, start) {
		conn.Release()
		return nil, passing(passedNotReady)
	}
	l := &execution{db: db, read: r, conn: conn}
	l.begin(ctx)
	if err := l.prove(start.Label.Incarnation); err != nil {
		r.state.strange.Add(1)
		l.abandon()
		return nil, passing(passedState)
	}
	r.state.strange.Store(0)
	if !l.lookUp(&tags) {
		l.abandon()
		return nil, passing(passedLookup)
	}
	out, loaded := l.capture()
	if out == nil {
		return nil, passing(passedOutdated)
	}
	end := fence.Now()
	c := course{outcome: OutcomeLoaded, load: end.Sub(start.At)}
	if loaded == nil {
		r.load.refuses(refusedLarge)
		c.outcome, c.reason = OutcomeNotKept, passedLarge
		return out, c
	}
	r.load.notes(tags)
	r.session.Received(end)
	db.cache.outcomes.missed(r.cause)
	r.meaning.counts.loaded(c.load)
	e := db.engine.NewEntry(engine.Loaded{Key: r.codec.key, Shape: r.meaning.number, Start: start, End: end, Tags: tags, Payload: loaded})
	db.engine.Store(e)
	flight.Finish(e)
	return out, c
}

// relies reports whether what is loaded from start on may be kept for what the statement
// was found to mean. What it defends against:
//
//  1. the meaning of a statement is found;
//  2. a change of the schema that makes it wrong commits, and the follower receives it;
//  3. the label is taken: it includes the change;
//  4. the entry would be kept with the tags of the old schema, and nothing would ever
//     forbid it.
//
// The follower has the book replaced before it publishes a head that includes the
// change, so one that is still the same after the label was taken is no older than the
// label. Forced by TestSchemaChangeBetweenMeaningAndLabel.
func (db *DB) relies(r *read, start engine.Start) bool {
	return db.book.Load() == r.book && db.analyzer.Current(r.meaning.Verdict) &&
		start.Label.Lower.Includes(db.follower.State().Since()) && db.follower.KnowsRole(r.state.role)
}

// params are the values of the statement.
func (r *read) params() analysis.Params {
	bound := make([]analysis.Value, len(r.codec.encoded.ParamValues))
	for i, value := range r.codec.encoded.ParamValues {
		bound[i] = analysis.Value{Data: value, Binary: r.codec.encoded.ParamFormats[i] == pgx.BinaryFormatCode, Null: value == nil}
	}
	return analysis.Params{Bound: bound, Literals: r.meaning.literals}
}

// begin sends the question and the statement.
func (l *execution) begin(ctx context.Context) {
	l.ctx = ctx
	if l.db.tracer != nil {
		l.ctx = l.db.tracer.TraceQueryStart(ctx, l.conn.Conn(), pgx.TraceQueryStartData{SQL: l.read.sql, Args: l.read.args})
	}
	l.lookup = l.read.lookup()
	l.pipeline = l.conn.Conn().PgConn().StartPipeline(l.ctx)
	l.probe()
	if l.lookup != "" {
		l.pipeline.SendQueryParams(l.lookup, nil, nil, nil, nil)
	}
	l.sendStatement()
	l.err = l.pipeline.Sync()
}

// probe sends the question.
func (l *execution) probe() {
	state := l.read.state
	l.memo = memoOf(l.conn.Conn().PgConn(), state.name)
	if l.prepares = l.db.prepares && l.memo.prepared == nil; l.prepares {
		l.pipeline.SendPrepare(state.name, state.probe, nil)
	}
	switch {
	case l.memo.incarnation == "":
		l.pipeline.SendQueryParams(state.firstProbe, nil, nil, nil, nil)
	case l.prepares:
		l.pipeline.SendQueryPrepared(state.name, nil, nil, nil)
	case l.db.prepares:
		l.pipeline.SendQueryStatement(l.memo.prepared, nil, nil, nil)
	default:
		l.pipeline.SendQueryParams(state.probe, nil, nil, nil, nil)
	}
}

// prove returns an error unless the connection is in the pool's own state, and in an
// incarnation of the database.
func (l *execution) prove(in fence.Incarnation) error {
	if l.err != nil {
		return l.err
	}
	err := l.compare(in)
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		l.memo.fails(l.read.state.name, refusal.Code)
		l.preparing = false // Postgres has skipped it
	}
	return err
}

// compare compares what the connection answers to the question.
func (l *execution) compare(in fence.Incarnation) (err error) {
	if l.prepares {
		if l.memo.prepared, err = prepared(l.pipeline, l.read.state.name); err != nil {
			return err
		}
	}
	results, err := l.pipeline.GetResults()
	if err != nil {
		return err
	}
	reader, ok := results.(*pgconn.ResultReader)
	if !ok {
		return errElsewhere
	}
	found := reader.NextRow() && l.found(reader.Values(), in)
	if _, err := reader.Close(); err != nil {
		return err
	}
	if !found {
		return errElsewhere
	}
	return nil
}

// found reports whether the answer to the question is that of a connection in the pool's
// own state, and in an incarnation of the database.
func (l *execution) found(row [][]byte, in fence.Incarnation) bool {
	return l.read.state.same(row) && l.memo.reaches(row, in)
}

// abandon ends a load whose answer is of no use. Nor is what it prepared.
func (l *execution) abandon() {
	if l.preparing {
		l.memo.uses(l.prepared, nil)
	}
	l.err = errElsewhere
	l.release()
}

// release gives the connection back.
func (l *execution) release() {
	if err := l.pipeline.Close(); err != nil && l.err == nil {
		l.err = err
	}
	if l.db.tracer != nil {
		l.db.tracer.TraceQueryEnd(l.ctx, l.conn.Conn(), pgx.TraceQueryEndData{CommandTag: l.tag, Err: l.err})
	}
	l.conn.Release()
}

// next brings the next row. It reports false at the end.
func (l *execution) next() bool {
	if l.ended || l.reader.NextRow() {
		return !l.ended
	}
	l.ended = true
	l.tag, l.err = l.reader.Close()
	return false
}

// finish ends a load whose rows nobody wants any more, or of which there are no more, and
// gives the connection back.
func (l *execution) finish() (pgconn.CommandTag, error) {
	if !l.ended {
		l.ended = true
		l.tag, l.err = l.reader.Close()
	}
	l.release()
	l.read.session.Received(fence.Now())
	return l.tag, l.err
}

// capture reads the rows, as far as they may be kept. It returns the answer if it may
// be. Otherwise the rows behind those that were read come as they are asked for. It returns
// no rows if the pool has to execute the statement.
func (l *execution) capture() (*rows, *answer) {
	r := l.read
	out := &rows{state: r.state, codec: r.codec, fields: r.view.fields, more: l}
	results, err := l.result()
	reader, ok := results.(*pgconn.ResultReader)
	if !ok && l.outdated(err) {
		l.preparing = false
		l.abandon()
		return nil, nil
	}
	if !ok {
		l.ended, l.err, out.fields = true, err, nil
		return out, nil
	}
	l.reader = reader
	if fields := reader.FieldDescriptions(); !r.view.describes(fields) {
		out.fields = append([]pgconn.FieldDescription(nil), fields...)
		return out, nil
	}
	a := &answer{rows: r.codec.captured[:0]}
	for l.next() {
		a.add(reader.Values())
		if len(a.rows) > l.db.engine.EntryMax() {
			out.rest = a.rows
			return out, nil
		}
	}
	r.codec.captured = a.rows
	a.rows, a.tag = bytes.Clone(a.rows), l.tag.String()
	out.rest = a.rows
	out.tag, out.end = l.finish()
	out.more = nil
	if out.end != nil {
		if len(a.rows) == 0 {
			out.fields = nil // pgx does not say either
		}
		return out, nil
	}
	return out, a
}
