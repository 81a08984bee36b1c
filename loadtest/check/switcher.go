package check

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// switcher is a pooled connection: whoever has it sets what the next one does not know
// of, and uses statements that others have prepared. It knows what each of them means
// from the order of its own calls alone.
type switcher struct {
	*session
	// on is the connection of which the following is known.
	on     *pgx.Conn
	values [constantCount]int // of the settings
	// parsed are the statements, by name, with what they meant when they were parsed.
	parsed map[string]meaning
}

func (w *world) newSwitcher(number, door int, l level) *switcher {
	return &switcher{session: w.newSession("switcher", number, door, l, prepared)}
}

// begin gives the settings of a new connection values that are known, and prepares what
// switches them. It reports whether the connection can be used.
func (s *switcher) begin() bool {
	if s.on == s.conn {
		return s.conn != nil
	}
	s.on, s.parsed = s.conn, map[string]meaning{}
	// A warning that a constant is an unusual one is not what is looked at here.
	_ = s.query("SET escape_string_warning = off") // counted, and the connection is gone
	for i, c := range constants {
		s.set(meaning{i, 0})
		for value := range c.values {
			_, _ = s.obtain(parse(c.setter(value), c.set(value))) // as above
		}
	}
	return s.conn != nil
}

// query runs a statement as a Query, which ends the unnamed statement.
func (s *switcher) query(sql string) error {
	delete(s.parsed, "")
	return s.exec(sql)
}

// set gives the setting of a constant a value, in a Query.
func (s *switcher) set(m meaning) {
	if s.query(constants[m.constant].set(m.value)) == nil {
		s.values[m.constant] = m.value
	}
}

// setPrepared is set by a statement with a name, which leaves the unnamed one alone.
func (s *switcher) setPrepared(m meaning) {
	if _, err := s.obtain(bind(constants[m.constant].setter(m.value)), executePortal()); err == nil {
		s.values[m.constant] = m.value
	}
}

// now is what a constant means that is parsed now.
func (s *switcher) now(constant int) meaning { return meaning{constant, s.values[constant]} }

// parse prepares the statement of a constant, in place of the one of that name, and has
// it described or not.
func (s *switcher) parse(name string, constant int, described bool) {
	messages := []pgproto3.FrontendMessage{parse(name, constants[constant].sql)}
	if name != "" {
		messages = []pgproto3.FrontendMessage{forget(name), messages[0]}
	}
	if described {
		messages = append(messages, describe(name))
	}
	if _, err := s.obtain(messages...); err == nil {
		s.parsed[name] = s.now(constant)
	}
}

// use executes a statement, if one of that name was parsed before.
func (s *switcher) use(name string) {
	if m, known := s.parsed[name]; known {
		s.readMeant(m, bind(name), executePortal())
	}
}

// once parses and executes a statement in one group.
func (s *switcher) once(constant int) {
	s.parsed[""] = s.now(constant)
	s.readMeant(s.parsed[""], parse("", constants[constant].sql), bind(""), describePortal(), executePortal())
}

// readMeant sends what reads the row of a meaning, and judges what is read. How old
// another row may be is not asked.
func (s *switcher) readMeant(m meaning, messages ...pgproto3.FrontendMessage) {
	q := s.ask(m.key())
	got, err := s.obtain(messages...)
	if err != nil {
		return
	}
	r, one := meantReading(got.rows)
	right := one && r.key == m.key()
	v := s.answer(q)
	if right {
		v = s.answer(q, r)
	}
	v.check(AsParsed, right, "%d rows, %v, of a statement that was parsed under %v, which is %v", len(got.rows), r, m, m.key())
	v.count()
}

// meantReading is the row that a statement of a constant gives; ok is false if it is not
// one.
func meantReading(rows [][][]byte) (r reading, ok bool) {
	if len(rows) != 1 {
		return reading{key: key{meant, 0}}, false
	}
	id, version, mark := rows[0][0], rows[0][1], rows[0][2]
	return reading{
		key:     key{meant, int(binary.BigEndian.Uint32(id))},
		version: int64(binary.BigEndian.Uint64(version)), mark: int64(binary.BigEndian.Uint64(mark)),
	}, true
}

// turn lets somebody use the connection who may switch a setting, and leaves it as it is.
func (s *switcher) turn() {
	constant := s.random.IntN(constantCount)
	name := constants[constant].setting
	switch n := s.random.IntN(10); {
	case n < 3: // prepared under one value, executed under whatever it is by now
		if _, known := s.parsed[name]; !known || s.random.IntN(4) == 0 {
			s.parse(name, constant, s.random.IntN(2) == 0)
		}
		s.maySwitch(constant)
		s.use(name)
		s.use(name)
	case n < 6: // parsed in one group, bound in another
		s.parse("", constant, s.random.IntN(4) > 0)
		s.maySwitch(constant)
		s.use("")
	case n < 7:
		s.inTransaction(constant, name)
	default:
		s.maySwitch(constant)
		s.once(constant)
	}
}

// switchEach is how many times somebody may switch a setting for once that he does; with
// the fault he always does.
const switchEach = 6

// maySwitch gives the setting of a constant the other value, or not.
func (s *switcher) maySwitch(constant int) {
	if s.world.switching.Load() || s.random.IntN(switchEach) == 0 {
		s.setPrepared(meaning{constant, meanings - 1 - s.values[constant]})
	}
}

// inTransaction switches a setting for the length of a transaction, and may parse in it
// what is used behind it, too.
func (s *switcher) inTransaction(constant int, name string) {
	before, c := s.values[constant], constants[constant]
	m := meaning{constant, s.random.IntN(meanings)}
	if s.query("BEGIN") != nil || s.query("SET LOCAL "+c.setting+" = "+c.values[m.value]) != nil {
		return
	}
	s.values[constant] = m.value
	s.use(name)
	if s.random.IntN(2) == 0 {
		s.parse(name, constant, s.random.IntN(2) == 0)
	}
	if s.query(blockEnds[s.random.IntN(len(blockEnds))]) == nil {
		s.values[constant] = before
		s.use(name)
	}
}

// run takes turns until ctx ends.
func (s *switcher) run(ctx context.Context, pace time.Duration) {
	s.turns(ctx, pace, 20, switcherTurnsMax, func() {
		if s.begin() {
			s.turn()
		}
	})
}

const (
	// switcherTurnsMax bounds the turns of one connection.
	switcherTurnsMax = 200
	switcherPace     = 40 * time.Millisecond
)

// startSwitchers starts two pooled connections at every sidecar, of different levels, and
// one at PostgreSQL itself.
func (w *world) startSwitchers(ctx context.Context, start func(func())) {
	number := firstSwitcher
	begin := func(door int, l level) {
		s := w.newSwitcher(number, door, l)
		number++
		start(func() { s.run(ctx, switcherPace) })
	}
	begin(direct, levelDirect)
	for door := range w.options.Sidecars {
		begin(door, levelSession)
		begin(door, levelStrong)
	}
}

// switchSettings has the callers of all pools switch what constants are read by, at every
// turn.
func switchSettings(ctx context.Context, w *world, random *rand.Rand) error {
	w.switching.Store(true)
	defer w.switching.Store(false)
	pause(ctx, between(random, 500*time.Millisecond, time.Second))
	return nil
}
