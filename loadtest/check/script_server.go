package check

import (
	"errors"
)

// serverScripts are about what happens to the database itself.
var serverScripts = []Script{
	{Name: "the outbox is trimmed behind a sidecar", bound: shortBound, sidecars: 2, play: trimBehindReader},
	{Name: "transaction ids are given out twice", bound: shortBound, sidecars: 1, crashes: true, play: giveIDsTwice},
	{Name: "clients and follower are on different servers", bound: shortBound, sidecars: 2, crashes: true, play: partFromFollower},
}

// trimBehindReader has what a sidecar has not heard of deleted from the outbox.
func trimBehindReader(st *stage) {
	keys := rows(4)
	reader, writer := st.session(0, levelBounded), st.direct()
	for range trimAttempts {
		st.cached(reader, keys...)
		st.deafen(0)
		st.write(writer, keys...)
		trimmed := false
		st.try(func() (err error) { trimmed, err = st.trimBehind(st.ctx, 0); return err })
		st.hear(0)
		if trimmed {
			st.cached(reader, key{row, 20}) // the follower has heard what is left
			st.passBound()
			st.cached(reader, keys...) // where the follower is late, PostgreSQL answers for a while
			return
		}
	}
	st.try(func() error { return errors.New("the outbox is not trimmed") })
}

// giveIDsTwice has rows written by transactions whose ids were given out before, in
// a life of the database in which they were cached.
func giveIDsTwice(st *stage) {
	keys := rows(4)
	st.try(func() error {
		defer st.holdFollowers(false)
		for range giveAttempts {
			reused, err := st.crashBackend(st.ctx, func() {
				st.read(st.session(0, levelStrong), key{row, 10}) // a look that sees the ids used up
				st.cached(st.session(0, levelBounded), keys...)
				st.holdFollowers(true)
			})
			if err != nil {
				return err
			}
			if reused >= idsBurnt/2 {
				st.write(st.direct(), keys...)
				return st.reuse(st.ctx)
			}
			st.holdFollowers(false) // somebody's commit had the log written in between
		}
		return errors.New("no transaction id is given out twice")
	})
	reader := st.session(0, levelBounded)
	st.cached(reader, key{row, 20}) // the follower is back
	st.passBound()
	st.read(reader, keys...)
}

// giveAttempts is how often it is tried to have ids given out twice.
const giveAttempts = 10

// partFromFollower has clients reach a promoted standby while their sidecar's follower
// looks at the old primary, where everything is as it was.
func partFromFollower(st *stage) {
	keys := rows(4)
	st.cached(st.session(0, levelBounded), keys...)
	st.try(func() error {
		return st.failOver(st.ctx, st.random, func() error {
			for _, l := range st.fleet.links {
				l.cut(clientClass, 1, nil)
			}
			st.clients.cut(1, nil)
			return nil
		})
	})
	// Another sidecar finds the new primary, and names the life that it began.
	st.fleet.links[1].cut(followerClass, 1, nil)
	st.try(func() error {
		return until(st.ctx, "the new primary to be named", func() bool {
			named, err := number(st.ctx, st.fleet.dsn(), "SELECT (freshet.incarnation() IS NOT NULL)::int")
			return err == nil && named == 1
		})
	})
	st.write(st.direct(), keys...)
	st.passBound()
	reader := st.session(0, levelBounded)
	for range partReads {
		st.read(reader, keys...)
	}
}

// partReads is how often each row is read. A session's first reads go to PostgreSQL
// for other reasons.
const partReads = 3
