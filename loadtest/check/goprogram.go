package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/freshet/freshet/loadtest/library"
	"github.com/freshet/freshet/loadtest/servers"
)

// goProgram is a program in Go that reads and writes through the library. It shares Redis
// with the sidecars and reaches PostgreSQL through a link, as they do. Its clients are
// sessions of one process, each for as long as another's connection lasts.
type goProgram struct {
	world *world
	door  int // behind those of the sidecars

	mu sync.Mutex
	// running was started in epoch; both are nil before the first client comes.
	running *library.Program
	epoch   *epoch
	// hits are those of the runs that have ended, and wrapped those of them that were of
	// wrapped functions.
	hits, wrapped uint64
}

// errEpochOver keeps a pool from connecting to the database of another epoch: a write that
// was called in one must not be committed in the next (see epoch, 3).
var errEpochOver = errors.New("the database has lost commits since the pool was opened")

// newGoProgram makes a program with its link. Its first client starts it.
func (w *world) newGoProgram(number int) (*goProgram, error) {
	p := &goProgram{world: w, door: w.options.Sidecars + number}
	if err := os.Mkdir(w.fleet.linkDir(p.door), 0o700); err != nil {
		return nil, fmt.Errorf("create a directory for a socket: %w", err)
	}
	link, err := newLink(w.fleet.linkDir(p.door), w.fleet.primarySocket())
	if err != nil {
		return nil, err
	}
	w.fleet.links = append(w.fleet.links, link)
	return p, nil
}

// dsn leads through the program's link.
func (p *goProgram) dsn(user string) string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s", p.world.fleet.linkDir(p.door), upstreamPort, user, database)
}

// in returns the program as it runs in an epoch: connections of another are given up.
func (p *goProgram) in(ctx context.Context, e *epoch) (*library.Program, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil && p.epoch == e {
		return p.running, nil
	}
	p.endLocked()
	running, err := library.Start(ctx, library.Options{
		Pool: p.dsn("postgres"), Follow: p.dsn(servers.Follower), Redis: p.world.fleet.redis.URL(),
		Staleness: p.world.options.Bound, ConnsMax: int32(programClients),
		Connected: func() error {
			if p.world.epoch.Load() != e {
				return errEpochOver
			}
			return nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("start a program in Go: %w", err)
	}
	p.running, p.epoch = running, e
	return running, nil
}

// end ends the program for good.
func (p *goProgram) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLocked()
}

func (p *goProgram) endLocked() {
	if p.running != nil {
		hits, wrapped := p.running.Hits()
		p.hits, p.wrapped = p.hits+hits, p.wrapped+wrapped
		p.running.Close()
		p.running, p.epoch = nil, nil
	}
}

// join begins the session of a client.
func (p *goProgram) join(ctx context.Context, s *session, e *epoch) (*library.Session, error) {
	running, err := p.in(ctx, e)
	if err != nil {
		return nil, err
	}
	staleness := s.bound
	if staleness == s.world.options.Bound {
		staleness = 0
	}
	return running.Session(s.way, s.level.String(), staleness), nil
}

const (
	// programsInGo is how many programs in Go there are, and programClients how many
	// clients each has: of each level one for each way to read.
	programsInGo   = 2
	programClients = len(programLevels) * int(library.Every+1)
	// programPace is how often each client takes a turn.
	programPace = 25 * time.Millisecond
)

// programLevels are the levels of the clients.
var programLevels = [...]level{levelSession, levelBounded, levelStrong}

// startPrograms starts the programs: their clients read, and some write and read back.
func (w *world) startPrograms(ctx context.Context, start func(func())) error {
	number := firstProgram
	for i := range programsInGo {
		p, err := w.newGoProgram(i)
		if err != nil {
			return err
		}
		w.programs = append(w.programs, p)
		for client := range programClients {
			s := w.newSession("program", number, p.door, programLevels[client%len(programLevels)], prepared)
			s.program, s.way = p, library.Way(client/len(programLevels))
			s.name = fmt.Sprintf("client %d of program %d in Go, %v, through %v", client, i, s.level, s.way)
			if client == len(programLevels) {
				s.bound = w.options.Bound * shorterShare / 100
			}
			number++
			start(func() { w.programClient(ctx, s) })
		}
	}
	return nil
}

// writesOfTen is how many of ten turns of a client of the session level are writes.
const writesOfTen = 2

// programClient reads, and writes, until ctx ends.
func (w *world) programClient(ctx context.Context, s *session) {
	s.turns(ctx, programPace, 20, sessionWritesMax, func() {
		if s.level != levelSession || s.random.IntN(10) >= writesOfTen {
			s.readSomething()
			return
		}
		w.hold.RLock()
		defer w.hold.RUnlock()
		if s.ready(ctx) {
			s.writeOne(key{row, s.hot(sharedRows)}, writeRowSQL)
		}
	})
}

// endPrograms ends the programs, and notes what they answered from memory: where that is
// nothing, they have shown nothing.
func (w *world) endPrograms() {
	for _, p := range w.programs {
		p.end()
		w.tally.note(noteInGo, int64(p.hits))
		w.tally.note(noteWrapped, int64(p.wrapped))
	}
}
