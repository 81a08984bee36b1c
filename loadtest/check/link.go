package check

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// upstreamPort is the port in the name of a link's socket.
const upstreamPort = 5432

// followerName is in the start-up message of the connections with which a
// sidecar follows the database: it is their application_name.
const followerName = "freshet follower"

// class tells the connections of one sidecar apart.
type class uint8

const (
	clientClass class = 1 << iota
	followerClass
	everyClass = clientClass | followerClass
)

// direction is a way that bytes go through a pipe.
type direction uint8

const (
	questions direction = 1 << iota
	answers
	bothWays = questions | answers
)

// link stands between one sidecar and PostgreSQL. It passes bytes on, unless it
// is told to hold, to delay, to swallow or to cut them, and can be turned to
// another server. Its methods may be called concurrently.
type link struct {
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	moved  sync.Cond // something below changed
	target string    // path of a server's socket
	pipes  map[*pipe]struct{}
	// held is the class of which no new connection is passed on.
	held   class
	closed bool
}

// pipe is one connection through a link. The fields are guarded by the link.
type pipe struct {
	link             *link
	client, upstream net.Conn
	class            class
	frozen           direction
	// waits are the ways in which bytes have arrived that are not passed on yet.
	waits direction
	// released lets the answer that waits pass, and no other.
	released bool
	// late is how long after their arrival answers are passed on.
	late     time.Duration
	swallows bool
}

// socketPath is where libpq looks for a server.
func socketPath(dir string, port int) string {
	return filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(port))
}

// newLink listens in a directory, for connections to the server of a socket.
func newLink(dir, target string) (*link, error) {
	listener, err := net.Listen("unix", socketPath(dir, upstreamPort))
	if err != nil {
		return nil, fmt.Errorf("make a link: %w", err)
	}
	l := &link{listener: listener, target: target, pipes: map[*pipe]struct{}{}}
	l.moved.L = &l.mu
	l.running.Go(l.accept)
	return l, nil
}

func (l *link) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.running.Go(func() { l.serve(client) })
	}
}

// close cuts everything and waits for the end.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.listener.Close()
	l.cut(everyClass, 1, nil)
	l.running.Wait()
}

// startupMax bounds a start-up message, as PostgreSQL does.
const startupMax = 10000

// readStartup reads the first message, which has no type.
func readStartup(from io.Reader) ([]byte, error) {
	length := make([]byte, 4)
	if _, err := io.ReadFull(from, length); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length)
	if n < 8 || n > startupMax {
		return nil, errors.New("read start-up message: impossible length")
	}
	message := append(length, make([]byte, n-4)...)
	_, err := io.ReadFull(from, message[4:])
	return message, err
}

// serve passes one connection on.
func (l *link) serve(client net.Conn) {
	defer client.Close()
	p := &pipe{link: l, client: client, class: clientClass}
	// From here on a cut reaches it, even while the first message is awaited.
	if !l.enter(p) {
		return
	}
	defer l.leave(p)
	startup, err := readStartup(client)
	if err != nil {
		return
	}
	l.mu.Lock()
	if bytes.Contains(startup, []byte(followerName)) {
		p.class = followerClass
	}
	for l.held&p.class != 0 && !l.closed {
		l.moved.Wait()
	}
	target := l.target
	l.mu.Unlock()
	upstream, err := net.Dial("unix", target)
	if err != nil {
		return
	}
	defer upstream.Close()
	l.mu.Lock()
	p.upstream = upstream
	alive := !l.closed && l.target == target
	l.mu.Unlock()
	if !alive {
		return
	}
	if _, err := upstream.Write(startup); err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { p.pass(client, upstream, answers) })
	p.pass(upstream, client, questions)
	back.Wait()
}

func (l *link) enter(p *pipe) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.pipes[p] = struct{}{}
	return true
}

func (l *link) leave(p *pipe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pipes, p)
}

// pass copies in one direction until either end is gone, and then ends the other
// direction too.
func (p *pipe) pass(to, from net.Conn, way direction) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && p.mayPass(way) {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// mayPass waits while the pipe is frozen that way, or until what has just arrived
// is late enough, and reports whether the pipe passes on what it is given.
func (p *pipe) mayPass(way direction) bool {
	p.link.mu.Lock()
	defer p.link.mu.Unlock()
	early := false
	if way == answers && p.late > 0 {
		early = true
		alarm := time.AfterFunc(p.late, func() {
			p.link.mu.Lock()
			defer p.link.mu.Unlock()
			early = false
			p.link.moved.Broadcast()
		})
		defer alarm.Stop()
	}
	for (p.frozenLocked(way) || early && p.late > 0) && !p.link.closed {
		if p.waits&way == 0 {
			p.waits |= way
			p.link.moved.Broadcast()
		}
		p.link.moved.Wait()
	}
	p.waits &^= way
	if way == answers {
		p.released = false
	}
	return !p.swallows
}

func (p *pipe) frozenLocked(way direction) bool {
	return p.frozen&way != 0 && !(way == answers && p.released)
}

// each calls do for a share of the pipes of a class, nil for all of them.
func (l *link) each(c class, share float64, random *rand.Rand, do func(*pipe)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.pipes {
		if p.class&c != 0 && (random == nil || random.Float64() < share) {
			do(p)
		}
	}
	l.moved.Broadcast()
}

// freeze holds the bytes of a share of the connections that go a way.
func (l *link) freeze(c class, way direction, share float64, random *rand.Rand) {
	l.each(c, share, random, func(p *pipe) { p.frozen = way })
}

// delay passes answers on only that long after they arrived, on all connections
// of a class. Who asks and waits, as followers do, gets each answer that late.
func (l *link) delay(c class, late time.Duration) {
	l.each(c, 1, nil, func(p *pipe) { p.late = late })
}

// thaw lets all bytes go on, at once again.
func (l *link) thaw() { l.thawClass(everyClass) }

// thawClass is thaw for the connections of a class.
func (l *link) thawClass(c class) { l.each(c, 1, nil, (*pipe).thawLocked) }

// thawLocked undoes freeze and delay; link.mu is held.
func (p *pipe) thawLocked() { p.frozen, p.late, p.released = 0, 0, false }

// awaitAnswer waits until an answer is being held on a connection that is wanted, and
// returns the connection: the server has done what was asked there.
func (l *link) awaitAnswer(ctx context.Context, wanted func(*pipe) bool) (*pipe, error) {
	defer context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.moved.Broadcast()
	})()
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for p := range l.pipes {
			if p.waits&answers != 0 && wanted(p) {
				return p, nil
			}
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("wait for an answer of PostgreSQL: %w", ctx.Err())
		}
		l.moved.Wait()
	}
}

// of wants the connections of a class.
func of(c class) func(*pipe) bool { return func(p *pipe) bool { return p.class&c != 0 } }

// awaitNext passes on the answer that is being held on a connection, waits until
// the next one is, and returns then.
func (l *link) awaitNext(ctx context.Context, p *pipe) error {
	l.mu.Lock()
	p.released = p.waits&answers != 0
	p.waits &^= answers
	l.moved.Broadcast()
	l.mu.Unlock()
	_, err := l.awaitAnswer(ctx, func(other *pipe) bool { return other == p })
	return err
}

// swallow loses all further bytes of a share of the connections.
func (l *link) swallow(c class, share float64, random *rand.Rand) {
	l.each(c, share, random, func(p *pipe) { p.swallows = true })
}

// cut closes a share of the connections.
func (l *link) cut(c class, share float64, random *rand.Rand) {
	l.each(c, share, random, (*pipe).endLocked)
}

// endLocked closes both ends; link.mu is held.
func (p *pipe) endLocked() {
	p.thawLocked()
	p.client.Close()
	if p.upstream != nil {
		p.upstream.Close()
	}
}

// cutSwallowing closes the connections that lose bytes.
func (l *link) cutSwallowing() {
	l.each(everyClass, 1, nil, func(p *pipe) {
		if p.swallows {
			p.endLocked()
		}
	})
}

// hold keeps new connections of a class waiting; 0 lets all go on.
func (l *link) hold(c class) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = c
	l.moved.Broadcast()
}

// turn leads new connections to another server.
func (l *link) turn(target string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = target
}
