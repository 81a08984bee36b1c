package check

import (
	"fmt"

	"github.com/freshet/freshet/loadtest/library"
)

// libraryScripts are about what a program in Go is promised that uses the library.
var libraryScripts = []Script{
	{Name: "a process reads on after what it was shown", bound: longBound, sidecars: 1, play: readOnInProcess},
	{Name: "a process reads what it wrote", bound: longBound, sidecars: 1, play: readOwnInProcess},
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
