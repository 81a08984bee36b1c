package check

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// longMin and longMax are how long a long transaction stays open.
	longMin = 100 * time.Millisecond
	longMax = 700 * time.Millisecond
	// sessionWritesMax bounds the writes of one connection.
	sessionWritesMax = 300
)

const (
	writeRowSQL      = `UPDATE registers SET version = version + 1, mark = $2 WHERE id = $1 RETURNING version`
	deleteRowSQL     = `DELETE FROM registers WHERE id = $1 RETURNING version`
	insertRowSQL     = `INSERT INTO registers (id, version, mark) VALUES ($1, $2, $3)`
	writeBothSQL     = `WITH l AS (UPDATE lefts SET version = version + 1, mark = $2 WHERE id = $1 RETURNING id) UPDATE rights AS r SET version = version + 1, mark = $2 FROM l WHERE r.id = l.id RETURNING version`
	writeLeftSQL     = `UPDATE lefts SET version = version + 1, mark = $2 WHERE id = $1 RETURNING version`
	writeRightSQL    = `UPDATE rights SET version = version + 1, mark = $2 WHERE id = $1 RETURNING version`
	lockFlickerSQL   = `SELECT version FROM ledger WHERE id = $1 FOR UPDATE`
	writeLedgerSQL   = `UPDATE ledger SET version = $2 WHERE id = $1`
	deleteFlickerSQL = `DELETE FROM flickers WHERE id = $1`
	insertFlickerSQL = `INSERT INTO flickers (id, version, mark) VALUES ($1, $2, $3)`
	lockAccountsSQL  = `SELECT count(*) FROM (SELECT FROM accounts WHERE id IN ($1, $2) ORDER BY id FOR UPDATE) AS locked`
	transferSQL      = `UPDATE accounts SET balance = balance + CASE id WHEN $1 THEN -1 ELSE 1 END, version = version + 1 WHERE id IN ($1, $2)`
	moveAccountSQL   = `WITH gone AS (DELETE FROM accounts WHERE id = $1 RETURNING *) SELECT branch, balance, version FROM gone`
	insertAccountSQL = `INSERT INTO accounts (id, branch, balance, version) VALUES ($1, $2, $3, $4)`
	writeMeantSQL    = `UPDATE constants SET version = version + 1, mark = $2 WHERE id = $1 RETURNING version`
	giveAccountSQL   = `UPDATE accounts SET balance = balance + 1, version = version + 1 WHERE id = $1`
)

// writer writes until ctx ends, and reads back what it wrote.
func (w *world) writer(ctx context.Context, s *session, pace time.Duration) {
	s.turns(ctx, pace, 20, sessionWritesMax, func() {
		w.hold.RLock()
		defer w.hold.RUnlock()
		if s.ready(ctx) { // the epoch may have ended while it waited
			s.writeSomething(ctx)
		}
	})
}

// writeSomething makes one transaction. Errors are counted where they happen.
func (s *session) writeSomething(ctx context.Context) {
	switch n := s.random.IntN(100); {
	case n < 26:
		s.writeOne(key{row, s.hot(sharedRows)}, writeRowSQL)
	case n < 32:
		s.writeOne(key{meant, s.random.IntN(meantCount)}, writeMeantSQL)
	case n < 42:
		s.writeRows()
	case n < 48:
		s.replaceRow(key{row, s.hot(sharedRows)})
	case n < 54:
		s.rollBack(key{row, s.hot(sharedRows)})
	case n < 58:
		s.failPipeline(key{row, s.hot(sharedRows)})
	case n < 63:
		s.savepoint()
	case n < 66:
		s.writeLong(ctx, key{row, sharedRows + s.random.IntN(longRows)})
	case n < 78:
		s.writePair(s.hot(pairCount))
	case n < 86:
		s.flick(key{flicker, s.hot(flickerCount)})
	default:
		s.transfer()
	}
}

// committed notes that a commit was acknowledged now, unless the epoch ended
// before, and reads some of what was written back.
func (s *session) committed(written ...reading) {
	if !s.acknowledged(written...) {
		return
	}
	for _, r := range written {
		if s.connected() && s.random.IntN(10) < 8 {
			s.readBack(r.key)
		}
	}
}

// acknowledged notes that a commit was acknowledged now. It reports false if the
// epoch ended before.
func (s *session) acknowledged(written ...reading) bool {
	at := time.Now()
	if s.world.epoch.Load() != s.epoch {
		return false
	}
	for _, r := range written {
		s.epoch.register(r.key).acknowledge(r.version, r.mark, at)
		s.epoch.register(r.key).acknowledgeThrough(s.door, r.version)
		s.memory.wrote[r.key] = max(s.memory.wrote[r.key], r.version)
	}
	s.world.tally.wrote()
	return true
}

// readBack reads what this connection wrote.
func (s *session) readBack(k key) {
	switch k.kind {
	case row:
		s.readRow(k)
	case left, right:
		s.readOne(k, readHalfSQL[k.kind], k.id)
	case flicker:
		s.readFlicker(k)
	case meant:
		s.readOne(k, readMeantSQL, k.id)
	}
}

// write updates a row or a half in the open transaction or in one of its own.
func (s *session) write(k key, sql string, mark int64) (reading, error) {
	r := reading{key: k, mark: mark}
	err := s.one(sql, []any{k.id, mark}, &r.version)
	return r, s.failedUnlessClosed(err)
}

// failedUnlessClosed is failed for errors that left the connection open: within
// a transaction, no row is as bad as an error.
func (s *session) failedUnlessClosed(err error) error {
	if err != nil && s.connected() {
		return s.failed(err)
	}
	return err
}

// writeOne updates a row in a transaction of its own.
func (s *session) writeOne(k key, sql string) {
	if r, err := s.write(k, sql, s.world.marks.next(s.epoch)); err == nil {
		s.committed(r)
	}
}

// writeRows updates several rows in one transaction, in the order of their ids
// so that two of these do not wait for each other.
func (s *session) writeRows() {
	if s.exec("BEGIN") != nil {
		return
	}
	ids := []int{s.hot(sharedRows), s.random.IntN(sharedRows), s.random.IntN(sharedRows)}
	slices.Sort(ids)
	var written []reading
	for _, id := range slices.Compact(ids) {
		r, err := s.write(key{row, id}, writeRowSQL, s.world.marks.next(s.epoch))
		if err != nil {
			return
		}
		written = append(written, r)
	}
	if s.exec("COMMIT") == nil {
		s.committed(written...)
	}
}

// replaceRow deletes a row and inserts it again in one transaction.
func (s *session) replaceRow(k key) {
	mark := s.world.marks.next(s.epoch)
	var version int64
	if s.exec("BEGIN") != nil || s.failedUnlessClosed(s.one(deleteRowSQL, []any{k.id}, &version)) != nil ||
		s.exec(insertRowSQL, k.id, version+1, mark) != nil || s.exec("COMMIT") != nil {
		return
	}
	s.committed(reading{key: k, version: version + 1, mark: mark})
}

// rollBack writes and takes it back, and reads what is there then.
func (s *session) rollBack(k key) {
	if s.exec("BEGIN") != nil {
		return
	}
	if _, err := s.write(k, writeRowSQL, s.world.marks.nextDoomed(s.epoch)); err != nil {
		return
	}
	if s.exec("ROLLBACK") == nil {
		s.readRow(k)
	}
}

// failPipeline sends a write, a read of what it wrote and an error at once: the
// read returns what is then rolled back.
func (s *session) failPipeline(k key) {
	if s.limit() != nil {
		return
	}
	batch := &pgx.Batch{}
	batch.Queue(writeRowSQL, k.id, s.world.marks.nextDoomed(s.epoch))
	batch.Queue(readRowSQL, k.id)
	batch.Queue("SELECT 1 / (id - id) FROM registers LIMIT 1")
	err := s.conn.SendBatch(context.Background(), batch).Close()
	if s.conn.IsClosed() {
		_ = s.failed(err)
		return
	}
	s.readRow(k)
}

// savepoint writes three rows and takes the second one back.
func (s *session) savepoint() {
	first := s.random.IntN(sharedRows - 2)
	kept := key{row, first}
	if s.exec("BEGIN") != nil {
		return
	}
	one, err := s.write(kept, writeRowSQL, s.world.marks.next(s.epoch))
	if err != nil || s.exec("SAVEPOINT between") != nil {
		return
	}
	if _, err := s.write(key{row, first + 1}, writeRowSQL, s.world.marks.nextDoomed(s.epoch)); err != nil {
		return
	}
	if s.exec("ROLLBACK TO SAVEPOINT between") != nil || s.exec("SAVEPOINT after") != nil {
		return
	}
	three, err := s.write(key{row, first + 2}, writeRowSQL, s.world.marks.next(s.epoch))
	if err == nil && s.exec("RELEASE SAVEPOINT after") == nil && s.exec("COMMIT") == nil {
		s.committed(one, three)
		if s.connected() {
			s.readRow(key{row, first + 1})
		}
	}
}

// writeLong keeps a transaction open that has written.
func (s *session) writeLong(ctx context.Context, k key) {
	if s.exec("BEGIN") != nil {
		return
	}
	r, err := s.write(k, writeRowSQL, s.world.marks.next(s.epoch))
	if err != nil {
		return
	}
	pause(ctx, longMin+time.Duration(s.random.Int64N(int64(longMax-longMin))))
	if s.exec("COMMIT") == nil {
		s.committed(r)
	}
}

// writePair writes both halves of a pair, with one statement or with two.
func (s *session) writePair(id int) {
	l, r := key{left, id}, key{right, id}
	mark := s.world.marks.next(s.epoch)
	if s.random.IntN(2) == 0 {
		// The left one is locked first, as with two statements.
		if written, err := s.write(r, writeBothSQL, mark); err == nil {
			s.committed(reading{key: l, version: written.version, mark: mark}, written)
		}
		return
	}
	if s.exec("BEGIN") != nil {
		return
	}
	one, err := s.write(l, writeLeftSQL, mark)
	if err != nil {
		return
	}
	two, err := s.write(r, writeRightSQL, mark)
	if err == nil && s.exec("COMMIT") == nil {
		s.committed(one, two)
	}
}

// flick deletes a row that is there, and inserts one that is not.
func (s *session) flick(k key) {
	mark := s.world.marks.next(s.epoch)
	var version int64
	if s.exec("BEGIN") != nil || s.failedUnlessClosed(s.one(lockFlickerSQL, []any{k.id}, &version)) != nil {
		return
	}
	version++
	s.epoch.register(k).start(version)
	change := func() error { return s.exec(deleteFlickerSQL, k.id) }
	if version%2 == 0 {
		change = func() error { return s.exec(insertFlickerSQL, k.id, version, mark) }
	}
	if change() != nil || s.exec(writeLedgerSQL, k.id, version) != nil || s.exec("COMMIT") != nil {
		return
	}
	s.committed(reading{key: k, version: version, mark: mark})
}

// transfer moves one unit between two accounts, and sometimes the account that
// gives to another branch.
func (s *session) transfer() {
	from, to := s.random.IntN(accountCount), s.random.IntN(accountCount-1)
	if to >= from {
		to++
	}
	var locked int
	if s.exec("BEGIN") != nil || s.failedUnlessClosed(s.one(lockAccountsSQL, []any{from, to}, &locked)) != nil {
		return
	}
	if locked != 2 { // one of them was just being moved
		_ = s.exec("ROLLBACK") // counted where it failed
		return
	}
	var err error
	if s.random.IntN(3) == 0 {
		err = s.moveAccount(from, to)
	} else {
		err = s.exec(transferSQL, from, to)
	}
	before := s.epoch.total.acknowledged()
	if err != nil || s.exec("COMMIT") != nil {
		return
	}
	at := time.Now()
	if s.world.epoch.Load() != s.epoch {
		return
	}
	// Its own commit comes after those that were acknowledged before it was sent.
	s.memory.wrote[key{total, 0}] = before + 1
	s.epoch.total.acknowledgeOne(at)
	s.world.tally.wrote()
	if s.connected() && s.random.IntN(10) < 5 {
		s.readTotal()
	}
}

// moveAccount deletes the account that gives and inserts it into another branch.
func (s *session) moveAccount(from, to int) error {
	var branch, balance, version int
	if err := s.failedUnlessClosed(s.one(moveAccountSQL, []any{from}, &branch, &balance, &version)); err != nil {
		return err
	}
	if err := s.exec(insertAccountSQL, from, (branch+1)%branchCount, balance-1, version+1); err != nil {
		return err
	}
	return s.exec(giveAccountSQL, to)
}

// startWriters starts the writers: two on every sidecar and two on PostgreSQL
// itself.
func (w *world) startWriters(ctx context.Context, start func(func())) {
	const each = 2
	clients := each * (w.options.Sidecars + 1)
	pace := time.Duration(clients) * time.Second / time.Duration(w.options.WritesPerSecond)
	number := firstWriter
	for door := direct; door < w.options.Sidecars; door++ {
		for range each {
			l := levelSession
			if door == direct {
				l = levelDirect
			}
			s := w.newSession("writer", number, door, l, protocol(number)%protocols)
			number++
			start(func() { w.writer(ctx, s, pace) })
		}
	}
}

// Sessions draw from generators of their own, told apart by their numbers.
const (
	firstWriter    = 1000
	firstCausal    = 2000
	firstLinear    = 3000
	firstCompanion = 4000
	firstPooled    = 5000
	firstSwitcher  = 6000
	firstShaped    = 7000
	firstProgram   = 8000
)
