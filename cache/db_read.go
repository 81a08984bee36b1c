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
	load    *load // that the read is part of, nil if it is of none
}

// answer answers a read from the cache, or by a load that is kept. It returns nil if the
// read is the pool's.
func (db *DB) answer(ctx context.Context, sql string, args []any, as form) *rows {
	reader := readerOf(ctx)
	b := db.book.Load()
	if b == nil || db.undescribed || reader.bypasses || ctx.Err() != nil {
		return nil
	}
	state := db.state(ctx, b)
	if state == nil {
		return nil
	}
	sql, args, ok := plainly(ctx, sql, args)
	if !ok {
		return nil
	}
	m := db.understand(ctx, b, state, sql)
	if m == nil || m.reason != "" {
		if m != nil {
			reader.load.refuses(refusedStatement + m.reason)
		}
		return nil
	}
	c, v := state.codecs.Get().(*codec), &m.views[as]
	if c.encode(state, m, v, args) != nil {
		state.give(c)
		return nil
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
			return replay(state, c, v, e.Payload.(*answer))
		case engine.Unproven:
			state.give(c)
			return nil
		}
	}
	return db.miss(ctx, read{sql, args, b, state, m, v, c, session, reader.load})
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
func (db *DB) miss(ctx context.Context, r read) *rows {
	if n := r.state.strange.Load(); n >= strangeMax && r.state.strange.Add(1)%strangeEach != 0 {
		r.state.give(r.codec)
		return nil
	}
	flight := db.engine.Join(r.codec.key)
	defer flight.Finish(nil)
	if e, ok := flight.Wait(ctx, r.session); ok {
		r.load.notesTicket(e.Ticket)
		return replay(r.state, r.codec, r.view, e.Payload.(*answer))
	}
	if err := flight.Err(); err != nil {
		r.state.give(r.codec)
		return failed(err)
	}
	e, _ := flight.Fetch(ctx, r.meaning.number, decodeAnswer(len(r.view.fields)))
	if e != nil && db.engine.ServeProving(ctx, e, r.session) {
		flight.Finish(e)
		r.load.notesTicket(e.Ticket)
		return replay(r.state, r.codec, r.view, e.Payload.(*answer))
	}
	out := db.load(ctx, &r, flight)
	if out == nil {
		r.state.give(r.codec)
	}
	return out
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
