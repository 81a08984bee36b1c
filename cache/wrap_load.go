package cache

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
)

// result is what a load brought its own caller.
type result[V any] struct {
	value V
	err   error
	// began is when the loader was called, zero if it was not.
	began fence.Instant
	// course is how it came to this, but for a failure.
	course course
}

// lead loads for this caller and for all who wait in f, in a goroutine of the
// cache: when this caller leaves, the others still get their answer.
//
// What lies in the second tier is fetched right here, if that takes one question, or what is
// asked for is probably there: a goroutine is half of what that costs. If this caller leaves
// meanwhile, another leads.
func (w *wrapped[K, V]) lead(ctx context.Context, k K, at place, f *engine.Flight, s *fence.Session, outer *load, has slot) result[V] {
	asked := f.Quick(w.shape)
	if asked || f.Likely(w.shape) {
		if e, by := w.fetch(ctx, k, f, s, f.Ask); e != nil {
			w.cache.slots.give(has)
			return w.answer(ctx, k, at, s, e, by)
		}
	}
	if has == noSlot {
		has = w.trySlot(outer)
	}
	if has == noSlot {
		f.Finish(nil)
		return w.queue(ctx, k, at, s, outer)
	}
	return w.launch(ctx, k, at, f, s, asked, has)
}

// launch has the load made in a goroutine of its own, which gives its slot back, and waits
// for it.
func (w *wrapped[K, V]) launch(ctx context.Context, k K, at place, f *engine.Flight, s *fence.Session, asked bool, has slot) result[V] {
	if ctx.Err() == nil && w.cache.loads.begin() {
		done := make(chan *result[V], 1)
		go w.fly(ctx, k, at, f, s, asked, has, done)
		select {
		case r := <-done:
			return *r
		case <-ctx.Done():
		}
	} else {
		f.Finish(nil)
		w.cache.slots.give(has)
	}
	if ctx.Err() != nil {
		return failing[V](fmt.Errorf("wait for %s: %w", w.name, context.Cause(ctx)))
	}
	return w.loadAlone(ctx, k, at, s, aloneClosed)
}

// refresh loads whatever is kept, and keeps what it brought.
func (w *wrapped[K, V]) refresh(ctx context.Context, k K) result[V] {
	r := readerOf(ctx)
	at, err := w.place(k)
	if err != nil {
		return failing[V](err)
	}
	at = w.written(k, at)
	if waitsForItself(r.load, w, at.bytes) {
		return failing[V](fmt.Errorf("load %s: %w", w.name, ErrCycle))
	}
	s := w.db.session(r)
	if r.bypasses {
		return w.loadAloneInTurn(ctx, k, at, s, r.load, aloneBypass)
	}
	has, err := w.awaitSlot(ctx, r.load)
	if err != nil {
		return failing[V](err)
	}
	return w.launch(ctx, k, at, w.cache.engine.JoinAt(at.bytes, at.hash), s, true, has)
}

// rewarm is refresh in no reader's name, with a slot.
func (w *wrapped[K, V]) rewarm(ctx context.Context, k K, has slot) error {
	at, err := w.place(k)
	if err != nil {
		w.cache.slots.give(has)
		return err
	}
	at = w.written(k, at)
	return w.launch(ctx, k, at, w.cache.engine.JoinAt(at.bytes, at.hash), w.db.session(reader{}), true, has).err
}

// fly is the goroutine of one load. However the loader ends, its caller gets a
// result and nobody waits on.
func (w *wrapped[K, V]) fly(ctx context.Context, k K, at place, f *engine.Flight, s *fence.Session, asked bool, has slot, done chan<- *result[V]) {
	defer w.cache.loads.running.Done()
	defer w.cache.slots.give(has)
	loading, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.cache.loadMax)
	defer cancel()
	defer context.AfterFunc(w.cache.closing, cancel)()

	r := &result[V]{err: fmt.Errorf("load %s: %w", w.name, errNoResult)}
	defer func() {
		if w.cache.closing.Err() != nil && errors.Is(r.err, context.Canceled) {
			r.err = fmt.Errorf("load %s: %w", w.name, ErrClosed)
		}
		done <- r
		if w.failed(r.err) && r.began != 0 && !endedWith(ctx, r.err) {
			f.Fail(r.err, r.began)
		}
		f.Finish(nil)
	}()
	defer recovered(w.name, inLoader, &r.err)
	if !asked {
		if e, by := w.fetch(loading, k, f, s, f.Fetch); e != nil {
			*r = w.answer(loading, k, at, s, e, by)
			return
		}
	}
	w.obtain(loading, k, at, f, s, r)
}

// endedWith reports whether err says no more than that ctx has ended. A loader may
// hold on to the context of the caller who leads; that this caller left is nothing
// to the others.
func endedWith(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}

// failed reports whether err is one that is kept for nobody.
func (w *wrapped[K, V]) failed(err error) bool {
	return err != nil && (w.policy.NotFound == nil || !errors.Is(err, w.policy.NotFound))
}

// obtain gets the answer from the loader, and hands it to who waits.
func (w *wrapped[K, V]) obtain(ctx context.Context, k K, at place, f *engine.Flight, s *fence.Session, r *result[V]) {
	if e, ok := w.obtainReplica(ctx, k, at, s); ok {
		f.Finish(e)
		*r = w.answer(ctx, k, at, s, e, OutcomeLoaded)
		return
	}
	r.began = fence.Now()
	start, labelled := w.cache.engine.Begin()
	var under *load
	r.value, under, r.err = w.call(ctx, k, at, s)
	end := fence.Now()
	r.course = course{outcome: OutcomeNotKept, load: end.Sub(r.began)}
	if w.failed(r.err) {
		under.handOut(under.learned())
		return
	}
	tags, refusal, err := w.depends(k, r.value, r.err != nil, under, start.Label)
	if err != nil {
		r.err = err
		return
	}
	if tags == nil || !labelled {
		r.course.reason = cmp.Or(refusal, aloneNotReady)
		return
	}
	r.course.outcome = OutcomeLoaded
	w.cache.outcomes.missed(w.cache.engine.Missed(w.cache.engine.Peek(at.bytes, at.hash), at.hash))
	e := w.entry(k, at, r.value, r.err, tags, start, end)
	w.cache.engine.Anticipate(s)
	w.cache.engine.Store(e)
	f.Finish(e)
	w.warms(k, e)
}

// fetcher is Fetch or Ask of a Flight.
type fetcher func(ctx context.Context, shape uint64, decode engine.Decode) (*engine.Entry, engine.Tier)

// fetch looks where others may have put the answer, and hands it to who waits. A
// function whose values stay in memory does not ask other processes for theirs. It
// returns no entry if the answer has to be loaded.
func (w *wrapped[K, V]) fetch(ctx context.Context, k K, f *engine.Flight, s *fence.Session, from fetcher) (*engine.Entry, Outcome) {
	var e *engine.Entry
	var tier engine.Tier
	if w.memoryOnly.Load() != nil {
		e, tier = f.Again()
	} else {
		e, tier = from(ctx, w.shape, func(src []byte) (engine.Payload, error) { return w.decode(k, src) })
	}
	if tier == engine.Nowhere || !w.cache.engine.ServeProving(ctx, e, s) {
		return nil, 0
	}
	f.Finish(e)
	if tier == engine.Shared {
		w.warms(k, e)
		return e, OutcomeRemote
	}
	return e, OutcomeHit
}

// depends returns the tags of an answer, and tells the outer load of them; none, and why,
// if it cannot be kept. Its error is that of the policy.
func (w *wrapped[K, V]) depends(k K, v V, absent bool, under *load, label fence.Label) (tags []fence.Tag, refusal string, err error) {
	tags, refusal = under.learned()
	if w.policy.DependsOn != nil {
		if absent {
			var none V
			v = none
		}
		named, err := w.named(k, v)
		if err != nil {
			return nil, "", err
		}
		var ok bool
		if tags, ok = w.cache.resolve(w.function, named, label); !ok {
			w.cache.counters.unwatched.Add(1)
			refusal = refusedUnwatched
		} else {
			refusal = ""
		}
	}
	under.handOut(tags, refusal)
	w.keeps(refusal)
	if refusal != "" {
		return nil, refusal, nil
	}
	return tags, "", nil
}

// entry makes an entry of an answer: a value, or that there is none.
func (w *wrapped[K, V]) entry(k K, at place, v V, err error, tags []fence.Tag, start engine.Start, end fence.Instant) *engine.Entry {
	var text [ownTextRoom]byte
	own := [...]fence.Tag{fence.OwnTag(w.appendOwn(text[:0], at)), fence.OwnWholesaleTag}
	made := &struct {
		typed typed[K, V]
		room  engine.Room
	}{}
	loaded := engine.Loaded{
		Key: at.bytes, Owned: true, Hash: at.hash, Shape: w.shape, Start: start, End: end, Life: w.policy.TTL,
		Tags: tags, More: own[:], Payload: &made.typed,
	}
	if err != nil {
		w.fillAbsence(&made.typed, k)
	} else {
		w.fill(&made.typed, k, v)
		loaded.Local = !w.shareable(v)
	}
	return w.cache.engine.NewEntryIn(&made.room, loaded)
}

func (w *wrapped[K, V]) named(k K, v V) (all []Dependency, err error) {
	defer recovered(w.name, inDependsOn, &err)
	return w.policy.DependsOn(k, v), nil
}

// ownTextRoom is how long most names of such tags are at most.
const ownTextRoom = 96

// appendOwn appends the name of the tag that an entry has because of its key, for
// Invalidate. It is the same in every release.
func (w *wrapped[K, V]) appendOwn(dst []byte, at place) []byte {
	sum := sha256.Sum256(at.bytes[len(w.prefix):])
	dst = append(append(append(dst, "wrapped "...), w.name...), ' ')
	return hex.AppendEncode(dst, sum[:16])
}

// payload makes a payload of a value, and absence one of its absence.
func (w *wrapped[K, V]) payload(k K, v V) *typed[K, V] {
	p := new(typed[K, V])
	w.fill(p, k, v)
	return p
}

// fill makes p a payload of a value.
func (w *wrapped[K, V]) fill(p *typed[K, V], k K, v V) {
	p.value = v
	w.complete(p, k)
}

// complete makes p a payload of the value that lies there already.
func (w *wrapped[K, V]) complete(p *typed[K, V], k K) {
	p.of, p.key, p.found = w, k, true
	// Through a pointer, so that a V which is an interface is seen as one.
	value := reflect.ValueOf(&p.value).Elem()
	if w.clips {
		clip(value)
	}
	const fixed = int(unsafe.Sizeof(typed[struct{}, struct{}]{}))
	w.guard(p)
	p.size = fixed + memoryOf(reflect.ValueOf(&p.key).Elem(), w.cache.entryMax) + memoryOf(value, w.cache.entryMax)
}

func (w *wrapped[K, V]) absence(k K) *typed[K, V] {
	p := new(typed[K, V])
	w.fillAbsence(p, k)
	return p
}

// fillAbsence makes p a payload of the absence of a value.
func (w *wrapped[K, V]) fillAbsence(p *typed[K, V], k K) {
	var none V
	w.fill(p, k, none)
	p.found = false
}

// decode is the Decode of the entry of a key.
func (w *wrapped[K, V]) decode(k K, src []byte) (engine.Payload, error) {
	if len(src) == 1 && src[0] == typedAbsent && w.policy.NotFound != nil {
		return w.absence(k), nil
	}
	if len(src) == 0 || src[0] != typedFound {
		return nil, errTypedBytes
	}
	p := new(typed[K, V])
	if err := w.decodeValue(src[1:], &p.value); err != nil {
		return nil, err
	}
	w.complete(p, k)
	return p, nil
}
