package cache

import (
	"context"

	"github.com/freshet/freshet/cache/fence"
)

type readerKey struct{}

// reader is what a context says of its reads: one value, because every hit looks for
// it all the way up.
type reader struct {
	session  *fence.Session
	bypasses bool
}

func readerOf(ctx context.Context) reader {
	r, _ := ctx.Value(readerKey{}).(*reader)
	if r == nil {
		return reader{}
	}
	return *r
}

// WithSession returns a context whose reads belong to session s: they see the
// session's own writes, once Wrote told of them, and never go back in time. A
// session is as long as its user needs that, a request or a login.
func WithSession(ctx context.Context, s *fence.Session) context.Context {
	return context.WithValue(ctx, readerKey{}, &reader{s, readerOf(ctx).bypasses})
}

// SessionFrom returns the session of ctx, or nil: bounded staleness alone.
func SessionFrom(ctx context.Context) *fence.Session {
	return readerOf(ctx).session
}

// Wrote tells the session of ctx, if there is one, that it wrote to the
// database, or read it without the cache. Call it after the write was
// acknowledged, or failed in a way that leaves doubt.
func Wrote(ctx context.Context) {
	if s := SessionFrom(ctx); s != nil {
		s.Received(fence.Now())
	}
}

// Bypass returns a context whose reads are always loaded and never kept. Use it
// in a transaction that wrote or that has a snapshot of its own: what it reads
// is not what others may see.
func Bypass(ctx context.Context) context.Context {
	return context.WithValue(ctx, readerKey{}, &reader{SessionFrom(ctx), true})
}
