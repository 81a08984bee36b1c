package check

import (
	"sync/atomic"
	"time"
)

// sessionScripts are about what a session demands beside the bound.
var sessionScripts = []Script{
	{Name: "a session reads what it wrote", bound: longBound, sidecars: 1, play: readOwnWrites},
	{Name: "a session reads what another one wrote", bound: longBound, sidecars: 1, play: readOthersWrites},
	{Name: "a session reads what another one wrote as it often does", bound: longBound, sidecars: 1, play: readOthersUsualWrites},
	{Name: "a session reads pairs that another one wrote as it often does", bound: longBound, sidecars: 1, play: readOthersUsualPairs},
	{Name: "a session reads what another one's transaction wrote", bound: longBound, sidecars: 1, play: readOthersTransactions},
	{Name: "a counter behind a lock", bound: longBound, sidecars: 1, play: incrementBehindLock},
	{Name: "a session reads on after what it was shown", bound: longBound, sidecars: 1, play: readOn},
	{Name: "a session reads on after what Redis showed it", bound: longBound, sidecars: 2, play: readOnFromRedis},
	{Name: "a session reads on after what Redis was given in vain", bound: longBound, sidecars: 2, play: readOnFromTheDeaf},
	{Name: "a strong session reads", bound: longBound, sidecars: 1, play: readStrongly},
	{Name: "a strong session joins a load", bound: longBound, sidecars: 1, play: joinLoad},
	{Name: "a transaction reads", bound: longBound, sidecars: 1, play: readInTransaction},
	{Name: "a session is handed a token", bound: longBound, sidecars: 2, play: handToken},
}

// readOwnWrites has a session write, through a sidecar that hears of no write.
func readOwnWrites(st *stage) {
	keys := rows(8)
	s := st.session(0, levelSession)
	st.cached(s, keys...)
	st.deafen(0)
	st.exec(s, "BEGIN")
	var written []reading
	for _, k := range keys {
		st.try(func() error {
			r, err := st.change(s, k)
			written = append(written, r...)
			return err
		})
	}
	st.exec(s, "COMMIT")
	st.try(func() error { s.acknowledged(written...); return nil })
	// The first ones may be read from PostgreSQL, for other reasons.
	st.read(s, keys...)
}

// readOthersWrites has one session write and another one of the same sidecar read,
// which was not shown anything in between.
func readOthersWrites(st *stage) {
	keys := rows(4)
	writer, reader := st.session(0, levelSession), st.session(0, levelSession)
	st.cached(reader, keys...)
	st.deafen(0)
	st.write(writer, keys...)
	st.read(reader, keys...)
}

// usualWrites is how often a statement comes before a sidecar surely knows what it does.
const usualWrites = 5

// readOthersUsualWrites is readOthersWrites with a statement that the sidecar knows, of a
// session that it knows too: what the writer has read last says so.
func readOthersUsualWrites(st *stage) { st.usualWrites(rows(4)) }

// readOthersUsualPairs is that with a statement that writes two tables at once, of which
// is not known which rows.
func readOthersUsualPairs(st *stage) { st.usualWrites(keysOf(left, 4)) }

func (st *stage) usualWrites(keys []key) {
	writer, reader := st.session(0, levelSession), st.session(0, levelSession)
	for range usualWrites {
		st.write(writer, keys...)
		st.read(writer, keys...)
		st.pass(usualPause)
	}
	st.cached(reader, keys...)
	st.cached(writer, keys...)
	st.deafen(0)
	st.write(writer, keys...)
	st.read(reader, keys...)
}

// usualPause is time for what a sidecar does about a statement behind its back.
const usualPause = 200 * time.Millisecond

// readOthersTransactions has one session read, again and again, what another one of
// the same sidecar has written in a transaction, until that is committed.
func readOthersTransactions(st *stage) {
	keys := rows(4)
	writer, reader := st.session(0, levelSession), st.session(0, levelSession)
	var written []reading
	st.exec(writer, "BEGIN")
	for _, k := range keys {
		st.try(func() error {
			r, err := st.change(writer, k)
			written = append(written, r...)
			return err
		})
	}
	st.cached(reader, keys...)
	st.deafen(0)
	st.exec(writer, "COMMIT")
	st.try(func() error { writer.acknowledged(written...); return nil })
	st.read(reader, keys...)
}

// incrementBehindLock has two callers increment in turns what both have in the cache,
// through a sidecar that hears of no write.
func incrementBehindLock(st *stage) {
	counter, made := new(guarded), new(atomic.Int64)
	callers := [2]*pooled{}
	for i := range callers {
		p := st.newPooled(2*i, 0, counter, made)
		callers[i] = p
		for _, s := range []*session{p.reads, p.writes} {
			st.connected(s)
		}
	}
	st.try(func() error { callers[0].increment(); return nil })
	for _, p := range callers {
		st.untilCached(p.reads, func() {
			var value int64
			_ = p.reads.one(readCounterSQL, []any{counter.id}, &value) // counted
		})
	}
	st.deafen(0)
	for range 4 {
		for _, p := range callers {
			st.with(p.reads, p.increment)
		}
	}
}

// pairs are the pairs of which sessions read one half after the other.
const pairs = 4

// readOn has sessions read a half that another one has just loaded, and then the
// other half, of which the sidecar has what was there before both were written.
func readOn(st *stage) {
	scout, companions := st.session(0, levelBounded), st.companions(0)
	st.deafen(0)
	st.write(st.direct(), keysOf(left, pairs)...)
	for id, companion := range companions {
		number := st.anew()
		st.untilCached(scout, func() { scout.readLeftAnew(id, number) })
		st.with(companion, func() { companion.readLeftAnew(id, number) })
		st.read(companion, key{right, id})
	}
}

// readLeftAnew reads the left half of a pair in a text that holds a number.
func (s *session) readLeftAnew(id int, number int64) {
	s.readOneAnew(key{left, id}, readHalfAnewSQL[left], number)
}

// companions are sessions of which each has been answered a right half from the
// cache, and a left one in a text that nobody uses again.
func (st *stage) companions(door int) (all []*session) {
	for id := range pairs {
		s, number := st.session(door, levelSession), st.anew()
		st.untilCached(s, func() { s.readLeftAnew(id, number) })
		st.cached(s, key{right, id})
		all = append(all, s)
	}
	return all
}

// readOnFromRedis is readOn where another sidecar has loaded the first half, whose
// follower heard of the write.
func readOnFromRedis(st *stage) {
	scout, companions := st.session(0, levelBounded), st.companions(1)
	st.deafen(1)
	written := st.write(st.direct(), keysOf(left, pairs)...)
	for id, companion := range companions {
		var number int64
		st.untilInRedis(func() int64 {
			number = st.anew()
			st.with(scout, func() { scout.readLeftAnew(id, number) })
			return written[2*id].mark
		})
		st.with(companion, func() { companion.readLeftAnew(id, number) })
		st.read(companion, key{right, id})
	}
}

// publicationWait is far longer than an answer takes to Redis that waits for no look.
const publicationWait = 250 * time.Millisecond

// readOnFromTheDeaf is readOnFromRedis where the follower of the one that has loaded
// has heard of nothing either: no head bounds what it loaded, and Redis must not be
// given it.
func readOnFromTheDeaf(st *stage) {
	scout, companions := st.session(0, levelBounded), st.companions(1)
	st.deafen(0)
	st.deafen(1)
	st.write(st.direct(), keysOf(left, pairs)...)
	for id, companion := range companions {
		number := st.anew()
		st.with(scout, func() { scout.readLeftAnew(id, number) })
		st.pass(publicationWait) // nothing tells that it is not published
		st.with(companion, func() { companion.readLeftAnew(id, number) })
		st.read(companion, key{right, id})
	}
}

// readStrongly reads through a sidecar that has not heard of a write.
func readStrongly(st *stage) {
	keys := rows(4)
	reader := st.session(0, levelStrong)
	st.cached(reader, keys...)
	st.deafen(0)
	st.write(st.direct(), keys...)
	st.read(reader, keys...)
}

// joinLoad has a strong session read what another one is loading, and what was
// written since.
func joinLoad(st *stage) {
	reader, writer, witness := st.session(0, levelBounded), st.direct(), key{row, 10}
	st.cached(reader, witness)
	wait := 50 * time.Millisecond
	for _, k := range rows(4) {
		var joined <-chan struct{}
		loaded := st.loadSlowly(reader, k, func() {
			st.write(writer, k)
			late := st.session(0, levelStrong)
			st.read(late, witness)
			joined = st.begin(late, func() { late.readBack(k) })
			// Nothing tells that it waits for the load; from one time to the next it has
			// longer to come to that.
			st.pass(wait)
			wait *= 3
		})
		<-loaded
		<-joined
	}
}

// readInTransaction begins a transaction after a write that the sidecar has not
// heard of.
func readInTransaction(st *stage) {
	keys := rows(4)
	s := st.session(0, levelSession)
	st.cached(s, keys...)
	st.deafen(0)
	st.write(st.direct(), keys...)
	s.block = time.Now()
	st.exec(s, "BEGIN")
	st.read(s, keys...)
	s.block = time.Time{}
	st.exec(s, "COMMIT")
}

// handToken hands a token to a session on a sidecar that has not heard of the
// writes for which it stands.
func handToken(st *stage) {
	keys := rows(8)
	writer, reader := st.session(0, levelSession), st.session(1, levelBounded)
	st.cached(reader, keys...)
	st.deafen(1)
	written := st.write(writer, keys...)
	st.with(writer, func() {
		if token, ok := writer.token(); ok && reader.conn != nil {
			reader.takeToken(token)
		}
	})
	for _, r := range written {
		st.with(reader, func() { reader.readWritten(r) })
	}
}
