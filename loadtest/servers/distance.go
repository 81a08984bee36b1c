package servers

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"
)

// Distance stands before a server's Unix socket as a network would: what goes through it,
// there and back, takes longer by a time. It is part of this process.
type Distance struct {
	run      *runDir
	dir      string
	listener net.Listener
	target   string
	half     time.Duration
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// NewDistance puts a distance before a socket. Its own socket has the same name, in another
// directory. The caller must Close it.
func NewDistance(socket string, distance time.Duration) (*Distance, error) {
	run, err := acquireRunDir()
	if err != nil {
		return nil, err
	}
	d := &Distance{run: run, target: socket, half: distance / 2, conns: map[net.Conn]bool{}}
	if d.dir, err = run.newServerDir(); err != nil {
		return nil, errors.Join(err, run.release())
	}
	if d.listener, err = net.Listen("unix", d.SocketPath()); err != nil {
		return nil, errors.Join(fmt.Errorf("make a distance: %w", err), removeTree(d.dir), run.release())
	}
	if err := run.account.own(d.SocketPath()); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.running.Go(d.accept)
	return d, nil
}

// SocketDir is the directory of its socket.
func (d *Distance) SocketDir() string { return d.dir }

// SocketPath is the path of its socket.
func (d *Distance) SocketPath() string { return filepath.Join(d.dir, filepath.Base(d.target)) }

// Close ends all connections and removes the socket. It may be called more than once.
func (d *Distance) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	for c := range d.conns {
		c.Close()
	}
	d.mu.Unlock()
	d.listener.Close()
	d.running.Wait()
	return errors.Join(removeTree(d.dir), d.run.release())
}

func (d *Distance) accept() {
	for {
		client, err := d.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", d.target)
		if err != nil {
			client.Close()
			continue
		}
		d.mu.Lock()
		alive := !d.closed
		d.conns[client], d.conns[server] = true, true
		d.mu.Unlock()
		if !alive {
			client.Close()
			server.Close()
			return
		}
		d.running.Go(func() { d.pass(client, server) })
		d.running.Go(func() { d.pass(server, client) })
	}
}

// underWay are bytes that arrive at a time.
type underWay struct {
	bytes []byte
	at    time.Time
}

// underWayMax is how many pieces may be under way; the sender of more waits.
const underWayMax = 1024

// pass passes on what comes from one connection, each byte half of the distance later, and
// closes the other one behind the last.
func (d *Distance) pass(from, to net.Conn) {
	sent := make(chan underWay, underWayMax)
	d.running.Go(func() { d.deliver(sent, to) })
	defer close(sent)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			sent <- underWay{append([]byte(nil), buffer[:n]...), time.Now().Add(d.half)}
		}
		if err != nil {
			return
		}
	}
}

// deliver writes what is under way when its time has come.
func (d *Distance) deliver(sent <-chan underWay, to net.Conn) {
	defer func() {
		to.Close()
		d.mu.Lock()
		delete(d.conns, to)
		d.mu.Unlock()
	}()
	alarm := NewAlarm()
	defer alarm.Close()
	for w := range sent {
		alarm.SleepUntil(w.at)
		_, _ = to.Write(w.bytes) // whoever has left is noticed by the other way
	}
}
