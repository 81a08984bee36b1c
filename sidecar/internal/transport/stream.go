package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Stream is a connection of a session, to its client or to Postgres. One
// goroutine receives, one at a time writes, any may hang up.
//
// A socket of Linux is read until it is drained and written to without handing
// the processor to another thread around each system call, which is most of what
// a relay costs. Three things are relied on. Reads and writes do not block: Go
// puts every socket into non-blocking mode. Readiness is edge-triggered, and
// Go's poller remembers an edge that comes while nobody waits; it forgets edges
// when RawConn.Read begins, so one such call spans the whole life of a receiver.
// And a stream socket that gave less than there was room for had no more: what
// comes later is a new edge (epoll(7) says both). The end of a connection is the
// exception; see LostEnds. Everything else, TLS above all, is read and written as
// usual.
type Stream struct {
	net.Conn
	raw  syscall.RawConn // nil: as usual
	ends *LostEnds
	// noted is set while ends has this stream on its list.
	noted atomic.Bool
	// gone is set when somebody has hung up.
	gone atomic.Bool

	// The fields down here belong to who writes. writeStep is made once, so that a
	// write allocates nothing.
	writeStep func(fd uintptr) bool
	writes    uint64
	unsent    []byte
	sent      int
}

// NewStream makes a stream of a connection. ends is run by somebody as long as the
// stream is received from.
func NewStream(conn net.Conn, ends *LostEnds) *Stream {
	s := &Stream{Conn: conn, ends: ends}
	if !readsUntilDrained {
		return s
	}
	switch socket := conn.(type) {
	case *net.UnixConn:
		s.raw, _ = socket.SyscallConn() // fails only for no socket at all
	case *net.TCPConn:
		s.raw, _ = socket.SyscallConn()
	}
	s.writeStep = s.tryWrite
	return s
}

// Deal deals with what a buffer holds, and leaves room in it. It reports
// whether more is certain to come, or the end: then that is looked for at once.
type Deal func() (more bool, err error)

// Receive reads into a buffer and has deal look at it, first at what it holds
// already. It ends with the connection, or with an error of deal.
//
// Within deal nobody may read the stream or close it: both would wait for deal to
// return. Who wants it to end hangs up.
func (s *Stream) Receive(in *Buffer, deal Deal) error {
	if _, err := deal(); err != nil {
		return err
	}
	if s.raw != nil {
		return s.receiveDrained(in, deal)
	}
	for {
		err := in.Fill()
		if s.gone.Load() {
			return net.ErrClosed
		}
		if err != nil {
			return err
		}
		if _, err := deal(); err != nil {
			return err
		}
	}
}

// receiveDrained is receive for a socket.
func (s *Stream) receiveDrained(in *Buffer, deal Deal) error {
	var ended error
	step := func(fd uintptr) (done bool) {
		done, ended = s.readUntilDrained(int(fd), in, deal)
		return done
	}
	for {
		err := s.raw.Read(step)
		switch {
		case err == nil:
			return ended
		case s.gone.Load() || !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
		// Woken by LostEnds: the next call reads before it waits.
		if err := s.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
	}
}

// readUntilDrained reads and deals until there is nothing to read for now, or,
// if done, for ever.
func (s *Stream) readUntilDrained(fd int, in *Buffer, deal Deal) (done bool, ended error) {
	for {
		room, err := in.room()
		if err != nil {
			return true, err
		}
		n, err := readFD(fd, room)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false, nil
		case err != nil:
			return true, os.NewSyscallError("read", err)
		case s.gone.Load():
			return true, net.ErrClosed // the end that HangUp made is not the peer's
		case n == 0:
			return true, io.EOF
		}
		in.end += n
		more, err := deal()
		if err != nil {
			return true, err
		}
		if n < len(room) && !more {
			s.ends.note(s)
			return false, nil
		}
	}
}

// Write writes all of b.
func (s *Stream) Write(b []byte) (int, error) {
	s.writes++
	n := 0
	if s.raw != nil {
		n = s.writeNow(b)
	}
	if n == len(b) {
		return n, nil
	}
	rest, err := s.Conn.Write(b[n:])
	return n + rest, err
}

// Writes counts the calls of Write. It is for who writes.
func (s *Stream) Writes() uint64 { return s.writes }

// writeNow writes what there is room for. Whatever goes wrong shows again when
// the rest is written as usual.
func (s *Stream) writeNow(b []byte) int {
	s.unsent, s.sent = b, 0
	_ = s.raw.Write(s.writeStep)
	s.unsent = nil
	return s.sent
}

// tryWrite never asks to be called again.
func (s *Stream) tryWrite(fd uintptr) bool {
	if n, err := writeFD(int(fd), s.unsent); err == nil {
		s.sent = n
	}
	return true
}

// Readable reports whether there is anything to read, or the end, without waiting: of an
// encrypted connection, on the socket beneath it.
func (s *Stream) Readable() bool {
	beneath := s.Conn
	if encrypted, ok := beneath.(interface{ NetConn() net.Conn }); ok {
		beneath = encrypted.NetConn()
	}
	socket, ok := beneath.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true // it is closed
	}
	asked := [1]unix.PollFd{{Events: unix.POLLIN}}
	n := 0
	err = raw.Control(func(fd uintptr) {
		asked[0].Fd = int32(fd)
		n, _ = unix.Poll(asked[:], 0) // if it is interrupted, nothing was there
	})
	return err != nil || n > 0
}

// HangUp ends a connection for both sides: who reads it or is blocked in a write
// finds it ended. In contrast to Close it waits for nobody, and the descriptor
// stays until Close.
func (s *Stream) HangUp() {
	s.gone.Store(true)
	socket, ok := s.Conn.(interface {
		CloseRead() error
		CloseWrite() error
	})
	if !ok {
		s.Close()
		return
	}
	_ = socket.CloseRead() // fails if the connection has ended
	_ = socket.CloseWrite()
}
