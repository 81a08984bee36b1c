package transport

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lostEndAfter is how late the end of a connection may be found that came
// together with its last bytes.
const lostEndAfter = 100 * time.Millisecond

// LostEnds finds the ends of connections that their receivers have missed. A
// receiver that reads until its socket is drained, and does not ask for more,
// can miss one:
//
//  1. the peer sends its last bytes and closes, or shuts down its sending side;
//  2. the poller reports both as one edge;
//  3. the receiver reads the bytes, less than it had room for, and waits;
//  4. nothing will ever happen on this connection again.
//
// So a receiver that waits in that way is noted, at no cost if it already is, and
// a while later its socket is looked at once. If there is anything to read, its
// receiver is woken: the end, or bytes, which a socket may also leave behind
// where a file descriptor came with those before them. Nothing is done for
// connections on which nothing has happened since the last look. Forced by
// TestLostEnd.
type LostEnds struct {
	wake chan struct{} // holds an element when the list stopped being empty

	mu    sync.Mutex
	noted []*Stream

	// What follows belongs to run.

	looking []*Stream
	asked   [1]unix.PollFd
	ask     func(fd uintptr)
}

// NewLostEnds returns a list that looks once it is Run.
func NewLostEnds() *LostEnds {
	w := &LostEnds{wake: make(chan struct{}, 1)}
	w.ask = func(fd uintptr) {
		w.asked[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		if n, err := unix.Poll(w.asked[:], 0); n <= 0 || err != nil {
			w.asked[0].Revents = 0
		}
	}
	return w
}

// note has a stream looked at whose receiver is about to wait.
func (w *LostEnds) note(s *Stream) {
	if s.noted.Load() {
		return
	}
	s.noted.Store(true)
	w.mu.Lock()
	w.noted = append(w.noted, s)
	first := len(w.noted) == 1
	w.mu.Unlock()
	if first {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// run looks at what is noted until ctx ends.
func (w *LostEnds) Run(ctx context.Context) {
	pause := time.NewTimer(lostEndAfter)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		pause.Reset(lostEndAfter)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		w.look()
	}
}

// look wakes the receivers that have something to read.
//
// A stream leaves the list before it is looked at. The other way round its
// receiver could read between the two, find itself noted still, and wait for an
// end that was not there when it was looked for.
func (w *LostEnds) look() {
	w.mu.Lock()
	w.looking, w.noted = w.noted, w.looking[:0]
	w.mu.Unlock()
	for _, s := range w.looking {
		s.noted.Store(false)
		if s.raw.Control(w.ask) == nil && w.asked[0].Revents != 0 {
			_ = s.SetReadDeadline(time.Unix(1, 0)) // fails if the connection is closed
		}
	}
	clear(w.looking) // a closed one need not be kept
}
