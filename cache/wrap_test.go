package cache

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/loadtest/servers"
)

// number is what the wrapped functions of these tests load.
type number struct {
	ID, Value int
	At        time.Time
	Names     []string
}

// numberOf is a DependsOn.
func numberOf[V any](id int, _ V) []Dependency { return dependsOnNumber(id) }

func dependsOnNumber(id int) []Dependency { return []Dependency{Row("public.numbers", "id", id)} }

// loader loads from a world, and counts.
type loader struct {
	world *world.World
	loads atomic.Int64
	// during, unless nil, runs between the query and its end.
	during func(context.Context)
}

func (l *loader) load(ctx context.Context, id int) (number, error) {
	l.loads.Add(1)
	n := number{ID: id, Value: l.world.Read(), At: time.UnixMilli(7).UTC(), Names: []string{"a"}}
	if l.during != nil {
		l.during(ctx)
	}
	return n, ctx.Err()
}

type getter = func(context.Context, int) (number, error)

func wrapNumber(c *Cache, l *loader) getter {
	return Wrap(c.DB(), "number", l.load, Policy[int, number]{DependsOn: numberOf[number]})
}

func get(t *testing.T, ctx context.Context, f getter) int {
	t.Helper()
	n, err := f(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	return n.Value
}

func TestWrapReadsThrough(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	l := &loader{world: w}
	f := wrapNumber(c, l)
	for range 10 {
		if got := get(t, t.Context(), f); got != 1 {
			t.Fatal(got)
		}
	}
	if l.loads.Load() != 1 {
		t.Fatalf("%d loads for ten reads", l.loads.Load())
	}
	w.Commit()
	w.Look()
	if got := get(t, t.Context(), f); got != 2 || l.loads.Load() != 2 {
		t.Fatalf("%d after the row changed, %d loads", got, l.loads.Load())
	}
}

func TestWrapDependsOnTheValue(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	l := &loader{world: w}
	f := Wrap(c.DB(), "number", l.load, Policy[int, number]{
		DependsOn: func(_ int, n number) []Dependency { return dependsOnNumber(n.ID) },
	})
	get(t, t.Context(), f)
	get(t, t.Context(), f)
	w.Commit()
	w.Look()
	if got := get(t, t.Context(), f); got != 2 || l.loads.Load() != 2 {
		t.Fatalf("%d, %d loads", got, l.loads.Load())
	}
}

func TestWrapSharesThroughTheRemoteTier(t *testing.T) {
	t.Parallel()
	w, b, first, second := pair(t)
	l := &loader{world: w}
	get(t, t.Context(), wrapNumber(first, l))
	b.AwaitSet(t)
	n, err := wrapNumber(second, l)(t.Context(), 1)
	if err != nil || l.loads.Load() != 1 {
		t.Fatalf("%v, %d loads", err, l.loads.Load())
	}
	if n.ID != 1 || n.Value != 1 || !n.At.Equal(time.UnixMilli(7)) || len(n.Names) != 1 {
		t.Fatalf("came back as %+v", n)
	}
}

// A release whose type has another field must not take the old one's values.
func TestWrapKeepsShapesApart(t *testing.T) {
	t.Parallel()
	w, b, first, second := pair(t)
	get(t, t.Context(), wrapNumber(first, &loader{world: w}))
	b.AwaitSet(t)
	type number struct{ ID, Value, Price int }
	loads := 0
	f := Wrap(second.DB(), "number", func(context.Context, int) (number, error) {
		loads++
		return number{1, 1, 5}, nil
	}, Policy[int, number]{DependsOn: numberOf[number]})
	if n, err := f(t.Context(), 1); err != nil || n.Price != 5 || loads != 1 {
		t.Fatalf("%+v, %v, %d loads", n, err, loads)
	}
}

func TestUnwatchedIsLoadedEveryTime(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	l := &loader{world: w}
	unwatched := []Dependency{Table("public.unwatched")}
	for name, p := range map[string]Policy[int, number]{
		"unwatched":        {DependsOn: func(int, number) []Dependency { return unwatched }},
		"no dependencies":  {DependsOn: func(int, number) []Dependency { return nil }},
		"only one watched": {DependsOn: func(int, number) []Dependency { return append(dependsOnNumber(1), unwatched...) }},
		"no statements":    {},
	} {
		l.loads.Store(0)
		f := Wrap(c.DB(), name, l.load, p)
		get(t, t.Context(), f)
		get(t, t.Context(), f)
		if l.loads.Load() != 2 {
			t.Errorf("%s: %d loads for two reads", name, l.loads.Load())
		}
	}
	if c.Stats().Unwatched == 0 || c.Stats().Stored != 0 {
		t.Fatalf("stats %+v", c.Stats())
	}
}

// What nobody can end, since freshet.touch refuses its name, is not kept.
func TestReservedTagIsNotKept(t *testing.T) {
	t.Parallel()
	r := resolve(nil, Tag("freshet/purge"))
	if len(r.Tags) != 0 || r.Doubt == nil || !strings.Contains(r.Doubt(), "name it otherwise") {
		t.Errorf("%+v", r)
	}
	if r := resolve(nil, Tag("freshet")); len(r.Tags) != 2 {
		t.Errorf("%+v of a name that is not reserved", r)
	}
}

// Tags must be those of the label's schema, or newer: see Cache.resolve.
func TestDependenciesAreResolvedForTheLabel(t *testing.T) {
	t.Parallel()
	w := world.New()
	var asked []fence.Label
	c := open(t, w, func(o *CacheOptions) {
		o.Resolve = func(_ Dependency, label fence.Label) Resolution {
			asked = append(asked, label)
			return Resolution{Tags: []fence.Tag{world.NumberTag}}
		}
	})
	f := wrapNumber(c, &loader{world: w, during: func(context.Context) { w.Move(fence.NewTag(fence.SchemaText)); w.Look() }})
	get(t, t.Context(), f)
	last := asked[len(asked)-1]
	if head := w.Fence.Head(); last.Lower.Includes(head.Snapshot) {
		t.Fatal("resolved for a label that the load did not begin with")
	}
	if c.Stats().Stored != 0 {
		t.Fatal("kept an answer whose schema changed during the load")
	}
}

func TestNotFoundIsKeptIfNamed(t *testing.T) {
	t.Parallel()
	w, b, first, second := pair(t)
	errNone := errors.New("no such number")
	loads := 0
	absent := func(context.Context, int) (number, error) {
		loads++
		return number{Value: 99}, errors.Join(errors.New("query"), errNone)
	}
	p := Policy[int, number]{DependsOn: numberOf[number], NotFound: errNone}
	f := Wrap(first.DB(), "absent", absent, p)
	for range 3 {
		if _, err := f(t.Context(), 1); !errors.Is(err, errNone) {
			t.Fatal(err)
		}
	}
	b.AwaitSet(t)
	if n, err := Wrap(second.DB(), "absent", absent, p)(t.Context(), 1); !errors.Is(err, errNone) || n.Value != 0 {
		t.Fatal(n, err)
	}
	if loads != 1 || first.Stats().LoadErrors != 0 {
		t.Fatalf("%d loads, stats %+v", loads, first.Stats())
	}
	w.Commit() // it is inserted
	w.Look()
	if _, err := f(t.Context(), 1); err == nil || loads != 2 {
		t.Fatalf("%v, %d loads after the row changed", err, loads)
	}
}

func TestErrorsAreNotKept(t *testing.T) {
	t.Parallel()
	c := open(t, world.New(), nil)
	loads := 0
	boom := errors.New("boom")
	f := Wrap(c.DB(), "failing", func(context.Context, int) (number, error) { loads++; return number{}, boom },
		Policy[int, number]{DependsOn: numberOf[number]})
	for range 2 {
		if _, err := f(t.Context(), 1); err != boom { //nolint:errorlint // the very same
			t.Fatal(err)
		}
	}
	if loads != 2 || c.Stats().LoadErrors != 2 {
		t.Fatalf("%d loads, stats %+v", loads, c.Stats())
	}
}

func TestSessionOfAWrappedFunction(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	l := &loader{world: w}
	f := wrapNumber(c, l)
	var s fence.Session
	ctx := withSession(t.Context(), &s)
	get(t, ctx, f)
	w.Commit()
	Wrote(ctx, nil)
	if got := get(t, ctx, f); got != 2 {
		t.Fatalf("the writer read %d", got)
	}
	if s.Need() == 0 {
		t.Fatal("the session saw nothing")
	}
	Wrote(t.Context(), nil) // without a session it means nothing
}

func TestUnprovenLoads(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	l := &loader{world: w}
	f := wrapNumber(c, l)
	get(t, t.Context(), f)
	w.SetDeaf(true)
	w.Commit()
	var s fence.Session
	ctx := withSession(t.Context(), &s)
	Wrote(ctx, nil)
	for range 2 {
		if got := get(t, ctx, f); got != 2 {
			t.Fatalf("the writer read %d while nobody looks", got)
		}
	}
	if l.loads.Load() != 3 || c.Stats().Unproven == 0 {
		t.Fatalf("%d loads, stats %+v", l.loads.Load(), c.Stats())
	}
	w.SetDeaf(false)
}

func TestBypassNeitherReadsNorKeeps(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	l := &loader{world: w}
	f := wrapNumber(c, l)
	get(t, Bypass(t.Context()), f)
	get(t, t.Context(), f)
	get(t, Bypass(t.Context()), f)
	if l.loads.Load() != 3 {
		t.Fatalf("%d loads", l.loads.Load())
	}
}

func TestManyReadersOneLoad(t *testing.T) {
	t.Parallel()
	const many = 500
	w := world.New()
	c := open(t, w, nil)
	l := &loader{world: w, during: func(context.Context) {
		world.Until(t, "everybody looked", func() bool { return c.Stats().Misses >= many })
	}}
	var loaded, joined atomic.Int64
	c.onRead = func(_ context.Context, r Read) {
		switch r.Outcome {
		case OutcomeLoaded:
			loaded.Add(1)
		case OutcomeJoined, OutcomeHit: // as it came before the load's end or after
			joined.Add(1)
		}
	}
	f := wrapNumber(c, l)
	var readers sync.WaitGroup
	for range many {
		readers.Go(func() {
			var s fence.Session
			if n, err := f(withSession(t.Context(), &s), 1); err != nil || n.Value != 1 {
				t.Errorf("%+v, %v", n, err)
			}
		})
	}
	readers.Wait()
	if l.loads.Load() != 1 {
		t.Fatalf("%d loads for %d readers", l.loads.Load(), many)
	}
	if loaded.Load() != 1 || joined.Load() != many-1 {
		t.Errorf("%d heard to have loaded, %d to have joined", loaded.Load(), joined.Load())
	}
}

func TestLeaderThatIsCancelled(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	loading, goOn := make(chan struct{}), make(chan struct{})
	l := &loader{world: w, during: func(context.Context) { close(loading); <-goOn }}
	f := wrapNumber(c, l)
	ctx, cancel := context.WithCancel(t.Context())
	var leader, readers sync.WaitGroup
	leader.Go(func() {
		if _, err := f(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("the leader that left got %v", err)
		}
	})
	<-loading
	readers.Go(func() {
		if n, err := f(t.Context(), 1); err != nil || n.Value != 1 {
			t.Errorf("the follower got %+v, %v", n, err)
		}
	})
	world.Until(t, "the follower looked", func() bool { return c.Stats().Misses == 2 })
	cancel()
	leader.Wait() // it has left, and its load goes on
	close(goOn)
	readers.Wait()
	if l.loads.Load() != 1 {
		t.Fatalf("%d loads", l.loads.Load())
	}
}

func TestPanickingLoader(t *testing.T) {
	t.Parallel()
	c := open(t, world.New(), nil)
	var loads atomic.Int64
	f := Wrap(c.DB(), "panicking", func(context.Context, int) (number, error) { loads.Add(1); panic("no disk") },
		Policy[int, number]{DependsOn: numberOf[number]})
	var readers sync.WaitGroup
	for range 50 {
		readers.Go(func() {
			_, err := f(t.Context(), 1)
			var p *PanicError
			if !errors.As(err, &p) || p.Value != "no disk" || p.Where != "the loader" || !strings.Contains(string(p.Stack), "wrap_test.go") {
				t.Errorf("got %v", err)
			}
		})
	}
	readers.Wait()
	var p *PanicError
	if _, err := f(Bypass(t.Context()), 1); !errors.As(err, &p) || p.Value != "no disk" {
		t.Errorf("without the cache: got %v, want the panic", err)
	}
	if s := c.Stats(); s.Loads != uint64(loads.Load()) || s.LoadErrors != s.Loads {
		t.Errorf("%d loads and %d failures are counted of %d loads that all panicked", s.Loads, s.LoadErrors, loads.Load())
	}
}

func TestLoaderThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	c := open(t, world.New(), nil)
	f := Wrap(c.DB(), "ending", func(context.Context, int) (number, error) { runtime.Goexit(); return number{}, nil },
		Policy[int, number]{DependsOn: numberOf[number]})
	if _, err := f(t.Context(), 1); !errors.Is(err, errNoResult) {
		t.Fatal(err)
	}
}

func TestCloseEndsLoadsAndLaterReadsLoad(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	loading := make(chan struct{})
	l := &loader{world: w, during: func(ctx context.Context) { close(loading); <-ctx.Done() }}
	f := wrapNumber(c, l)
	got := make(chan error, 1)
	go func() { _, err := f(t.Context(), 1); got <- err }()
	<-loading
	c.Close()
	if err := <-got; !errors.Is(err, ErrClosed) || errors.Is(err, context.Canceled) {
		t.Fatalf("%v, although nobody cancelled anything", err)
	}
	l.during = nil
	get(t, t.Context(), f)
	get(t, t.Context(), f)
	if l.loads.Load() != 3 {
		t.Fatalf("%d loads", l.loads.Load())
	}
}

func TestLoadMax(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, func(o *CacheOptions) { o.LoadMax = time.Millisecond })
	f := wrapNumber(c, &loader{world: w, during: func(ctx context.Context) { <-ctx.Done() }})
	if _, err := f(t.Context(), 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestWrapRefuses(t *testing.T) {
	t.Parallel()
	_, _, c, _ := pair(t)
	wrapNumber(c, &loader{})
	for name, wrap := range map[string]func(){
		"no cache": func() { Wrap(nil, "f", (&loader{}).load, Policy[int, number]{DependsOn: numberOf[number]}) },
		"no loader": func() {
			Wrap[int, number](c.DB(), "f", nil, Policy[int, number]{DependsOn: numberOf[number]})
		},
		"two policies":           func() { Wrap(c.DB(), "f", (&loader{}).load, Policy[int, number]{}, Policy[int, number]{}) },
		"patience without grace": func() { Wrap(c.DB(), "f", (&loader{}).load, Policy[int, number]{Patience: 1}) },
		"many without keys": func() {
			Wrap(c.DB(), "f", (&loader{}).load, Policy[int, number]{LoadMany: func(context.Context, []int) ([]number, error) { return nil, nil }})
		},
		"pointer keys": func() {
			Wrap(c.DB(), "f", func(context.Context, *int) (int, error) { return 0, nil },
				Policy[*int, int]{})
		},
	} {
		func() {
			defer func() {
				if text, ok := recover().(string); !ok || !strings.HasPrefix(text, "wrap f: ") {
					t.Errorf("%s: panicked with %q", name, text)
				}
			}()
			wrap()
		}()
	}
}

// Redis is killed, restarted, paused and filled with garbage while readers read
// and a writer writes: no error, nothing stale, no read that hangs.
func TestRedisMisbehavesDuringUse(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t, servers.RedisOptions{})
	store, err := redis.New(t.Context(), redis.Options{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	w := world.New()
	tier := &noted{Store: store}
	// Redis is asked however short the loads are.
	shared := func(o *CacheOptions) { o.Remote, o.RemotePolicy = tier, engine.RemoteAlways }
	caches := []*Cache{open(t, w, shared), open(t, w, shared)}
	processes := []getter{wrapNumber(caches[0], &loader{world: w}), wrapNumber(caches[1], &loader{world: w})}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	var reads atomic.Int64
	for i := range 4 {
		f := processes[i%2]
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var s fence.Session
				ctx := withSession(t.Context(), &s)
				least := w.Read()
				Wrote(ctx, nil) // it knows of everything committed until now
				began := time.Now()
				n, err := f(ctx, 1)
				if took := time.Since(began); err != nil || n.Value < least || took > time.Minute {
					t.Errorf("%+v, %v after %v: want at least %d", n, err, took, least)
					return
				}
				if reads.Add(1)%3 == 0 {
					w.Commit()
				}
			}
		})
	}
	goOn := func() {
		t.Helper()
		target := reads.Load() + 300
		world.Until(t, "reads go on", func() bool { return reads.Load() >= target || t.Failed() })
	}
	// grows waits until a count of both processes has grown.
	grows := func(what string, count func(Stats) uint64) {
		t.Helper()
		sum := func() uint64 { return count(caches[0].Stats()) + count(caches[1].Stats()) }
		before := sum()
		world.Until(t, what, func() bool { return sum() > before || t.Failed() })
	}
	fetched := func() {
		t.Helper()
		grows("a value comes from Redis", func(s Stats) uint64 { return s.Fetched })
		goOn()
	}
	fetched()
	server.Kill()
	goOn()
	if err := server.Restart(); err != nil {
		t.Error(err)
	}
	fetched()
	if err := server.Pause(); err != nil {
		t.Error(err)
	}
	goOn()
	if err := server.Resume(); err != nil {
		t.Error(err)
	}
	fetched()
	world.Until(t, "garbage is read", func() bool { // before a value is set in its place
		tier.spoil(t.Context())
		return tier.read.Load() > 0 || t.Failed()
	})
	fetched()
	close(stop)
	readers.Wait()
}

// noted is a remote tier that notes the keys that were set, and how often it gave garbage.
type noted struct {
	*redis.Store
	keys sync.Map
	read atomic.Int64
}

const garbage = "garbage"

func (n *noted) Get(ctx context.Context, key string) ([]byte, time.Duration, bool) {
	value, left, ok := n.Store.Get(ctx, key)
	n.note(value)
	return value, left, ok
}

func (n *noted) Contend(ctx context.Context, key string, seen []byte, token string, life time.Duration) ([]byte, time.Duration, bool, bool) {
	value, left, leased, ok := n.Store.Contend(ctx, key, seen, token, life)
	n.note(value)
	return value, left, leased, ok
}

func (n *noted) note(value []byte) {
	if string(value) == garbage {
		n.read.Add(1)
	}
}

func (n *noted) Set(ctx context.Context, key string, value []byte, ttl time.Duration) bool {
	n.keys.Store(key, nil)
	return n.Store.Set(ctx, key, value, ttl)
}

func (n *noted) SetAll(ctx context.Context, keys []string, values [][]byte, ttls []time.Duration) []bool {
	for _, key := range keys {
		n.keys.Store(key, nil)
	}
	return n.Store.SetAll(ctx, keys, values, ttls)
}

// spoil replaces every value by garbage, as far as Redis takes it.
func (n *noted) spoil(ctx context.Context) {
	for key := range n.keys.Range {
		n.Store.Set(ctx, key.(string), []byte(garbage), time.Minute)
	}
}

// Keys that are numbers have a hash for each, spread over whatever part of it is looked at.
func TestNumbersAreSpread(t *testing.T) {
	t.Parallel()
	w := NewRepository(hitCache(t).DB(), "numbers", func(context.Context, int64) (int, error) { return 0, nil }).wrapped
	if !w.number {
		t.Fatal("int64 is a number of eight bytes")
	}
	const keys, parts = 1 << 12, 1 << 6
	seen, low, high := map[uint64]bool{}, [parts]int{}, [parts]int{}
	for k := range int64(keys) {
		h := w.hash(k)
		seen[h] = true
		low[h%parts]++
		high[h>>58]++
	}
	if len(seen) != keys {
		t.Errorf("%d hashes of %d keys", len(seen), keys)
	}
	for part := range parts {
		if low[part] > 3*keys/parts || high[part] > 3*keys/parts {
			t.Errorf("part %d has %d and %d of %d keys", part, low[part], high[part], keys)
		}
	}
}
