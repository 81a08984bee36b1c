package cache

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
)

// read is one read that may be answered from the cache.
type read struct {
	sql     string
	args    []any
	book    *book
	state   *connectionState
	meaning *meaning
	view    *view
	codec   *codec
	session *fence.Session
	load    *load        // that the read is part of, nil if it is of none
	cause   engine.Cause // of the miss
}

// passing is the course of a read that is the pool's.
func passing(reason string) course { return course{outcome: OutcomeNotKept, reason: reason} }

// answer answers a read from the cache, or by a load that is kept. It returns no rows, and
// why, if the read is the pool's.
func (db *DB) answer(ctx context.Context, sql string, args []any, as form) (*rows, course) {
	r, c := db.find(ctx, sql, args, as)
	switch {
	case r != nil && r.end != nil:
		db.cache.outcomes.note(course{outcome: OutcomeFailed})
	case c.outcome != OutcomeHit: // those are counted where they are found
		db.cache.outcomes.note(c)
	}
	return r, c
}

// find is answer, which counts.
func (db *DB) find(ctx context.Context, sql string, args []any, as form) (*rows, course) {
	reader := readerOf(ctx)
	b := db.book.Load()
	if b == nil || db.undescribed || reader.bypasses || ctx.Err() != nil {
		return nil, passing(db.unasked(ctx, b, reader))
	}
	state := db.state(ctx, b)
	if state == nil {
		return nil, passing(passedNotReady)
	}
	sql, args, ok := plainly(ctx, sql, args)
	if !ok {
		return nil, passing(passedMode)
	}
	m := db.understand(ctx, b, state, sql)
	if m == nil {
		return nil, passing(passedUnknown)
	}
	if m.reason != "" {
		reader.load.refuses(refusedStatement + m.reason)
		return nil, passing(m.reason)
	}
	c, v := state.codecs.Get().(*codec), &m.views[as]
	if c.encode(state, m, v, args) != nil {
		state.give(c)
		return nil, passing(passedArguments)
	}
	session := db.session(reader)
	now := fence.Now()
	session.Begin(now)
	hash := db.engine.Hash(c.key)
	e := db.engine.Find(c.key, hash)
	if e != nil {
		switch db.serve(ctx, e, hash, now, session) {
		case engine.Hit:
			reader.load.notesTicket(e.Ticket)
			m.counts.hits.Add(1)
			return replay(state, c, v, e.Payload.(*answer)), db.kept(OutcomeHit, e)
		case engine.Unproven:
			state.give(c)
			return nil, passing(passedUnproven)
		}
	}
	return db.miss(ctx, read{sql, args, b, state, m, v, c, session, reader.load, db.engine.Missed(e, hash)})
}

// unasked is why a read goes to the pool at once.
func (db *DB) unasked(ctx context.Context, b *book, reader reader) string {
	switch {
	case ctx.Err() != nil:
		return passedEnded
	case db.closing.Err() != nil:
		return passedClosed
	case reader.bypasses:
		return passedBypass
	case b == nil:
		return passedNotReady
	}
	return passedMode
}

// kept is the course of a read that an entry answers, with its age if anybody wants to
// know.
func (db *DB) kept(by Outcome, e *engine.Entry) course {
	if db.cache.onRead == nil {
		return course{outcome: by}
	}
	return kept(by, e)
}

// serve asks whether an entry may be served, and waits for a look if that can tell.
func (db *DB) serve(ctx context.Context, e *engine.Entry, hash uint64, now fence.Instant, s *fence.Session) engine.Outcome {
	outcome := db.engine.ServeFound(e, hash, now, s)
	if outcome == engine.Unproven && db.engine.Prove(ctx, e, s) {
		outcome = db.engine.ServeFound(e, hash, now, s)
	}
	return outcome
}

// strangeMax is how many loads in a row may come upon a connection in another state
// before only each strangeEach-th read tries: every one is a statement executed twice.
const (
	strangeMax  = 16
	strangeEach = 64
)

// miss gets what the first tier does not have: from another's load, from the second
// tier, or by a load.
func (db *DB) miss(ctx context.Context, r read) (*rows, course) {
	if n := r.state.strange.Load(); n >= strangeMax && r.state.strange.Add(1)%strangeEach != 0 {
		r.state.give(r.codec)
		return nil, passing(passedState)
	}
	flight := db.engine.Join(r.codec.key)
	defer flight.Finish(nil)
	if e, ok := flight.Wait(ctx, r.session); ok {
		r.load.notesTicket(e.Ticket)
		return replay(r.state, r.codec, r.view, e.Payload.(*answer)), db.kept(OutcomeJoined, e)
	}
	if err := flight.Err(); err != nil {
		r.state.give(r.codec)
		return failed(err), course{outcome: OutcomeFailed}
	}
	e, tier := flight.Fetch(ctx, r.meaning.number, decodeAnswer(len(r.view.fields)))
	if e != nil && db.engine.ServeProving(ctx, e, r.session) {
		flight.Finish(e)
		r.load.notesTicket(e.Ticket)
		by := OutcomeHit
		if tier == engine.Shared {
			by = OutcomeRemote
		}
		return replay(r.state, r.codec, r.view, e.Payload.(*answer)), db.kept(by, e)
	}
	out, c := db.load(ctx, &r, flight)
	if out == nil {
		r.state.give(r.codec)
	}
	return out, c
}

// plainly returns a statement and its arguments without those that say how pgx is to
// treat it; ok is false if it is to be treated in a way that only pgx knows.
func plainly(ctx context.Context, sql string, args []any) (string, []any, bool) {
	if len(args) == 0 {
		return sql, args, true
	}
	switch first := args[0].(type) {
	case pgx.NamedArgs:
		return rewritten(ctx, first, sql, args[1:])
	case pgx.StrictNamedArgs:
		return rewritten(ctx, first, sql, args[1:])
	case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID, pgx.QueryRewriter:
		return sql, args, false
	}
	return sql, args, true
}

func rewritten(ctx context.Context, by pgx.QueryRewriter, sql string, args []any) (string, []any, bool) {
	sql, args, err := by.RewriteQuery(ctx, nil, sql, args)
	return sql, args, err == nil
}
