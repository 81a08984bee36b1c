package engine

import (
	"context"
	"time"
)

// Batcher is what a Remote may offer besides: the values of many keys in one exchange.
type Batcher interface {
	// GetMany calls each for every key that has a value, with what Get would return.
	GetMany(ctx context.Context, keys []string, each func(i int, value []byte, left time.Duration))
}

// FetchMany is Fetch for many flights that are led, in one question to the remote tier
// and without a lease. What is found nowhere is nil. shape is that of Flight.Fetch: where
// the remote tier does not pay for one of them, it is not asked.
func (c *Cache) FetchMany(ctx context.Context, shape uint64, flights []*Flight, decode func(i int, src []byte) (Payload, error)) []*Entry {
	found := make([]*Entry, len(flights))
	var names []string
	var of []int
	head := c.fence.Head()
	for i, f := range flights {
		if e, ok := c.held(f.key, f.hash); ok {
			found[i] = e
		} else if head != nil {
			names, of = append(names, remoteKey(head.Incarnation, f.key)), append(of, i)
		}
	}
	if len(names) == 0 || !c.AsksRemote(shape, flights[of[0]].key) {
		return found
	}
	c.getMany(ctx, names, func(n int, value []byte, left time.Duration) {
		f := flights[of[n]]
		found[of[n]] = c.accept(value, left, question{
			name: names[n], key: f.key, hash: f.hash, shape: shape,
			decode: func(src []byte) (Payload, error) { return decode(of[n], src) },
		})
	})
	return found
}

func (c *Cache) getMany(ctx context.Context, names []string, each func(i int, value []byte, left time.Duration)) {
	if batcher, ok := c.options.Remote.(Batcher); ok {
		batcher.GetMany(ctx, names, each)
		return
	}
	for i, name := range names {
		if value, left, ok := c.options.Remote.Get(ctx, name); ok {
			each(i, value, left)
		}
	}
}
