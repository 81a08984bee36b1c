package cache

import (
	"context"

	"github.com/freshet/freshet/cache/fence"
)

type sessionKey struct{}

type bypassKey struct{}

// WithSession returns a context whose reads belong to session s: they see the
// session's own writes, once Wrote told of them, and never go back in time. A
// session is as long as its user needs that, a request or a login.
func WithSession(ctx context.Context, s *fence.Session) context.Context {
	return context.WithValue(ctx, sessionKey{}, s)
}

// SessionFrom returns the session of ctx, or nil: bounded staleness alone.
func SessionFrom(ctx context.Context) *fence.Session {
	s, _ := ctx.Value(sessionKey{}).(*fence.Session)
	return s
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
	return context.WithValue(ctx, bypassKey{}, true)
}

func bypassed(ctx context.Context) bool { return ctx.Value(bypassKey{}) != nil }
