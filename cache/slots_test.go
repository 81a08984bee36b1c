package cache

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/internal/world"
)

// bounded is a cache in which so many loads may be under way.
func bounded(t *testing.T, loadsMax int, loadMax time.Duration) *Cache {
	return open(t, world.New(), func(o *CacheOptions) { o.LoadsMax, o.LoadMax = loadsMax, loadMax })
}

// queued waits until so many readers wait for a slot.
func queued(t *testing.T, c *Cache, readers int64) {
	t.Helper()
	world.Until(t, "readers wait for a slot", func() bool { return c.slots.waiting.Load() == readers })
}

// peak counts loads that are under way, and the most that ever were at once.
type peak struct{ now, most atomic.Int64 }

func (p *peak) enter() {
	for n := p.now.Add(1); ; {
		if most := p.most.Load(); n <= most || p.most.CompareAndSwap(most, n) {
			return
		}
	}
}

func (p *peak) leave() { p.now.Add(-1) }

// The interleaving of slots: a load asks for what another reader would load, who waits for
// the slot of that load.
func TestNestedLoadOfWhatWaitsForASlot(t *testing.T) {
	t.Parallel()
	c := bounded(t, 1, 0)
	var loads atomic.Int64
	inner := Wrap(c.DB(), "inner", func(_ context.Context, k int) (product, error) {
		loads.Add(1)
		return product{ID: int64(k)}, nil
	}, onNumber[int]())
	began, waits := make(chan struct{}), make(chan struct{})
	outer := Wrap(c.DB(), "outer", func(ctx context.Context, k int) (product, error) {
		close(began)
		<-waits
		return inner(ctx, k)
	}, onNumber[int]())
	var readers sync.WaitGroup
	read := func(f func(context.Context, int) (product, error)) {
		readers.Go(func() {
			if p, err := f(t.Context(), 7); err != nil || p.ID != 7 {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
	read(outer)
	<-began
	read(inner)
	queued(t, c, 1)
	close(waits)
	readers.Wait()
	if loads.Load() != 1 {
		t.Errorf("%d loads of the inner", loads.Load())
	}
}

// What a load asks for in its context is part of it, in whatever way it asks.
func TestNestedLoadsTakeNoSlot(t *testing.T) {
	t.Parallel()
	c := bounded(t, 1, 0)
	p := onNumber[int]()
	p.LoadMany = func(_ context.Context, ks []int) (all []product, _ error) {
		for _, k := range ks {
			all = append(all, product{ID: int64(k)})
		}
		return all, nil
	}
	p.KeyOf = func(p product) int { return int(p.ID) }
	inner := NewRepository(c.DB(), "inner", func(_ context.Context, k int) (product, error) { return product{ID: int64(k)}, nil }, p)
	middle := Wrap(c.DB(), "middle", func(ctx context.Context, k int) (product, error) {
		_, err := inner.GetMany(ctx, []int{k, k + 1})
		if err == nil {
			_, err = inner.Refresh(ctx, k)
		}
		if err == nil {
			_, err = inner.GetMany(Bypass(ctx), []int{k})
		}
		if err != nil {
			return product{}, err
		}
		return inner.Get(Bypass(ctx), k)
	}, onNumber[int]())
	outer := Wrap(c.DB(), "outer", func(ctx context.Context, k int) (product, error) { return middle(ctx, k) }, onNumber[int]())
	if got, err := outer(t.Context(), 7); err != nil || got.ID != 7 {
		t.Errorf("%+v, %v", got, err)
	}
}

// No more loads are under way than may be, whoever begins them and whoever leaves.
func TestLoadsAreBounded(t *testing.T) {
	t.Parallel()
	const loadsMax, keys = 3, 40
	c := bounded(t, loadsMax, 0)
	var loads atomic.Int64
	var atOnce peak
	gate := make(chan struct{})
	runs := func() {
		loads.Add(1)
		atOnce.enter()
		<-gate
		atOnce.leave()
	}
	p := onNumber[int]()
	p.LoadMany = func(_ context.Context, ks []int) ([]product, error) {
		runs()
		return []product{{ID: int64(ks[0])}}, nil
	}
	p.KeyOf = func(p product) int { return int(p.ID) }
	r := NewRepository(c.DB(), "bounded", func(_ context.Context, k int) (product, error) {
		runs()
		return product{ID: int64(k)}, nil
	}, p)
	ctx, leave := context.WithCancel(t.Context())
	var first, others sync.WaitGroup
	for i := range loadsMax { // whose loads go on when they have left
		first.Go(func() {
			if _, err := r.Get(ctx, -1-i); !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v", err)
			}
		})
	}
	world.Until(t, "the first loads", func() bool { return atOnce.now.Load() == loadsMax })
	ways := []func(k int) error{
		func(k int) error { _, err := r.Get(t.Context(), k); return err },
		func(k int) error { _, err := r.Get(Bypass(t.Context()), k); return err },
		func(k int) error { _, err := r.GetMany(t.Context(), []int{k}); return err },
		func(k int) error { _, err := r.GetMany(Bypass(t.Context()), []int{k}); return err },
		func(k int) error { _, err := r.Refresh(t.Context(), k); return err },
	}
	for k := range keys {
		others.Go(func() {
			if err := ways[k%len(ways)](k); err != nil {
				t.Error(err)
			}
		})
	}
	queued(t, c, keys)
	leave()
	first.Wait()
	queued(t, c, keys)
	close(gate)
	others.Wait()
	if loads.Load() != loadsMax+keys || atOnce.most.Load() != loadsMax {
		t.Errorf("%d loads, %d at once; want %d, %d", loads.Load(), atOnce.most.Load(), loadsMax+keys, loadsMax)
	}
}

// Readers of one key that wait for a slot are answered by one load.
func TestReadersWhoWaitForASlotShareALoad(t *testing.T) {
	t.Parallel()
	const readers = 50
	c := bounded(t, 1, 0)
	began, gate := make(chan struct{}), make(chan struct{})
	busy := Wrap(c.DB(), "busy", func(context.Context, int) (product, error) {
		close(began)
		<-gate
		return product{}, nil
	}, onNumber[int]())
	var loads atomic.Int64
	wanted := Wrap(c.DB(), "wanted", func(context.Context, int) (product, error) {
		loads.Add(1)
		return product{ID: 1}, nil
	}, onNumber[int]())
	var all sync.WaitGroup
	all.Go(func() { _, _ = busy(t.Context(), 1) })
	<-began
	for range readers {
		all.Go(func() {
			if p, err := wanted(t.Context(), 1); err != nil || p.ID != 1 {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
	// All readers look before the slot is free: one that came later would be served by a hit.
	world.Until(t, "all readers have looked, and one waits for a slot", func() bool {
		return c.Stats().Misses == 1+readers && c.slots.waiting.Load() > 0
	})
	close(gate)
	all.Wait()
	if loads.Load() != 1 {
		t.Errorf("%d loads for %d readers, want 1", loads.Load(), readers)
	}
}

// Nobody waits for a slot for ever: his context ends it, Options.LoadMax, and Close.
func TestWaitForASlotEnds(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]struct {
		loadMax time.Duration
		ends    func(c *Cache, leave func())
		want    error
	}{
		"context": {0, func(_ *Cache, leave func()) { leave() }, context.Canceled},
		"LoadMax": {50 * time.Millisecond, func(*Cache, func()) {}, ErrOverloaded},
		"Close":   {0, func(c *Cache, _ func()) { c.close() }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := bounded(t, 1, how.loadMax)
			began, gate := make(chan struct{}), make(chan struct{})
			f := Wrap(c.DB(), "slow", func(_ context.Context, k int) (product, error) {
				if k == 1 {
					close(began)
					<-gate
				}
				return product{ID: int64(k)}, nil
			}, onNumber[int]())
			var first sync.WaitGroup
			first.Go(func() { _, _ = f(t.Context(), 1) })
			<-began
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			got := make(chan error, 1)
			go func() {
				_, err := f(ctx, 2)
				got <- err
			}()
			if how.loadMax == 0 {
				queued(t, c, 1)
			}
			how.ends(c, leave)
			if err := <-got; !errors.Is(err, how.want) {
				t.Errorf("got %v, want %v", err, how.want)
			}
			close(gate)
			first.Wait()
		})
	}
}

// The interleaving of trySpare: a reader waits since all slots were taken, and has not got
// the one that is free by now.
func TestSpareSlotIsNoReaders(t *testing.T) {
	t.Parallel()
	s := newSlots(1)
	s.waiting.Add(1)
	if s.trySpare() != noSlot || len(s.taken) != 0 {
		t.Error("a load that nobody waits for has the slot of a reader")
	}
	s.waiting.Add(-1)
	if s.trySpare() != heldSlot {
		t.Error("a slot that nobody waits for is not given")
	}
}

// What is kept warm is loaded after what readers wait for, also after those who came later
// than the change that ended it.
func TestReadersComeBeforeWhatIsKeptWarm(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, func(o *CacheOptions) { o.LoadsMax = 1 })
	var mu sync.Mutex
	var order []string
	gate := make(chan struct{})
	began := func(name string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, name)
	}
	p := onNumber[int]()
	p.Warm = 1
	warm := wrap(c.DB(), "warm", "here", func(context.Context, int) (product, error) {
		began("warm")
		return product{ID: 1}, nil
	}, []Policy[int, product]{p})
	read := Wrap(c.DB(), "read", func(_ context.Context, k int) (product, error) {
		began([]string{"first", "second"}[k])
		<-gate
		return product{ID: int64(k)}, nil
	}, onNumber[int]())
	for range 2 { // loaded, and asked for
		if _, err := warm.get(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	var readers sync.WaitGroup
	reads := func(k int) {
		readers.Go(func() {
			if _, err := read(t.Context(), k); err != nil {
				t.Error(err)
			}
		})
	}
	reads(0)
	world.Until(t, "the slot is taken", func() bool { return len(c.slots.taken) == 1 })
	w.Commit()
	w.Look()
	world.Until(t, "the change is noticed", func() bool {
		warm.warmer.mu.Lock()
		defer warm.warmer.mu.Unlock()
		return len(warm.warmer.held) == 0
	})
	reads(1)
	queued(t, c, 1)
	close(gate)
	readers.Wait()
	world.Until(t, "it is warm again", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(order) == 4
	})
	if got := strings.Join(order, " "); got != "warm first second warm" {
		t.Errorf("loads began in the order %s", got)
	}
}

// Loads that do not use the pool are not bounded by it.
func TestLoadsElsewhereTakeNoSlot(t *testing.T) {
	t.Parallel()
	const readersMax = 8
	c := bounded(t, 1, 0)
	var under atomic.Int64
	gate := make(chan struct{})
	p := onNumber[int]()
	p.Elsewhere = true
	read := Wrap(c.DB(), "elsewhere", func(_ context.Context, k int) (product, error) {
		under.Add(1)
		<-gate
		return product{ID: int64(k)}, nil
	}, p)
	var readers sync.WaitGroup
	for k := range readersMax {
		readers.Go(func() {
			if _, err := read(t.Context(), k); err != nil {
				t.Error(err)
			}
		})
	}
	world.Until(t, "all load at once", func() bool { return under.Load() == readersMax })
	close(gate)
	readers.Wait()
}
