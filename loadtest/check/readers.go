package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// sharedTextLife is how long readers use one text for a read that nobody made
// before: the first of them misses, the others find what it loaded.
const sharedTextLife = 40 * time.Millisecond

// sessionReadsMax bounds the reads of one connection, so that new ones come.
const sessionReadsMax = 1500

// reader reads until ctx ends.
func (w *world) reader(ctx context.Context, s *session, pace time.Duration) {
	s.turns(ctx, pace, 100, sessionReadsMax, func() {
		if s.random.IntN(100) < blockShare {
			s.readInBlock()
		} else {
			s.readSomething()
		}
	})
}

// blockShare is how many of a hundred turns of a reader are transactions, as
// drivers make them that begin one before every read.
const blockShare = 15

// readInBlock makes a few reads in a transaction.
func (s *session) readInBlock() {
	begin := blockBegins[s.random.IntN(len(blockBegins))]
	began := time.Now()
	if s.exec(begin) != nil {
		return
	}
	if s.random.IntN(3) == 0 && s.exec(relayedReadSQL) != nil {
		return
	}
	if s.level != levelBounded && begin != beginReadOnly {
		s.block = began
	}
	for range 1 + s.random.IntN(3) {
		if s.connected() {
			s.readSomething()
		}
	}
	s.block = time.Time{}
	if s.connected() {
		_ = s.exec(blockEnds[s.random.IntN(len(blockEnds))]) // counted, and a new connection is made
	}
}

const beginReadOnly = "BEGIN READ ONLY"

// relayedReadSQL has PostgreSQL begin the transaction that it is in.
const relayedReadSQL = "SELECT random() >= 0"

var (
	blockBegins = []string{"BEGIN", "START TRANSACTION ISOLATION LEVEL READ COMMITTED", beginReadOnly}
	blockEnds   = []string{"COMMIT", "ROLLBACK"}
)

// readSomething makes one read or a few that belong together. Errors are counted
// where they happen.
func (s *session) readSomething() {
	switch n := s.random.IntN(100); {
	case n < 38:
		s.readRow(key{row, s.hot(sharedRows)})
	case n < 44:
		s.readRow(key{row, sharedRows + s.random.IntN(longRows)})
	case n < 56:
		s.readRowAnew(key{row, s.hot(sharedRows)})
	case n < 60:
		s.readRowsOf(s.hot(sharedRows), s.random.IntN(sharedRows), s.random.IntN(sharedRows))
	case n < 62:
		s.readAllRows()
	case n < 78:
		s.readHalves()
	case n < 83:
		s.readPair()
	case n < 90:
		s.readFlicker(key{flicker, s.hot(flickerCount)})
	case n < 96:
		s.readTotal()
	default:
		s.readBranches()
	}
}

// hot chooses one of n, low ones far oftener.
func (s *session) hot(n int) int {
	f := s.random.Float64()
	return int(f * f * f * float64(n))
}

const (
	readRowSQL      = `SELECT version, mark FROM registers WHERE id = $1`
	readRowAnewSQL  = `SELECT version, mark, $2::int8 FROM registers WHERE id = $1`
	readRowsSQL     = `SELECT id, version, mark FROM registers WHERE id IN ($1, $2, $3)`
	readAllSQL      = `SELECT id, version, mark FROM registers ORDER BY id`
	readPairSQL     = `SELECT l.version, l.mark, r.version, r.mark FROM lefts l JOIN rights r ON r.id = l.id WHERE l.id = $1`
	readFlickerSQL  = `SELECT version, mark FROM flickers WHERE id = $1`
	readTotalSQL    = `SELECT sum(balance), sum(version), count(*) FROM accounts`
	readBranchesSQL = `SELECT branch, sum(balance), sum(version), count(*) FROM accounts GROUP BY branch ORDER BY branch`
)

// readHalfSQL reads one half of a pair, and readHalfAnewSQL does in a text that
// few have used before.
var (
	readHalfSQL = map[kind]string{
		left: `SELECT version, mark FROM lefts WHERE id = $1`, right: `SELECT version, mark FROM rights WHERE id = $1`,
	}
	readHalfAnewSQL = map[kind]string{
		left: `SELECT version, mark, $2::int8 FROM lefts WHERE id = $1`, right: `SELECT version, mark, $2::int8 FROM rights WHERE id = $1`,
	}
)

// sharedText is a number that all readers use for a while.
func sharedText() int64 { return time.Now().UnixMilli() / sharedTextLife.Milliseconds() }

// readRow reads one row, and is how writers look for what they wrote.
func (s *session) readRow(k key) {
	s.readOne(k, readRowSQL, k.id)
}

func (s *session) readRowAnew(k key) {
	s.readOneAnew(k, readRowAnewSQL, sharedText())
}

// readOne reads the version and the mark of a key.
func (s *session) readOne(k key, sql string, arguments ...any) {
	q := s.ask(k)
	r := reading{key: k}
	err := s.one(sql, arguments, &r.version, &r.mark)
	s.judgeOne(q, r, err)
}

// readOneAnew is readOne in a text that holds a number.
func (s *session) readOneAnew(k key, sql string, text int64) {
	q := s.ask(k)
	r := reading{key: k}
	err := s.one(sql, []any{k.id, text}, &r.version, &r.mark, &text)
	s.judgeOne(q, r, err)
}

// judgeOne judges the read of a row that every state of the database has.
func (s *session) judgeOne(q question, r reading, err error) {
	switch {
	case err == nil:
		s.answer(q, r).count()
	case errors.Is(err, pgx.ErrNoRows):
		v := s.answer(q)
		v.check(Atomic, false, "%v has no row", r.key)
		v.count()
	}
}

// readHalves reads the halves of a pair one after the other.
func (s *session) readHalves() {
	id := s.hot(pairCount)
	first, second := key{left, id}, key{right, id}
	if s.random.IntN(2) == 0 {
		first, second = second, first
	}
	if s.random.IntN(2) == 0 {
		s.readOneAnew(first, readHalfAnewSQL[first.kind], sharedText())
	} else {
		s.readOne(first, readHalfSQL[first.kind], id)
	}
	if s.connected() {
		s.readOne(second, readHalfSQL[second.kind], id)
	}
}

// readRowsOf reads up to three rows with one statement.
func (s *session) readRowsOf(a, b, c int) {
	s.readMany([]int{a, b, c}, readRowsSQL, a, b, c)
}

func (s *session) readAllRows() {
	ids := make([]int, rowCount)
	for i := range ids {
		ids[i] = i
	}
	s.readMany(ids, readAllSQL)
}

// readMany reads rows by their ids, which may be given more than once.
func (s *session) readMany(ids []int, sql string, arguments ...any) {
	var keys []key
	at := map[int]int{}
	for _, id := range ids {
		if _, known := at[id]; !known {
			at[id] = len(keys)
			keys = append(keys, key{row, id})
		}
	}
	q := s.ask(keys...)
	got := make([]reading, len(keys))
	count, strangers := 0, 0
	var id int
	var version, mark int64
	err := s.rows(sql, arguments, []any{&id, &version, &mark}, func() {
		i, known := at[id]
		if !known {
			strangers++
			return
		}
		count++
		got[i] = reading{key: keys[i], version: version, mark: mark}
	})
	if err != nil {
		return
	}
	complete := count == len(keys) && strangers == 0
	if !complete {
		got, q.keys = nil, nil
	}
	v := s.answer(q, got...)
	v.check(Atomic, complete, "%d rows of %d asked for, and %d others", count, len(keys), strangers)
	v.count()
}

// readPair reads both halves with one statement.
func (s *session) readPair() {
	id := s.hot(pairCount)
	q := s.ask(key{left, id}, key{right, id})
	l, r := reading{key: key{left, id}}, reading{key: key{right, id}}
	err := s.one(readPairSQL, []any{id}, &l.version, &l.mark, &r.version, &r.mark)
	if err != nil {
		s.judgeOne(q, l, err)
		return
	}
	// One statement has no first and second: the halves are compared for equality.
	v := s.answer(q, l, r)
	v.check(Atomic, l.version == r.version && l.mark == r.mark, "%v and %v in one result", l, r)
	v.count()
}

// readFlicker reads a row that may be deleted.
func (s *session) readFlicker(k key) {
	q := s.ask(k)
	r := reading{key: k}
	err := s.one(readFlickerSQL, []any{k.id}, &r.version, &r.mark)
	if errors.Is(err, pgx.ErrNoRows) {
		r.absent, err = true, nil
	}
	if err != nil {
		return
	}
	v := s.answer(q, r)
	v.check(Atomic, r.absent || r.version%2 == 0, "%v, where a row has even versions only", r)
	v.count()
}

// readTotal reads the sum over the accounts, which never changes.
func (s *session) readTotal() {
	q := s.ask(key{total, 0})
	var balance, versions, count int64
	if s.one(readTotalSQL, nil, &balance, &versions, &count) != nil {
		return
	}
	s.judgeTotal(q, balance, versions, count)
}

// readBranches reads the sums by branch.
func (s *session) readBranches() {
	q := s.ask(key{total, 0})
	var balance, versions, count int64
	var branch int
	var b, v, c int64
	if s.rows(readBranchesSQL, nil, []any{&branch, &b, &v, &c}, func() {
		balance, versions, count = balance+b, versions+v, count+c
	}) == nil {
		s.judgeTotal(q, balance, versions, count)
	}
}

// judgeTotal judges the sums of one result. Every transfer moves the versions
// of two accounts by one each.
func (s *session) judgeTotal(q question, balance, versions, count int64) {
	whole := balance == accountCount*balanceEach && count == accountCount && versions%2 == 0
	r := reading{key: key{total, 0}, version: versions / 2}
	v := s.answer(q, r)
	v.check(Atomic, whole, "%d accounts with %d in all and %d versions, of %d with %d", count, balance, versions, accountCount, accountCount*balanceEach)
	v.count()
}

// shorterShare is the bound that some readers set for themselves, in hundredths
// of the sidecars'. Sidecars look every fifth of theirs, so it can be had.
const shorterShare = 50

// startReaders starts the readers: on every sidecar one of each level, the
// default one twice, and two on PostgreSQL itself.
func (w *world) startReaders(ctx context.Context, start func(func())) {
	levels := []level{levelSession, levelBounded, levelStrong, levelSession}
	clients := len(levels)*w.options.Sidecars + 2
	pace := time.Duration(clients) * time.Second / time.Duration(w.options.ReadsPerSecond)
	number := 0
	begin := func(door int, l level) {
		s := w.newSession("reader", number, door, l, protocol(number)%protocols)
		if l != levelStrong && number%2 == 1 {
			s.bound = w.options.Bound * shorterShare / 100
		}
		number++
		start(func() { w.reader(ctx, s, pace) })
	}
	for door := range w.options.Sidecars {
		for _, l := range levels {
			begin(door, l)
		}
	}
	begin(direct, levelDirect)
	begin(direct, levelDirect)
}

// String describes the mix, for the log.
func (w *world) String() string {
	return fmt.Sprintf("%d sidecars, %d reads and %d writes a second, bound %v, seed %d",
		w.options.Sidecars, w.options.ReadsPerSecond, w.options.WritesPerSecond, w.options.Bound, w.options.Seed)
}
