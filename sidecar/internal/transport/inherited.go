package transport

import (
	"fmt"
	"net"
	"os"
)

// Inherited are listeners that somebody else has opened: the process whose place this
// one takes, or a service manager.
type Inherited struct {
	// Client is the socket at its usual path, nil if this process makes it. Lock is its
	// lock, of the process before or taken by this one already, nil if it is to be taken.
	Client net.Listener
	Lock   *os.File
	// TCP is nil if this process listens by itself.
	TCP net.Listener
}

// Adopt is ListenUnix for a socket that was inherited: its permissions are left as they
// are, and its path stays when it is closed. That is a service manager's, or of the process
// before, unless this one takes its place and calls Own.
func Adopt(dir string, port int, i Inherited) (*Socket, error) {
	path := SocketPath(dir, port)
	if at := i.Client.Addr().String(); at != path {
		return nil, fmt.Errorf("listen on %s: the socket that was handed to this process is %s: let --socket-dir and --port name it", path, at)
	}
	s := &Socket{Path: path, Listener: i.Client, lock: i.Lock}
	s.Keep()
	if s.lock != nil {
		return s, nil
	}
	var err error
	if s.lock, err = lockBeside(path); err != nil {
		return nil, err
	}
	return s, nil
}

// Close lets go of what nobody adopted.
func (i Inherited) Close() {
	for _, l := range []net.Listener{i.Client, i.TCP} {
		if l != nil {
			l.Close()
		}
	}
	if i.Lock != nil {
		i.Lock.Close()
	}
}

// Keep has the path stay when the socket is closed, because others listen on it.
func (s *Socket) Keep() { s.unlinkOnClose(false) }

// Own has the path go when the socket is closed: this process has the place of the one
// before, and no other has it.
//
//  1. a new process adopts the socket of an old one, which serves;
//  2. the new one is told to end before it serves, and closes the socket;
//  3. the path is still there for who connects to the old one (TestHandover).
//
// So it is called when the old one has been told.
func (s *Socket) Own() {
	s.ours = true
	s.unlinkOnClose(true)
}

// Lend has the path stay when the socket is closed, as long as another process has a copy of
// it, and TakeBack ends that.
func (s *Socket) Lend() { s.unlinkOnClose(false) }

// TakeBack has the path go when the socket is closed, unless it is a service manager's.
func (s *Socket) TakeBack() { s.unlinkOnClose(s.ours) }

func (s *Socket) unlinkOnClose(unlink bool) {
	if l, ok := s.Listener.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(unlink)
	}
}

// Files are copies of the socket and of its lock, for a process that takes over.
func (s *Socket) Files() (listener, lock *os.File, err error) {
	l, ok := s.Listener.(*net.UnixListener)
	if !ok {
		return nil, nil, fmt.Errorf("hand over: %T is no Unix socket", s.Listener)
	}
	if listener, err = l.File(); err != nil {
		return nil, nil, fmt.Errorf("hand over the socket: %w", err)
	}
	if lock, err = copyFile(s.lock); err != nil {
		listener.Close()
		return nil, nil, fmt.Errorf("hand over the lock: %w", err)
	}
	return listener, lock, nil
}
