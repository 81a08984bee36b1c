package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// Level is what reads demand of the answers that they are given.
type Level = fence.Level

// The levels.
const (
	// OwnWrites is the default: bounded staleness, and never older than what the
	// process has written or the session has been shown.
	OwnWrites = fence.OwnWrites
	// Bounded staleness alone: two reads may go back in time, within the bound. Nobody
	// waits for a write of his own process.
	Bounded = fence.Bounded
	// Strong reads also show every commit acknowledged anywhere before they began.
	Strong = fence.Strong
)

type readerKey struct{}

// reader is what a context says of its reads: one value, because every hit looks for
// it all the way up.
type reader struct {
	session  *fence.Session
	bypasses bool
	// load is the load of a wrapped function that reads in the context, nil if none does.
	load *load
}

func readerOf(ctx context.Context) reader {
	r, _ := ctx.Value(readerKey{}).(*reader)
	if r == nil {
		return reader{}
	}
	return *r
}

// sessionOf returns the session of ctx, nil if it has none.
func sessionOf(ctx context.Context) *fence.Session { return readerOf(ctx).session }

func withReader(ctx context.Context, r reader) context.Context {
	return context.WithValue(ctx, readerKey{}, &r)
}

// withSession returns a context of a session. In a load it demands no less than the load
// does, whose answer others get.
func withSession(ctx context.Context, s *fence.Session) context.Context {
	r := readerOf(ctx)
	if r.load != nil {
		s.Received(r.load.began)
		if s.Bounded() {
			s.SetLevel(OwnWrites)
		}
	}
	r.session = s
	return withReader(ctx, r)
}

// WithSession returns a context whose reads are a session of their own: they never go
// back in time among themselves, and do not wait for what others of the process were
// shown. A session is as long as its user needs that, a request or a login.
func WithSession(ctx context.Context) context.Context { return withSession(ctx, new(fence.Session)) }

// derived returns a context whose session has the past of that of ctx and demands of
// its own, which change sets. A context without a session gets one.
func derived(ctx context.Context, change func(*fence.Session)) context.Context {
	s := new(fence.Session)
	if before := sessionOf(ctx); before != nil {
		s = before.Derive()
	}
	change(s)
	return withSession(ctx, s)
}

// WithLevel returns a context whose reads demand a level. Its session is that of ctx,
// or one of its own.
func WithLevel(ctx context.Context, l Level) context.Context {
	return derived(ctx, func(s *fence.Session) { s.SetLevel(l) })
}

// WithStaleness returns a context whose reads show every commit acknowledged more than
// d ago, in place of the cache's own bound; 0 is that. Its session is that of ctx, or one
// of its own.
func WithStaleness(ctx context.Context, d time.Duration) context.Context {
	return derived(ctx, func(s *fence.Session) { s.SetStaleness(d) })
}

// WithToken returns a context whose reads show at least what a token stands for:
// Cache.Token, of this process or another, or SHOW freshet.token behind the sidecar. Its
// session is that of ctx, or one of its own. A token of another database, or of before
// a failover, can never be reached: its reads go to Postgres.
func WithToken(ctx context.Context, token string) (context.Context, error) {
	head, err := fence.ParseHead(token)
	if err != nil {
		return ctx, fmt.Errorf("read the token: %w", err)
	}
	return derived(ctx, func(s *fence.Session) { s.SetAfter(head) }), nil
}

// Bypass returns a context whose reads are always loaded and never kept. Use it
// in a transaction that wrote or that has a snapshot of its own: what it reads
// is not what others may see.
func Bypass(ctx context.Context) context.Context {
	r := readerOf(ctx)
	r.bypasses = true
	return withReader(ctx, r)
}
