package check

import (
	"time"
)

// boundScripts are about what every read promises: it reflects what was
// acknowledged more than the bound before.
var boundScripts = []Script{
	{Name: "what is written is seen", bound: shortBound, sidecars: 1, play: writtenIsSeen},
	{Name: "an early transaction commits late", bound: shortBound, sidecars: 1, play: commitLate},
	{Name: "a write overtakes a load", bound: shortBound, sidecars: 1, play: overtakeLoad},
	{Name: "events take long to be filed", bound: 2 * shortBound, sidecars: 1, play: fileSlowly},
	{Name: "the follower is deaf", bound: shortBound, sidecars: 1, play: readFromTheDeaf},
	{Name: "the follower is deaf for longer than a session allows", bound: longBound, sidecars: 1, play: readFromTheDeafSooner},
	{Name: "what is written is seen in a fleet", bound: shortBound, sidecars: 2, play: writtenIsSeenInFleet},
	{Name: "a look's answer is late", bound: 2 * shortBound, sidecars: 1, play: answerLookLate},
	{Name: "nobody reads for long", bound: shortBound, restAfter: restSoon, sidecars: 1, play: readAfterRest},
}

// writtenIsSeen reads what was cached before it was written, by many transactions.
func writtenIsSeen(st *stage) {
	keys := rows(sharedRows / 2)
	reader := st.session(0, levelBounded)
	st.cached(reader, keys...)
	st.write(st.direct(), keys...)
	st.passBound()
	st.read(reader, keys...)
}

// writtenIsSeenInFleet is writtenIsSeen at two sidecars, of which one leaves it to the
// other to look often. Which one does is not known.
func writtenIsSeenInFleet(st *stage) {
	const rounds = 3
	keys := rows(sharedRows / 2)
	readers := []*session{st.session(0, levelBounded), st.session(1, levelBounded)}
	for range rounds {
		for _, reader := range readers {
			st.cached(reader, keys...)
		}
		st.write(st.direct(), keys...)
		st.passBound()
		for _, reader := range readers {
			st.read(reader, keys...)
		}
	}
}

// commitLate has a transaction commit whose id is lower than one that a look saw
// committed.
func commitLate(st *stage) {
	early, late, reader := st.direct(), st.direct(), st.session(0, levelBounded)
	k := key{row, 0}
	var r []reading
	st.exec(early, "BEGIN")
	st.try(func() (err error) { r, err = st.change(early, k); return err })
	st.write(late, key{row, 1})
	st.read(st.session(0, levelStrong), key{row, 1}) // a look that sees it
	st.cached(reader, k)
	st.exec(early, "COMMIT")
	st.try(func() error { early.acknowledged(r...); return nil })
	st.passBound()
	st.read(reader, k)
}

// overtakeLoad has rows written between the answer to a load and its arrival.
func overtakeLoad(st *stage) {
	reader, writer, witness := st.session(0, levelBounded), st.direct(), key{row, 10}
	st.cached(reader, witness) // its text is known, and where it is
	for _, k := range rows(4) {
		loaded := st.loadSlowly(reader, k, func() {
			st.write(writer, k)
			// A look that sees it; on a connection that is not held.
			st.read(st.session(0, levelStrong), witness)
		})
		<-loaded
		st.passBound()
		st.read(reader, k)
	}
}

// loadSlowly lets a session read a row, and makes something happen between the
// answer of PostgreSQL and its arrival at the sidecar. The channel is closed when
// the session has been answered.
func (st *stage) loadSlowly(s *session, k key, meanwhile func()) <-chan struct{} {
	l := st.fleet.links[s.door]
	l.freeze(clientClass, answers, 1, nil)
	defer l.thawClass(clientClass)
	done := st.begin(s, func() { s.readBack(k) })
	st.try(func() error { _, err := l.awaitAnswer(st.ctx, of(clientClass)); return err })
	meanwhile()
	return done
}

// fileSlowly has many sessions read, one after the other, while a look is being filed
// that brings events of what they read.
func fileSlowly(st *stage) {
	keys, writer := rows(fileReaders), st.direct()
	readers := make([]*session, len(keys))
	for i := range readers {
		readers[i] = st.session(0, levelBounded)
	}
	for range 2 {
		for i, k := range keys {
			st.cached(readers[i], k)
		}
		st.holdLook(0)
		st.write(writer, keys...)
		st.passBound()
		// What the look that was held saw is too old by now. The next one brings the
		// events, and is as fresh as can be.
		st.hear(0)
		var all []<-chan struct{}
		for i, k := range keys {
			// Who comes before the look has ended waits for the end, or goes to PostgreSQL.
			all = append(all, st.begin(readers[i], func() { readers[i].readBack(k) }))
			st.pass(fileEach)
		}
		for _, done := range all {
			<-done
		}
	}
}

// holdLook waits until the answer to a look is held on its way to a sidecar, and
// returns the connection.
func (st *stage) holdLook(door int) (looker *pipe) {
	l := st.fleet.links[door]
	if !st.going() {
		return nil
	}
	l.freeze(followerClass, answers, 1, nil)
	st.try(func() (err error) { looker, err = l.awaitAnswer(st.ctx, of(followerClass)); return err })
	return looker
}

const (
	// fileReaders sessions begin to read one after the other, fileEach apart.
	fileReaders = 20
	fileEach    = 50 * time.Millisecond
)

// readFromTheDeaf reads from a sidecar that has heard nothing for longer than the
// bound.
func readFromTheDeaf(st *stage) {
	keys := rows(4)
	reader := st.session(0, levelBounded)
	st.cached(reader, keys...)
	st.deafen(0)
	st.write(st.direct(), keys...)
	st.passBound()
	st.read(reader, keys...)
}

// readFromTheDeafSooner reads from one that has heard nothing for longer than the
// session allows.
func readFromTheDeafSooner(st *stage) {
	keys := rows(4)
	reader := st.sessionWithin(0, levelBounded, shortBound)
	st.cached(reader, keys...)
	st.deafen(0)
	st.write(st.direct(), keys...)
	st.pass(reader.bound + boundMargin)
	st.read(reader, keys...)
}

// restSoon is a --rest-after that can be waited for.
const restSoon = 300 * time.Millisecond

// readAfterRest reads what was written while a sidecar did not look, as nobody read.
// Looks are made then, too, every ten seconds: hence several times.
func readAfterRest(st *stage) {
	keys := rows(4)
	reader, writer := st.session(0, levelBounded), st.direct()
	for range 3 {
		st.cached(reader, keys...)
		st.rested()
		st.write(writer, keys...)
		st.passBound()
		st.read(reader, keys...)
	}
}

// answerLookLate has what is read written between a look and the arrival of its
// answer, which comes when the write is demanded already, and before any other. It
// may be another answer that the follower is waiting for: hence several times.
func answerLookLate(st *stage) {
	reader, writer, l := st.session(0, levelBounded), st.direct(), st.fleet.links[0]
	for range 3 {
		keys := rows(4)
		st.cached(reader, keys...)
		looker := st.holdLook(0)
		st.write(writer, keys...)
		st.passBound()
		// When the next one is on its way, the one before has had its effect.
		st.try(func() error { return l.awaitNext(st.ctx, looker) })
		st.read(reader, keys...)
		st.hear(0)
	}
}
