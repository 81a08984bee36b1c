package cache

import (
	"context"
	"sync"
	"sync/atomic"
)

const (
	// scopesMax bounds the scopes whose state is known; reads of others go to Postgres.
	scopesMax = 1024
	// shapesMax bounds the texts that are known in one state; beyond it they are begun
	// anew.
	shapesMax = 16384
	// questionsMax bounds what waits to be found out; a read that would wait behind it
	// goes to Postgres, and asks again when it comes again.
	questionsMax = 256
)

// book is what was found out since the schema changed last: of the states of
// connections, and in each of statements.
type book struct {
	// own is the state of connections where there are no scopes, nil before it is known.
	own atomic.Pointer[connectionState]

	mu     sync.Mutex
	scopes map[string]*connectionState
}

func newBook() *book { return &book{scopes: map[string]*connectionState{}} }

// state returns the state of the connections that a read in ctx is made on; nil if it is
// not known, or nothing is kept in it.
func (db *DB) state(ctx context.Context, b *book) *connectionState {
	if db.scope == nil {
		return b.own.Load()
	}
	s := db.scoped(ctx, b, db.scope(ctx))
	if s == nil || !db.await(ctx, s.found) || s.err != nil || s.reason != "" {
		return nil
	}
	return s
}

// scoped returns the state of a scope, which may have to be found out; nil if it will
// not be.
func (db *DB) scoped(ctx context.Context, b *book, scope string) *connectionState {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.scopes[scope]; s != nil && !s.again() {
		return s
	}
	if len(b.scopes) >= scopesMax {
		return nil
	}
	s := newState(scope, context.WithoutCancel(ctx))
	if !db.ask(question{book: b, state: s}) {
		return nil
	}
	b.scopes[scope] = s
	return s
}
