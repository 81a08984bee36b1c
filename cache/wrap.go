package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"reflect"
	"slices"
	"time"
	"unsafe"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
)

// Policy says how the answers of a wrapped function are kept. The zero value is good.
type Policy[K comparable, V any] struct {
	// TTL is the longest life of an entry. 0, and anything above it, means
	// Options.TTL.
	TTL time.Duration
	// NotFound, unless nil, is the error by which the function says that there is
	// no such thing, and which is kept like a value. A hit returns NotFound itself.
	// Other errors are never kept.
	NotFound error
	// Version is part of the key. Move it when the function means something else than
	// in the release before, which may share Redis with this one: another unit, another
	// rule. What another shape of the value says, is missed without that.
	Version int
	// LoadMany loads those of many keys that GetMany did not find, in one go; it returns
	// their values in any order, without those that are not there, and KeyOf tells
	// which is which. Each value depends on all that its statements read, unless
	// DependsOn says less. nil: they are loaded one by one.
	LoadMany func(context.Context, []K) ([]V, error)
	KeyOf    func(V) K
	// Grace is how long a value that was good once may be returned in place of a load
	// that fails, with a *StaleError that says so. 0: never.
	Grace time.Duration
	// Patience is, with Grace, how long a caller waits for a load before the old value
	// is returned in the same way. The load goes on. 0: as long as it takes.
	Patience time.Duration
	// Warm is how many keys, the most asked ones, are loaded again as soon as a change
	// has ended their entries, one after the other. Such a load begins only where no
	// reader waits for one of Options.LoadsMax. 0: none.
	Warm int
	// Clone copies a value for a caller, for those that change what they get. nil: all
	// share one.
	Clone func(V) V
	// Codec encodes values for the second tier. nil means encoding/json. Values whose
	// type does not come back from JSON whole, or that are seen to come back from the
	// codec as others, stay in the memory of each process, and
	// Stats.Functions says why. JSON keeps text only if it is UTF-8; for other bytes
	// use []byte. A codec that panics is not used again.
	Codec Codec[V]
	// KeyBytes returns bytes that differ for different keys. It is needed for keys
	// with pointers and interfaces, time.Time among them.
	KeyBytes func(K) []byte
	// DependsOn returns what an answer depends on, for functions that read elsewhere
	// than through the DB, and in place of what their statements tell. It must cover
	// everything that can change the answer, rows that are not there yet included: one
	// that lists the rows of a category depends on Row(table, "category_id", category),
	// not on the rows that it lists. The value is the zero value where nothing was
	// found. Where it names something that is not watched, or nothing, the function
	// loads every time. nil: the statements tell.
	DependsOn func(K, V) []Dependency
	// Elsewhere says that the function does not use the pool: its loads do not count for
	// Options.LoadsMax. It needs DependsOn, as no statement tells what its answers depend on.
	Elsewhere bool
	// Replica, unless nil, lets the function read a standby where that is as good:
	// it does so if OnReplica says so of its context, and reads the primary if not.
	// Only readers that demand bounded staleness alone cause such loads, and are
	// shown them; and only what is proven to lack no known commit is used at all.
	// Otherwise, and after an error, the function is called again for the primary: a
	// standby that lags costs time. It needs DependsOn.
	Replica engine.Replica
}

// wrapped is one wrapped function.
type wrapped[K comparable, V any] struct {
	*function
	db     *DB
	cache  *Cache // of db
	prefix []byte // of every key
	shape  uint64 // of its loads
	clips  bool   // its values have slices
	// seed makes the function's keys hash as no other's do; so does secret those that are a
	// number of eight bytes, as number says of all of them.
	seed   maphash.Seed
	number bool
	secret [2]uint64
	load   func(context.Context, K) (V, error)
	policy Policy[K, V]
	warmer *warmer[K, V] // nil: Policy.Warm is 0
}

// Wrap returns load with a cache before it. A value is decoded once and then handed out
// as it is. What it depends on is what load reads through db in its context, or in what
// is derived from that: no tags are named. Every statement must be cacheable there, as
// DB.Explain says; an answer that comes of none, of one that is not (a write, a
// transaction, now()) or of a pool, is loaded every time, and Stats.Functions says why.
// A wrapped function that is called in a load hands out what its answer depends on.
//
// Everything else that changes the answer must be in K: a tenant, a user or a language
// that load takes from its context is not. name tells the function from others;
// processes with the same name, key and value type share entries in Redis.
//
// Values are shared between callers and must not be changed by them, but that they
// may append to slices, the value itself or in its fields; or see Policy.Clone. load is
// called with the values of one caller's context but without its deadline: that
// caller may leave while others wait, and the load then has Options.LoadMax. It
// must read committed data, on the primary (but see Policy.Replica); not in its
// caller's transaction (see Bypass). What it returns to those who waited is the
// same value. An error other than NotFound is that of all who came before its load
// began, and the next caller tries again.
//
// Wrap panics if the policy contradicts itself or the types, or if db has a function of
// that name, with what to do. At most one policy may be given.
func Wrap[K comparable, V any](db *DB, name string, load func(context.Context, K) (V, error), p ...Policy[K, V]) func(context.Context, K) (V, error) {
	return wrap(db, name, callerAt(1), load, p).get
}

func wrap[K comparable, V any](db *DB, name, caller string, load func(context.Context, K) (V, error), policies []Policy[K, V]) *wrapped[K, V] {
	key, value := reflect.TypeFor[K](), reflect.TypeFor[V]()
	var p Policy[K, V]
	for _, p = range policies {
	}
	f, err := db.admit(name, caller, load != nil)
	if err == nil {
		err = checkPolicy(key, p, len(policies))
	}
	if err != nil {
		panic(fmt.Sprintf("wrap %s: %v", name, err))
	}
	standard := p.Codec == nil
	if standard {
		p.Codec = jsonCodec[V]{}
	}
	w := &wrapped[K, V]{db: db, cache: db.cache, function: f, load: load, policy: p, clips: clips(value), seed: maphash.MakeSeed()}
	w.number = isNumber(key)
	w.secret = [2]uint64{maphash.Comparable(w.seed, 0), maphash.Comparable(w.seed, 1) | 1}
	w.prefix = wrapPrefix(name, p.Version, key, value)
	w.shape = db.engine.Hash(w.prefix)
	if lossy := lostInJSON(value, map[reflect.Type]bool{}); lossy != "" && standard {
		f.keepInMemory(db.cache.logger, "JSON does not keep "+lossy+": set Policy.Codec")
	}
	if p.Warm > 0 {
		w.warmer = startWarmer(w)
	}
	return w
}

// isNumber reports whether keys of a type are eight bytes of an integer, and nothing else.
func isNumber(key reflect.Type) bool {
	switch key.Kind() {
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint64:
		return key.Size() == 8
	}
	return false
}

// admit names a function that can be wrapped.
func (db *DB) admit(name, caller string, loads bool) (*function, error) {
	switch {
	case db == nil:
		return nil, errors.New("the DB is nil: give Wrap the one that Open returned")
	case !loads:
		return nil, errors.New("the function to load with is nil")
	}
	return db.cache.functions.register(name, caller)
}

// wrapPrefix begins the keys of a function.
func wrapPrefix(name string, version int, key, value reflect.Type) []byte {
	return fmt.Appendf(nil, "go\x00%q %d %q %q\x00", name, version, shapeOf(key), shapeOf(value))
}

func checkPolicy[K comparable, V any](key reflect.Type, p Policy[K, V], count int) error {
	switch {
	case count > 1:
		return errors.New("give one Policy at most")
	case (p.LoadMany == nil) != (p.KeyOf == nil):
		return errors.New("Policy.LoadMany and Policy.KeyOf need one another")
	case p.Patience > 0 && p.Grace == 0:
		return errors.New("Policy.Patience needs Policy.Grace: for how long an old value may take the place of a slow load")
	case p.Replica != nil && p.DependsOn == nil:
		return errors.New("Policy.Replica needs Policy.DependsOn: what is read on a standby is not read through the DB")
	case p.Elsewhere && p.DependsOn == nil:
		return errors.New("Policy.Elsewhere needs Policy.DependsOn: what is read elsewhere is not read through the DB")
	case p.TTL < 0 || p.Grace < 0 || p.Patience < 0 || p.Warm < 0:
		return errors.New("a field of the Policy is negative")
	case p.KeyBytes == nil:
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
	session := w.db.session(r)
	now := fence.Now()
	session.Begin(now)
	at, err := w.place(k)
	if err != nil {
		return w.failure(err)
	}
	if r.bypasses {
		return w.unserved(ctx, k, at, now, nil, engine.Unproven, r)
	}
	e, p := w.find(k, at)
	if outcome := w.serve(e, now, session); outcome != engine.Hit {
		return w.unserved(ctx, k, at, now, e, outcome, r)
	}
	return w.hit(ctx, k, now, e, p, r.load)
}

// unserved gets what may not be served as it is. It stands apart from get, whose hits need
// none of its room on the stack.
func (w *wrapped[K, V]) unserved(ctx context.Context, k K, at place, now fence.Instant, e *engine.Entry, outcome engine.Outcome, r reader) (V, error) {
	session := w.db.session(r)
	if outcome == engine.Unproven && !r.bypasses && w.cache.engine.Prove(ctx, e, session) {
		e, p := w.find(k, at)
		if outcome = w.serve(e, now, session); outcome == engine.Hit {
			return w.hit(ctx, k, now, e, p, r.load)
		}
	}
	return w.observed(ctx, now, w.beyond(ctx, k, at, outcome, r))
}

// hit is what an entry in memory says, for a load unless that is nil.
func (w *wrapped[K, V]) hit(ctx context.Context, k K, now fence.Instant, e *engine.Entry, p *typed[K, V], l *load) (V, error) {
	if l != nil {
		l.notesTicket(e.Ticket)
	}
	if w.warmer != nil {
		w.warmer.hit(k, e, p)
	}
	w.verify(p)
	if w.cache.onRead == nil {
		return w.handed(p.answer())
	}
	v, err := w.handed(p.answer())
	w.observeHit(ctx, now, e, err)
	return v, err
}

// serve asks whether an entry may be served, and counts the answer. Its hits are counted by
// function alone: Stats adds them up, so that each costs one count.
func (w *wrapped[K, V]) serve(e *engine.Entry, now fence.Instant, s *fence.Session) engine.Outcome {
	outcome := w.cache.engine.Serve(e, now, s)
	if outcome == engine.Hit {
		w.reads.hit()
	} else {
		w.cache.engine.NoteUnserved(outcome)
	}
	return outcome
}

// handed is what one caller is given of a value that all share.
func (w *wrapped[K, V]) handed(v V, err error) (V, error) {
	if w.policy.Clone == nil || err != nil {
		return v, err
	}
	return w.cloned(v)
}

// handedResult is handed of what a read brought.
func (w *wrapped[K, V]) handedResult(r result[V]) result[V] {
	r.value, r.err = w.handed(r.value, r.err)
	return r
}

func (w *wrapped[K, V]) cloned(v V) (_ V, err error) {
	defer recovered(w.name, inClone, &err)
	return w.policy.Clone(v), nil
}

// place returns where the entry of k is in the first tier. Bytes that the policy
// makes of a key are its identity; of other keys it is the key itself, and hashing it
// writes nothing.
func (w *wrapped[K, V]) place(k K) (place, error) {
	if w.policy.KeyBytes == nil {
		return place{hash: w.hash(k)}, nil
	}
	bytes, err := w.keyBytes(k)
	return place{w.cache.engine.Hash(bytes), bytes}, err
}

// hash is that of a key which is its own identity. Numbers of eight bytes, which most keys are,
// are hashed by one multiplication with numbers that nobody outside knows.
func (w *wrapped[K, V]) hash(k K) uint64 {
	if !w.number {
		return maphash.Comparable(w.seed, k)
	}
	high, low := bits.Mul64(*(*uint64)(unsafe.Pointer(&k))^w.secret[0], w.secret[1])
	return high ^ low
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

// beyond gets what the first tier does not have, or cannot prove.
func (w *wrapped[K, V]) beyond(ctx context.Context, k K, at place, outcome engine.Outcome, r reader) result[V] {
	at = w.written(k, at)
	if waitsForItself(r.load, w, at.bytes) {
		return failing[V](fmt.Errorf("load %s: %w", w.name, ErrCycle))
	}
	if w.policy.Grace > 0 && !r.bypasses {
		return w.graceful(ctx, k, at, outcome, r)
	}
	return w.handedResult(w.miss(ctx, k, at, outcome, r))
}

// miss joins the load of a key, or makes it.
func (w *wrapped[K, V]) miss(ctx context.Context, k K, at place, outcome engine.Outcome, r reader) result[V] {
	s := w.db.session(r)
	if alone := w.alone(outcome, r); alone != "" {
		return w.loadAloneInTurn(ctx, k, at, s, r.load, alone)
	}
	return w.join(ctx, k, at, s, r.load, noSlot)
}

// join joins the load of a key, or makes it, with a slot if the reader has waited for one.
func (w *wrapped[K, V]) join(ctx context.Context, k K, at place, s *fence.Session, outer *load, has slot) result[V] {
	f := w.cache.engine.JoinAt(at.bytes, at.hash)
	if f.Waits() {
		w.cache.slots.give(has)
		has = noSlot
	}
	if e, ok := f.Wait(ctx, s); ok {
		return w.answer(ctx, k, at, s, e, OutcomeJoined)
	}
	if err := f.Err(); err != nil {
		return failing[V](err)
	}
	return w.lead(ctx, k, at, f, s, outer, has)
}

// queue waits for a slot, and begins anew then: others may have brought the answer.
func (w *wrapped[K, V]) queue(ctx context.Context, k K, at place, s *fence.Session, outer *load) result[V] {
	has, err := w.awaitSlot(ctx, outer)
	if err != nil {
		return failing[V](err)
	}
	if e, _ := w.find(k, at); w.cache.engine.Serve(e, fence.Now(), s) == engine.Hit {
		w.cache.slots.give(has)
		return w.answer(ctx, k, at, s, e, OutcomeHit)
	}
	return w.join(ctx, k, at, s, outer, has)
}

// written is a place whose bytes are known.
func (w *wrapped[K, V]) written(k K, at place) place {
	if at.bytes == nil {
		const keyRoom = 32 // of most keys
		at.bytes = appendKey(append(make([]byte, 0, len(w.prefix)+keyRoom), w.prefix...), reflect.ValueOf(k))
	}
	return at
}

// alone is why to load without waiting for others, empty if there is no reason: the reader
// demands it, or what no look has proven; the first head has not come; or answers could
// not be kept lately. Now and then one of these is tried again.
func (w *wrapped[K, V]) alone(outcome engine.Outcome, r reader) string {
	switch {
	case r.bypasses:
		return aloneBypass
	case outcome == engine.Unproven:
		return aloneUnproven
	}
	if _, ok := w.cache.engine.Begin(); !ok {
		return aloneNotReady
	}
	if n := w.vain.Load(); n >= vainMax && w.vain.Add(1)%vainEach != 0 {
		return aloneVain
	}
	return ""
}

// vainMax is how many answers in a row may turn out not to be kept before only each
// vainEach-th load is made for others too: to wait for one of them brings nothing.
const (
	vainMax  = 16
	vainEach = 64
)

func (w *wrapped[K, V]) failure(err error) (none V, _ error) { return none, err }

// failing is what a read brought that failed.
func failing[V any](err error) result[V] { return result[V]{err: err} }

func (w *wrapped[K, V]) keyBytes(k K) (key []byte, err error) {
	defer recovered(w.name, inKeyBytes, &err)
	return append(slices.Clip(w.prefix), w.policy.KeyBytes(k)...), nil
}

// answer is what an entry of this function says. The key names the types; but
// two functions of two caches in one process may have local types that are spelled
// alike, and then each loads.
func (w *wrapped[K, V]) answer(ctx context.Context, k K, at place, s *fence.Session, e *engine.Entry, by Outcome) result[V] {
	p, ok := e.Payload.(*typed[K, V])
	if !ok {
		return w.loadAlone(ctx, k, at, s, aloneShaped)
	}
	if l := readerOf(ctx).load; l != nil {
		l.notesTicket(e.Ticket)
	}
	w.verify(p)
	v, err := p.answer()
	return result[V]{value: v, err: err, course: kept(by, e)}
}

// loadAloneInTurn is loadAlone when there is a slot.
func (w *wrapped[K, V]) loadAloneInTurn(ctx context.Context, k K, at place, s *fence.Session, outer *load, reason string) result[V] {
	has, err := w.awaitSlot(ctx, outer)
	if err != nil {
		return failing[V](err)
	}
	defer w.cache.slots.give(has)
	return w.loadAlone(ctx, k, at, s, reason)
}

// loadAlone loads without the cache, in the caller's own time, because of a reason.
func (w *wrapped[K, V]) loadAlone(ctx context.Context, k K, at place, s *fence.Session, reason string) (r result[V]) {
	defer recovered(w.name, inLoader, &r.err)
	r.course = course{outcome: OutcomeNotKept, reason: reason}
	r.began = fence.Now()
	v, l, err := w.call(ctx, k, at, s)
	r.value, r.err, r.course.load = v, err, fence.Now().Sub(r.began)
	l.handOut(l.learned())
	return r
}

// call calls the loader. Whatever it answers, the session has seen it.
func (w *wrapped[K, V]) call(ctx context.Context, k K, at place, s *fence.Session) (V, *load, error) {
	w.cache.counters.loads.Add(1)
	w.reads.loads.Add(1)
	ctx, under := withLoad(ctx, w, at.bytes)
	failed := true
	defer func() {
		under.ended.Store(true)
		now := fence.Now()
		w.reads.loading.Add(int64(now.Sub(under.began)))
		if failed {
			w.cache.counters.loadErrors.Add(1)
			w.reads.failures.Add(1)
		}
		if s != nil {
			s.Received(now)
		}
	}()
	v, err := w.load(ctx, k)
	failed = w.failed(err)
	return v, under, err
}
