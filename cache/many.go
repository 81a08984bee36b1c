package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
)

// wanted is a key of GetMany that is not in memory.
type wanted[K comparable] struct {
	key    K
	at     place
	cause  engine.Cause // of the miss
	flight *engine.Flight
}

// many is one GetMany.
type many[K comparable, V any] struct {
	*wrapped[K, V]
	reader  reader
	session *fence.Session
	found   map[K]V
	missing []wanted[K]
	// unproven says that the newest head is too old to say anything.
	unproven bool
	// courses are how the keys were answered that found no reader of their own, if
	// anybody wants to know.
	courses []course
}

func (w *wrapped[K, V]) getMany(ctx context.Context, ks []K) (map[K]V, error) {
	m := &many[K, V]{wrapped: w, reader: readerOf(ctx), found: make(map[K]V, len(ks))}
	m.session = w.db.session(m.reader)
	began := fence.Now()
	err := m.remember(ctx, ks, began)
	if err == nil {
		err = m.bring(ctx)
	}
	m.observed(ctx, began, err)
	if err != nil {
		return nil, err
	}
	return m.found, nil
}

// remember finds what is in memory.
func (m *many[K, V]) remember(ctx context.Context, ks []K, now fence.Instant) error {
	m.session.Begin(now)
	asked := make(map[K]bool, len(ks))
	proved := false
	for _, k := range ks {
		if asked[k] {
			continue
		}
		asked[k] = true
		at, err := m.place(k)
		if err != nil {
			return err
		}
		if m.reader.bypasses {
			m.missing = append(m.missing, wanted[K]{key: k, at: m.written(k, at)})
			continue
		}
		e, p := m.find(k, at)
		outcome := m.serve(e, now, m.session)
		if outcome == engine.Unproven && !proved {
			proved = true
			if m.cache.engine.Prove(ctx, nil, m.session) {
				outcome = m.serve(e, now, m.session)
			}
		}
		if outcome == engine.Hit {
			err = m.take(k, e, p, OutcomeHit)
		} else {
			m.unproven = m.unproven || outcome == engine.Unproven
			m.missing = append(m.missing, wanted[K]{key: k, at: m.written(k, at), cause: m.cache.engine.Missed(e, at.hash)})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take puts an entry's value among those that were found.
func (m *many[K, V]) take(k K, e *engine.Entry, p *typed[K, V], by Outcome) error {
	m.notesEntry(by, e)
	if m.reader.load != nil {
		m.reader.load.notesTicket(e.Ticket)
	}
	if m.warmer != nil {
		m.warmer.hit(k, e, p)
	}
	if !p.found {
		return nil
	}
	m.verify(p)
	return m.put(k, p.value)
}

func (m *many[K, V]) put(k K, v V) error {
	v, err := m.handed(v, nil)
	if err == nil {
		m.found[k] = v
	}
	return err
}

// bring gets what is not in memory.
func (m *many[K, V]) bring(ctx context.Context) error {
	switch {
	case len(m.missing) == 0:
		return nil
	case m.policy.LoadMany == nil:
		return m.oneByOne(ctx, m.missing)
	}
	for _, wants := range m.missing {
		if waitsForItself(m.reader.load, m.wrapped, wants.at.bytes) {
			return fmt.Errorf("load %s: %w", m.name, ErrCycle)
		}
	}
	outcome := engine.Miss
	if m.unproven {
		outcome = engine.Unproven
	}
	if reason := m.alone(outcome, m.reader); reason != "" {
		has, err := m.awaitSlot(ctx, m.reader.load)
		if err != nil {
			return err
		}
		defer m.cache.slots.give(has)
		return m.loadAlone(ctx, reason)
	}
	return m.together(ctx, noSlot)
}

// together takes part in the loads of what is missing, with a slot if the reader has waited
// for one. Without a slot for what it would have to load it gives up the lead, as one key
// does: see slots.
func (m *many[K, V]) together(ctx context.Context, has slot) error {
	mine, theirs := m.join()
	rest := m.fetch(ctx, mine)
	if len(rest) > 0 && has == noSlot {
		has = m.trySlot(m.reader.load)
	}
	var err error
	switch {
	case len(rest) == 0:
		m.cache.slots.give(has)
	case has == noSlot:
		finish(rest)
		err = m.queue(ctx, rest)
	default:
		err = m.load(ctx, rest, has)
	}
	if err != nil {
		return err
	}
	return m.await(ctx, theirs)
}

// queue waits for a slot, and begins anew with what is missing still: others may have
// brought it.
func (m *many[K, V]) queue(ctx context.Context, rest []wanted[K]) error {
	has, err := m.awaitSlot(ctx, m.reader.load)
	if err != nil {
		return err
	}
	ks := make([]K, len(rest))
	for i, wants := range rest {
		ks[i] = wants.key
	}
	m.missing = nil
	if err := m.remember(ctx, ks, fence.Now()); err != nil || len(m.missing) == 0 {
		m.cache.slots.give(has)
		return err
	}
	return m.together(ctx, has)
}

// oneByOne gets each by itself. What says that it is not there is no error.
func (m *many[K, V]) oneByOne(ctx context.Context, all []wanted[K]) error {
	for _, wants := range all {
		v, err := m.get(ctx, wants.key)
		switch {
		case m.failed(err):
			return err
		case err == nil:
			m.found[wants.key] = v
		}
	}
	return nil
}

// loadAlone loads in the caller's own time what cannot be kept, because of a reason.
func (m *many[K, V]) loadAlone(ctx context.Context, reason string) error {
	began := fence.Now()
	got, under, err := m.callMany(ctx, m.missing, m.session)
	under.handOut(under.learned())
	if err != nil {
		return err
	}
	m.notes(loadedBy(m.missing, fence.Now().Sub(began), course{outcome: OutcomeNotKept, reason: reason})...)
	return m.putAll(got)
}

// loadedBy are the courses of keys that one load brought.
func loadedBy[K comparable](all []wanted[K], load time.Duration, each course) []course {
	courses := slices.Repeat([]course{each}, len(all))
	courses[0].load = load
	return courses
}

func (m *many[K, V]) putAll(got map[K]V) error {
	for k, v := range got {
		if err := m.put(k, v); err != nil {
			return err
		}
	}
	return nil
}

// join takes part in the load of each key: this caller's, or that of another, for which
// it waits when its own are done. Otherwise
//
//  1. A loads one key, and waits for another that B loads;
//  2. B waits for the key that A loads, before it loads its own.
//
// Forced by TestTwoGetManyWaitForEachOther.
func (m *many[K, V]) join() (mine, theirs []wanted[K]) {
	flights := make([]engine.Flight, len(m.missing))
	mine = make([]wanted[K], 0, len(m.missing))
	for i, wants := range m.missing {
		wants.flight = &flights[i]
		m.cache.engine.JoinIn(wants.flight, wants.at.bytes, wants.at.hash)
		if wants.flight.Waits() {
			theirs = append(theirs, wants)
		} else {
			mine = append(mine, wants)
		}
	}
	return mine, theirs
}

// fetch asks where others may have put the answers, in one question, and returns the keys
// that have to be loaded.
func (m *many[K, V]) fetch(ctx context.Context, mine []wanted[K]) (rest []wanted[K]) {
	flights := make([]*engine.Flight, len(mine))
	for i, wants := range mine {
		flights[i] = wants.flight
	}
	var entries []*engine.Entry
	if m.memoryOnly.Load() == nil {
		entries = m.cache.engine.FetchMany(ctx, m.shape, flights, func(i int, src []byte) (engine.Payload, error) { return m.decode(mine[i].key, src) })
	} else {
		entries = make([]*engine.Entry, len(mine))
	}
	rest = make([]wanted[K], 0, len(mine))
	for i, e := range entries {
		if e == nil || !m.cache.engine.ServeProving(ctx, e, m.session) {
			rest = append(rest, mine[i])
			continue
		}
		p, ok := e.Payload.(*typed[K, V])
		if !ok || m.take(mine[i].key, e, p, OutcomeRemote) != nil {
			rest = append(rest, mine[i])
			continue
		}
		mine[i].flight.Finish(e)
		m.warms(mine[i].key, e)
	}
	return rest
}

// load loads what nobody else does, in a goroutine of the cache, which gives its slot back.
func (m *many[K, V]) load(ctx context.Context, rest []wanted[K], has slot) error {
	done := make(chan *brought[K, V], 1)
	if ctx.Err() != nil || !m.cache.loads.begin() {
		finish(rest)
		m.cache.slots.give(has)
		if ctx.Err() != nil {
			return fmt.Errorf("wait for %s: %w", m.name, context.Cause(ctx))
		}
		m.missing = rest
		return m.loadAlone(ctx, aloneClosed)
	}
	go m.fly(ctx, rest, has, done)
	select {
	case r := <-done:
		if r.err != nil {
			return r.err
		}
		m.notes(r.courses...)
		return m.putAll(r.value)
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", m.name, context.Cause(ctx))
	}
}

func finish[K comparable](all []wanted[K]) {
	for _, wants := range all {
		wants.flight.Finish(nil)
	}
}

// brought is what one load of many keys brought, and the courses of these.
type brought[K comparable, V any] struct {
	result[map[K]V]
	courses []course
}

// fly is the goroutine of one load of many keys.
func (m *many[K, V]) fly(ctx context.Context, rest []wanted[K], has slot, done chan<- *brought[K, V]) {
	defer m.cache.loads.running.Done()
	defer m.cache.slots.give(has)
	loading, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.cache.loadMax)
	defer cancel()
	defer context.AfterFunc(m.cache.closing, cancel)()
	r := &brought[K, V]{result: result[map[K]V]{err: fmt.Errorf("load %s: %w", m.name, errNoResult)}}
	defer func() {
		if m.cache.closing.Err() != nil && errors.Is(r.err, context.Canceled) {
			r.err = fmt.Errorf("load %s: %w", m.name, ErrClosed)
		}
		done <- r
		if r.err != nil && r.began != 0 && !endedWith(ctx, r.err) {
			for _, wants := range rest {
				wants.flight.Fail(r.err, r.began)
			}
		}
		finish(rest)
	}()
	r.began = fence.Now()
	start, labelled := m.cache.engine.Begin()
	got, under, err := m.callMany(loading, rest, m.session)
	r.value, r.err = got, err
	if err != nil {
		under.handOut(under.learned())
		return
	}
	r.courses, r.err = m.keepAll(rest, got, under, start, labelled)
}

// keepAll keeps what a load of many keys brought, and hands it to who waits. It returns
// what became of each. Its error is that of the policy.
func (m *many[K, V]) keepAll(rest []wanted[K], got map[K]V, under *load, start engine.Start, labelled bool) ([]course, error) {
	entries, courses, err := m.entries(rest, got, under, start, labelled)
	made := slices.DeleteFunc(slices.Clone(entries), func(e *engine.Entry) bool { return e == nil })
	m.cache.engine.StoreAll(made)
	for i, e := range entries {
		if e != nil {
			rest[i].flight.Finish(e)
			m.warms(rest[i].key, e)
		}
	}
	return courses, err
}

// entries makes the entries of what was loaded, nil where there is none, as far as the
// policy says what they depend on, and says what became of each.
func (m *many[K, V]) entries(rest []wanted[K], got map[K]V, under *load, start engine.Start, labelled bool) ([]*engine.Entry, []course, error) {
	end := fence.Now()
	entries := make([]*engine.Entry, len(rest))
	courses := loadedBy(rest, end.Sub(under.began), course{outcome: OutcomeLoaded})
	for i, wants := range rest {
		v, there := got[wants.key]
		var absent error
		if !there {
			absent = m.policy.NotFound
		}
		tags, refusal, err := m.depends(wants.key, v, !there, under, start.Label)
		if err != nil {
			return entries, courses, err
		}
		if tags != nil && labelled && (there || absent != nil) {
			m.cache.outcomes.missed(wants.cause)
			entries[i] = m.entry(wants.key, wants.at, v, absent, tags, start, end)
		} else {
			courses[i].outcome, courses[i].reason = OutcomeNotKept, refusal
		}
	}
	return entries, courses, nil
}

// callMany calls Policy.LoadMany.
func (m *many[K, V]) callMany(ctx context.Context, all []wanted[K], s *fence.Session) (got map[K]V, under *load, err error) {
	m.cache.counters.loads.Add(1)
	m.reads.loads.Add(1)
	keys := make([]K, len(all))
	for i, wants := range all {
		keys[i] = wants.key
	}
	ctx, under = withLoad(ctx, m.wrapped, all[0].at.bytes)
	defer func() {
		under.ended.Store(true)
		now := fence.Now()
		m.reads.loading.Add(int64(now.Sub(under.began)))
		if err != nil {
			m.cache.counters.loadErrors.Add(1)
			m.reads.failures.Add(1)
		}
		if s != nil {
			s.Received(now)
		}
	}()
	defer recovered(m.name, inLoadMany, &err)
	values, err := m.policy.LoadMany(ctx, keys)
	if err != nil {
		return nil, under, err
	}
	got, err = m.byKey(values)
	return got, under, err
}

func (m *many[K, V]) byKey(values []V) (got map[K]V, err error) {
	defer recovered(m.name, inKeyOf, &err)
	got = make(map[K]V, len(values))
	for _, v := range values {
		got[m.policy.KeyOf(v)] = v
	}
	return got, nil
}

// await takes what others load, or loads what they do not bring.
func (m *many[K, V]) await(ctx context.Context, theirs []wanted[K]) error {
	for i, wants := range theirs {
		e, ok := wants.flight.Wait(ctx, m.session)
		if ok {
			if p, own := e.Payload.(*typed[K, V]); own {
				if err := m.take(wants.key, e, p, OutcomeJoined); err != nil {
					return err
				}
				continue
			}
		}
		err := wants.flight.Err()
		if err == nil {
			wants.flight.Finish(nil)
			err = m.oneByOne(ctx, theirs[i:i+1])
		}
		if err != nil {
			return err
		}
	}
	return nil
}
