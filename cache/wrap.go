package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"reflect"
	"slices"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
)

// Policy says what the answers of a wrapped function depend on, and how they are
// kept. At least one of TagsFromKey and TagsFromValue is required.
type Policy[K comparable, V any] struct {
	// TagsFromKey returns dependencies that the key tells, TagsFromValue those that
	// need the loaded value. Together they must cover everything that can change
	// the answer, rows that are not there yet included: an answer that lists the
	// rows of a category depends on Row(table, "category_id", category), not on the
	// rows that it lists. Where either returns something that is not watched, or
	// both nothing, the function loads every time.
	TagsFromKey   func(K) []Dependency
	TagsFromValue func(K, V) []Dependency
	// NotFound, unless nil, is the error by which the function says that there is
	// no such thing, and which may be kept like a value. It needs TagsFromKey. A
	// hit returns NotFound itself. Other errors are never kept.
	NotFound error
	// TTL is the longest life of an entry. 0, and anything above it, means
	// Options.TTL.
	TTL time.Duration
	// Codec encodes values for the second tier. nil means encoding/json. Values whose
	// type does not come back from JSON whole, or that are seen to come back from the
	// codec as others, stay in the memory of each process, and
	// Stats.Functions says why. JSON keeps text only if it is UTF-8; for other bytes
	// use []byte. A codec that panics is not used again.
	Codec Codec[V]
	// Replica, unless nil, lets the function read a standby where that is as good:
	// it does so if OnReplica says so of its context, and reads the primary if not.
	// Only readers that demand bounded staleness alone cause such loads, and are
	// shown them; and only what is proven to lack no known commit is used at all.
	// Otherwise, and after an error, the function is called again for the primary: a
	// standby that lags costs time. It needs TagsFromKey or TagsFromValue to tell
	// everything, as without it.
	Replica engine.Replica
	// KeyBytes returns bytes that differ for different keys. It is needed for keys
	// with pointers and interfaces, time.Time among them.
	KeyBytes func(K) []byte
}

// wrapped is one wrapped function.
type wrapped[K comparable, V any] struct {
	*function
	cache  *Cache
	prefix []byte // of every key
	shape  uint64 // of its loads
	clips  bool   // its values have slices
	// seed makes the function's keys hash as no other's do.
	seed   maphash.Seed
	load   func(context.Context, K) (V, error)
	policy Policy[K, V]
}

// Wrap returns load with a cache before it: a function that reads the database
// and may be called in any of several processes with one result. name tells it
// from others; processes with the same name, key and value type share entries.
//
// Values are shared between callers and must not be changed by them, but that they
// may append to slices, the value itself or in its fields. load is
// called with the values of one caller's context but without its deadline: that
// caller may leave while others wait, and the load then has Options.LoadMax. It
// must read committed data, on the primary (but see Policy.Replica); not in its
// caller's transaction (see Bypass). What it returns to those who waited is the
// same value. An error other than NotFound is that of all who came before its load
// began, and the next caller tries again.
//
// Wrap panics if the policy contradicts itself or the types, with what to do.
func Wrap[K comparable, V any](c *Cache, name string, load func(context.Context, K) (V, error), p Policy[K, V]) func(context.Context, K) (V, error) {
	key, value := reflect.TypeFor[K](), reflect.TypeFor[V]()
	f, err := c.admit(name, callerAt(1), load != nil)
	if err == nil {
		err = checkPolicy(key, p)
	}
	if err != nil {
		panic(fmt.Sprintf("wrap %s: %v", name, err))
	}
	standard := p.Codec == nil
	if standard {
		p.Codec = jsonCodec[V]{}
	}
	w := &wrapped[K, V]{cache: c, function: f, load: load, policy: p, clips: clips(value), seed: maphash.MakeSeed()}
	w.prefix = wrapPrefix(name, key, value)
	w.shape = c.engine.Hash(w.prefix)
	if lossy := lostInJSON(value, map[reflect.Type]bool{}); lossy != "" && standard {
		f.keepInMemory(c.logger, "JSON does not keep "+lossy+": set Policy.Codec")
	}
	return w.get
}

// admit names a function that can be wrapped.
func (c *Cache) admit(name, caller string, loads bool) (*function, error) {
	switch {
	case c == nil:
		return nil, errors.New("the cache is nil: give Wrap the one that New returned")
	case !loads:
		return nil, errors.New("the function to load with is nil")
	}
	return c.functions.register(name, caller)
}

// wrapPrefix begins the keys of a function.
func wrapPrefix(name string, key, value reflect.Type) []byte {
	return fmt.Appendf(nil, "go\x00%q %q %q\x00", name, shapeOf(key), shapeOf(value))
}

func checkPolicy[K comparable, V any](key reflect.Type, p Policy[K, V]) error {
	if p.TagsFromKey == nil && p.TagsFromValue == nil {
		return errors.New("set Policy.TagsFromKey or Policy.TagsFromValue, or nothing would end its entries")
	}
	if p.NotFound != nil && p.TagsFromKey == nil {
		return errors.New("Policy.NotFound needs Policy.TagsFromKey: there is no value to take dependencies from")
	}
	if p.KeyBytes == nil {
		return keyable(key)
	}
	return nil
}

// place is where an entry is found: at a hash in the first tier, and by its bytes
// elsewhere, which stay unwritten where nobody has asked for them.
type place struct {
	hash  uint64
	bytes []byte
}

// get is the wrapped function.
func (w *wrapped[K, V]) get(ctx context.Context, k K) (V, error) {
	r := readerOf(ctx)
	now := fence.Now()
	r.session.Begin(now)
	at, err := w.place(k)
	if err != nil {
		return w.failure(err)
	}
	if r.bypasses {
		return w.miss(ctx, k, at, engine.Unproven, r.session)
	}
	e, p := w.find(k, at)
	outcome := w.cache.engine.ServeFound(e, at.hash, now, r.session)
	if outcome == engine.Unproven && w.cache.engine.Prove(ctx, e, r.session) {
		e, p = w.find(k, at)
		outcome = w.cache.engine.ServeFound(e, at.hash, now, r.session)
	}
	if outcome == engine.Hit {
		return p.answer()
	}
	return w.miss(ctx, k, at, outcome, r.session)
}

// place returns where the entry of k is in the first tier. Bytes that the policy
// makes of a key are its identity; of other keys it is the key itself, and hashing it
// writes nothing.
func (w *wrapped[K, V]) place(k K) (place, error) {
	if w.policy.KeyBytes == nil {
		return place{hash: maphash.Comparable(w.seed, k)}, nil
	}
	bytes, err := w.keyBytes(k)
	return place{w.cache.engine.Hash(bytes), bytes}, err
}

// find returns the entry of k in the first tier, nil if there is none. Two keys with
// one hash never share it.
func (w *wrapped[K, V]) find(k K, at place) (*engine.Entry, *typed[K, V]) {
	e := w.cache.engine.At(at.hash)
	if e == nil {
		return nil, nil
	}
	p, ok := e.Payload.(*typed[K, V])
	switch {
	case !ok || p.of != w:
		return nil, nil
	case at.bytes == nil && p.key != k, at.bytes != nil && !bytes.Equal(at.bytes, e.Key):
		return nil, nil
	}
	return e, p
}

// miss gets what the first tier does not have, or cannot prove.
func (w *wrapped[K, V]) miss(ctx context.Context, k K, at place, outcome engine.Outcome, s *fence.Session) (V, error) {
	if at.bytes == nil {
		at.bytes = appendKey(slices.Clip(w.prefix), reflect.ValueOf(k))
	}
	if waitsForItself(ctx, w, at.bytes) {
		return w.failure(fmt.Errorf("load %s: %w", w.name, ErrCycle))
	}
	if outcome == engine.Unproven {
		return w.loadAlone(ctx, k, at, s)
	}
	keepable, err := w.keepable(k)
	if err != nil {
		return w.failure(err)
	}
	if !keepable {
		w.cache.counters.unwatched.Add(1)
		return w.loadAlone(ctx, k, at, s)
	}
	f := w.cache.engine.JoinAt(at.bytes, at.hash)
	if e, ok := f.Wait(ctx, s); ok {
		return w.answer(ctx, k, at, s, e)
	}
	if err := f.Err(); err != nil {
		return w.failure(err)
	}
	return w.lead(ctx, k, at, f, s)
}

func (w *wrapped[K, V]) failure(err error) (none V, _ error) { return none, err }

func (w *wrapped[K, V]) keyBytes(k K) (key []byte, err error) {
	defer recovered(w.name, inKeyBytes, &err)
	return append(slices.Clip(w.prefix), w.policy.KeyBytes(k)...), nil
}

// answer is what an entry of this function says. The key names the types; but
// two functions of two caches in one process may have local types that are spelled
// alike, and then each loads.
func (w *wrapped[K, V]) answer(ctx context.Context, k K, at place, s *fence.Session, e *engine.Entry) (V, error) {
	p, ok := e.Payload.(*typed[K, V])
	if !ok {
		return w.loadAlone(ctx, k, at, s)
	}
	return p.answer()
}

// keepable reports whether, as far as the key tells, a load begun now could be
// kept. Loads that cannot be are not worth waiting for.
func (w *wrapped[K, V]) keepable(k K) (bool, error) {
	start, ok := w.cache.engine.Begin()
	if !ok || w.policy.TagsFromKey == nil {
		return ok, nil
	}
	dependencies, err := w.fromKey(k)
	if err != nil || len(dependencies) == 0 {
		return w.policy.TagsFromValue != nil, err
	}
	_, ok = w.cache.resolve(w.function, dependencies, start.Label)
	return ok, nil
}

// loadAlone loads without the cache, in the caller's own time.
func (w *wrapped[K, V]) loadAlone(ctx context.Context, k K, at place, s *fence.Session) (v V, err error) {
	defer recovered(w.name, inLoader, &err)
	return w.call(ctx, k, at, s)
}

// call calls the loader. Whatever it answers, the session has seen it.
func (w *wrapped[K, V]) call(ctx context.Context, k K, at place, s *fence.Session) (V, error) {
	w.cache.counters.loads.Add(1)
	ctx, under := withLoad(ctx, w, at.bytes)
	failed := true
	defer func() {
		under.ended.Store(true)
		if failed {
			w.cache.counters.loadErrors.Add(1)
		}
		if s != nil {
			s.Received(fence.Now())
		}
	}()
	v, err := w.load(ctx, k)
	failed = w.failed(err)
	return v, err
}
