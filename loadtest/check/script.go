package check

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Script forces one order of events that a rule of the protocol is there for. A
// product that keeps the rule breaks no promise in it; one without the rule surely
// does, whatever the machine is busy with: every step waits for the one before it,
// and nothing has to happen by chance.
type Script struct {
	// Name says what happens.
	Name string
	// bound is the sidecars' --staleness: short where a script waits for it to pass,
	// longBound where nothing may depend on it.
	bound    time.Duration
	sidecars int
	// restAfter is the sidecars' --rest-after, 0 for their default.
	restAfter time.Duration
	// crashes says that the server crashes or is replaced: it is the script's own.
	crashes bool
	play    func(*stage)
}

const (
	// shortBound can be waited for.
	shortBound = 500 * time.Millisecond
	// longBound never passes while a script is played: what is wrong then is wrong
	// for another reason than its age.
	longBound = 30 * time.Second
	// playMax bounds the playing of a script.
	playMax = 90 * time.Second
	// cachedWaitMax bounds the wait for an answer to come from the cache.
	cachedWaitMax = 20 * time.Second
	// cachedPatience is how long an answer from the cache is awaited at first, and
	// cachedPatienceMax at last.
	cachedPatience    = 10 * time.Millisecond
	cachedPatienceMax = time.Second
)

// Scripts lists all scripts.
func Scripts() []Script {
	return slices.Concat(boundScripts, sessionScripts, statementScripts, redisScripts, serverScripts, libraryScripts)
}

// stage is where a script is played. Its steps do nothing any more once one has
// failed or a promise was found broken, so that scripts are lists of steps.
type stage struct {
	*world
	ctx context.Context
	// err is why a step could not be made.
	err      error
	sessions []*session
	random   *rand.Rand
	texts    int64
}

// Play plays a script with the sidecars of a program, on a server of a ground unless that is
// nil, and returns what was found, up to the first violation. It returns an error if the script
// could not be played.
func (s Script) Play(ctx context.Context, o Options, ground *Ground) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, playMax)
	defer cancel()
	o.Bound, o.Sidecars, o.restAfter, o.cold = s.bound, s.sidecars, s.restAfter, true
	if !s.crashes {
		o.ground = ground
	}
	w, err := launchWorld(ctx, o)
	if err != nil {
		return Report{}, err
	}
	st := &stage{world: w, ctx: ctx, random: rand.New(rand.NewPCG(o.Seed, 2)), texts: firstText}
	st.setLabel(s.Name)
	s.play(st)
	for _, s := range st.sessions {
		s.close()
	}
	w.endPrograms()
	select {
	case err := <-w.failures:
		st.fail(err)
	default:
	}
	report := w.tally.report(w.options)
	if report.Violations == 0 && st.err == nil && ctx.Err() != nil {
		st.err = errors.New("it takes too long")
	}
	if st.err != nil {
		st.err = fmt.Errorf("play %q: %w", s.Name, st.err)
	}
	return report, errors.Join(st.err, w.fleet.close())
}

// going reports whether there is a reason to go on.
func (st *stage) going() bool {
	select {
	case <-st.tally.broken:
		return false
	default:
		return st.err == nil && st.ctx.Err() == nil
	}
}

// fail notes why a step could not be made.
func (st *stage) fail(err error) {
	if st.err == nil {
		st.err = err
	}
}

// try makes a step that may fail.
func (st *stage) try(step func() error) {
	if st.going() {
		if err := step(); err != nil {
			st.fail(err)
		}
	}
}

// session opens a session at a door.
func (st *stage) session(door int, l level) *session {
	return st.sessionWithin(door, l, st.options.Bound)
}

// sessionWithin opens a session that sets a bound of its own.
func (st *stage) sessionWithin(door int, l level, bound time.Duration) *session {
	s := st.newSession("client", len(st.sessions), door, l, prepared)
	s.bound = bound
	st.connected(s)
	return s
}

// connected takes a session in and connects it.
func (st *stage) connected(s *session) {
	st.sessions = append(st.sessions, s)
	st.try(func() error {
		if e := st.epoch.Load(); s.connect(st.ctx, e) != nil {
			return fmt.Errorf("%s does not connect", s.name)
		}
		return nil
	})
}

// direct opens a session on PostgreSQL itself.
func (st *stage) direct() *session { return st.session(direct, levelDirect) }

// with lets a session do something that counts its own errors.
func (st *stage) with(s *session, do func()) {
	st.try(func() error {
		if s.connected() {
			do()
		}
		if !s.connected() {
			return fmt.Errorf("%s lost its connection", s.name)
		}
		return nil
	})
}

// exec runs a statement.
func (st *stage) exec(s *session, sql string) {
	st.try(func() error { return s.exec(sql) })
}

// write writes keys, each in a transaction of its own. Both halves of a pair are
// written together.
func (st *stage) write(s *session, keys ...key) (written []reading) {
	for _, k := range keys {
		st.try(func() error {
			r, err := st.change(s, k)
			if err == nil && !s.acknowledged(r...) {
				err = errors.New("the epoch ended")
			}
			written = append(written, r...)
			return err
		})
	}
	return written
}

// change writes a key, without taking note that it is committed.
func (st *stage) change(s *session, k key) ([]reading, error) {
	mark := st.marks.next(s.epoch)
	if k.kind == row {
		r, err := s.write(k, writeRowSQL, mark)
		return []reading{r}, err
	}
	l, r := reading{key: key{left, k.id}, mark: mark}, key{right, k.id}
	written, err := s.write(r, writeBothSQL, mark)
	l.version = written.version
	return []reading{l, written}, err
}

// read reads keys one after the other.
func (st *stage) read(s *session, keys ...key) {
	for _, k := range keys {
		st.with(s, func() { s.readBack(k) })
	}
}

// cached reads keys until each answer surely comes from the cache.
func (st *stage) cached(s *session, keys ...key) {
	for _, k := range keys {
		st.untilCached(s, func() { s.readBack(k) })
	}
}

// untilCached repeats a read until it is answered while PostgreSQL is kept from
// answering.
func (st *stage) untilCached(s *session, read func()) {
	l := st.fleet.links[s.door]
	patience := cachedPatience
	for until := time.Now().Add(cachedWaitMax); st.going(); patience = min(2*patience, cachedPatienceMax) {
		if time.Now().After(until) {
			st.fail(fmt.Errorf("%s is never answered from the cache", s.name))
			return
		}
		l.freeze(clientClass, answers, 1, nil)
		done := st.begin(s, read)
		timer := time.NewTimer(patience)
		hit := false
		select {
		case <-done:
			hit = true
		case <-timer.C:
		}
		timer.Stop()
		l.thawClass(clientClass)
		<-done
		if !s.connected() {
			st.fail(fmt.Errorf("%s lost its connection", s.name))
		}
		if hit {
			return
		}
	}
}

// begin lets a session do something while the script goes on. The channel is closed
// when it has been done; the session is not used before.
func (st *stage) begin(s *session, do func()) <-chan struct{} {
	done := make(chan struct{})
	if !st.going() {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		do()
	}()
	return done
}

// anew is the number of a text that nobody has used.
func (st *stage) anew() int64 {
	st.texts++
	return st.texts
}

// deafen keeps the follower of a sidecar from hearing anything, also on connections
// that it may yet make.
func (st *stage) deafen(door int) {
	if st.going() {
		st.fleet.links[door].hold(followerClass)
		st.fleet.links[door].freeze(followerClass, bothWays, 1, nil)
	}
}

// hear undoes deafen.
func (st *stage) hear(door int) {
	st.fleet.links[door].thawClass(followerClass)
	st.fleet.links[door].hold(0)
}

// pass waits until a time has passed.
func (st *stage) pass(d time.Duration) {
	if st.going() {
		pause(st.ctx, d)
	}
}

// followersSQL counts the connections of followers.
const followersSQL = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'freshet follower'"

// rested waits until the followers of all sidecars rest, and have but two connections.
func (st *stage) rested() {
	want := int64(2 * st.options.Sidecars)
	st.try(func() error {
		return until(st.ctx, "followers to rest", func() bool {
			n, err := number(st.ctx, st.fleet.dsn(), followersSQL)
			return err == nil && n == want
		})
	})
}

// passBound waits until what was acknowledged before is demanded of every read.
func (st *stage) passBound() { st.pass(st.options.Bound + boundMargin) }

// boundMargin makes what is older than the bound surely older.
const boundMargin = 20 * time.Millisecond

// rows are the first rows that sessions read and write.
func rows(n int) []key { return keysOf(row, n) }

func keysOf(of kind, n int) []key {
	keys := make([]key, n)
	for i := range keys {
		keys[i] = key{of, i}
	}
	return keys
}
