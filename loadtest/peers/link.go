package main

import (
	"io"
	"net"
	"sync"
)

// link passes connections on to a server, until it is cut.
type link struct {
	listener net.Listener
	network  string
	server   string
	running  sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

// newLink returns a link to a server, "tcp" or "unix", that listens on TCP.
func newLink(network, server string) (*link, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	made := &link{listener: l, network: network, server: server, conns: map[net.Conn]bool{}}
	made.running.Go(made.accept)
	return made, nil
}

func (l *link) address() string { return l.listener.Addr().String() }

func (l *link) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.running.Go(func() { l.pass(conn) })
	}
}

func (l *link) pass(conn net.Conn) {
	defer conn.Close()
	behind, err := net.Dial(l.network, l.server)
	if err != nil || !l.hold(conn, behind) {
		return
	}
	defer l.release(conn, behind)
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		_, _ = io.Copy(conn, behind)
		_ = conn.Close()
	}()
	_, _ = io.Copy(behind, conn)
	_ = behind.Close()
	<-answers
}

// hold reports whether a pair of connections may live.
func (l *link) hold(pair ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range pair {
		if l.cut {
			_ = c.Close()
		} else {
			l.conns[c] = true
		}
	}
	return !l.cut
}

func (l *link) release(pair ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range pair {
		delete(l.conns, c)
		_ = c.Close()
	}
}

// setCut ends every connection, and refuses others until it is told otherwise.
func (l *link) setCut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if cut {
		for c := range l.conns {
			_ = c.Close()
		}
	}
}

func (l *link) close() {
	_ = l.listener.Close()
	l.setCut(true)
	l.running.Wait()
}
