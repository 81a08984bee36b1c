package check

import (
	"fmt"

	"github.com/freshet/freshet/loadtest/library"
)

// libraryScripts are about what a program in Go is promised that uses the library.
var libraryScripts = []Script{
	{Name: "a process reads on after what it was shown", bound: longBound, sidecars: 1, play: readOnInProcess},
	{Name: "a process reads what it wrote", bound: longBound, sidecars: 1, play: readOwnInProcess},
	{Name: "a process reads by other spellings what it wrote", bound: longBound, sidecars: 1, play: readSpelledInProcess},
	{Name: "a connection of the pool is left in another state", bound: longBound, sidecars: 1, play: readStrayedInProcess},
}

// process is a client of a program in Go without a session, which reads in each way in
// turn.
func (st *stage) process() *session {
	p, err := st.newGoProgram(0)
	if err != nil {
		st.fail(err)
		return st.direct()
	}
	st.programs = append(st.programs, p)
	s := st.newSession("program", firstProgram, p.door, levelSession, prepared)
	s.program, s.way, s.name = p, library.Every, fmt.Sprintf("a program in Go, through %v", library.Every)
	st.connected(s)
	return s
}

// cachedEachWay reads keys until each way to read surely answers them from the cache.
func (st *stage) cachedEachWay(s *session, keys ...key) {
	for range library.Every {
		st.cached(s, keys...)
	}
}

// readOnInProcess has a program, which hears of no write, read one half of a pair anew that
// another wrote, and then the other half, which it has in memory.
func readOnInProcess(st *stage) {
	s, writer, pairs := st.process(), st.direct(), keysOf(right, 6)
	st.cachedEachWay(s, pairs...)
	st.deafen(s.door)
	for _, k := range pairs {
		st.write(writer, k)
		st.with(s, func() { s.readOneAnew(key{left, k.id}, readHalfAnewSQL[left], st.anew()) })
		st.read(s, k)
	}
	st.hear(s.door)
}

// readOwnInProcess has a program, which hears of no write, read what it wrote.
func readOwnInProcess(st *stage) {
	s, keys := st.process(), rows(6)
	st.cachedEachWay(s, keys...)
	st.deafen(s.door)
	for _, k := range keys {
		st.with(s, func() { s.writeOne(k, writeRowSQL) })
		st.read(s, k)
	}
	st.hear(s.door)
}

// readSpelledInProcess has a program read what it wrote, again and again, until each way
// answers from memory: by functions too that name the row in another spelling.
func readSpelledInProcess(st *stage) {
	s, keys := st.process(), rows(6)
	st.cachedEachWay(s, keys...)
	for _, k := range keys {
		st.with(s, func() { s.writeOne(k, writeRowSQL) })
		st.cachedEachWay(s, k)
	}
}

// The states of connections that readStrayedInProcess makes: under the first, a name means
// a table as it was.
const (
	pastSQL    = "CREATE SCHEMA past; CREATE TABLE past.registers AS TABLE public.registers"
	enterSQL   = "SET search_path = past, public"
	leaveSQL   = "RESET search_path"
	strayReads = 6
	// strayedSQL reads a row in columns that say of no table where they come from: by that
	// alone, an answer of the wrong table could be told.
	strayedSQL = "SELECT version + 0, mark + 0, $2::int8 FROM registers WHERE id = $1"
)

// readStrayedInProcess has a program read on connections that somebody has left in another
// state, and then, when they are as the pool makes them, the same again: what was read in
// that state must not have been kept.
func readStrayedInProcess(st *stage) {
	s, direct := st.process(), st.direct()
	st.exec(direct, pastSQL)
	for _, k := range rows(strayReads) {
		st.with(s, func() { s.writeOne(k, writeRowSQL) })
		st.cachedEachWay(s, k) // so that what is loaded shows the write
		text := st.anew()
		st.try(func() error {
			running, err := s.program.in(st.ctx, s.epoch)
			if err != nil {
				return err
			}
			return running.ReadStrayed(st.ctx, enterSQL, leaveSQL, strayedSQL, k.id, text)
		})
		for range library.Every {
			st.with(s, func() { s.readOneAnew(k, strayedSQL, text) })
		}
	}
}
