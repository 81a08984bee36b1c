package cache

import (
	"context"
	"sync/atomic"
)

type loadKey struct{}

// load is one that is under way, and the one that asked for it.
type load struct {
	of    any // the *wrapped
	key   string
	outer *load
	ended atomic.Bool
}

// withLoad returns the context of a load.
func withLoad(ctx context.Context, of any, key []byte) (context.Context, *load) {
	outer, _ := ctx.Value(loadKey{}).(*load)
	l := &load{of: of, key: string(key), outer: outer}
	return context.WithValue(ctx, loadKey{}, l), l
}

// waitsForItself reports whether ctx is that of a load of the same key, or of a load
// that one asked for. It would wait for an answer that nobody else brings: as long as
// Options.WaitMax, and then again one level deeper.
func waitsForItself(ctx context.Context, of any, key []byte) bool {
	l, _ := ctx.Value(loadKey{}).(*load)
	for ; l != nil; l = l.outer {
		if l.of == of && l.key == string(key) && !l.ended.Load() {
			return true
		}
	}
	return false
}
