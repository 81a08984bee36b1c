package wire

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"sync"
	"time"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

const (
	// drainDefault is Options.Drain when it is 0.
	drainDefault = 5 * time.Second
	// drainTick is how often sessions are looked at while they are ended.
	drainTick = 10 * time.Millisecond
	// cancelledWaitMax is how long Postgres may take to end what is cancelled because it
	// outlived the drain.
	cancelledWaitMax = 2 * time.Second
	// quietMin is how long a session is idle before it is ended when another process has
	// taken this one's place. Pools look whether a connection lives that they have not
	// used for a second, and take another one; one that they use all the time would fail
	// under a statement.
	quietMin = 2 * time.Second
	// goodbyeWaitMax is how long a client that does not read may hold up the end.
	goodbyeWaitMax = 10 * time.Millisecond
)

// Leave is called before Run is told to end because another process accepts clients on
// the same sockets: clients are given the whole of Options.Drain to leave, and their
// socket stays where it is.
func (s *Server) Leave() {
	s.socket.Keep()
	s.left.Store(true)
}

// Own is called when the process whose sockets this one has inherited has left them to it.
func (s *Server) Own() { s.socket.Own() }

// TakeBack is called when a process is gone that Files were given to, and that serves not.
func (s *Server) TakeBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.socket.TakeBack()
	}
}

// Files are copies of what is listened on, and of the socket's lock, for a process that
// takes over: the socket's path stays for it, until TakeBack is called. The caller closes
// them. Who ends has none to give: the number of a descriptor that is closed meanwhile would
// be that of another one.
func (s *Server) Files() (map[string]*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, net.ErrClosed
	}
	s.socket.Lend()
	client, lock, err := s.socket.Files()
	if err != nil {
		return nil, err
	}
	files := map[string]*os.File{"client": client, "lock": lock}
	if len(s.listeners) > 1 {
		if tcp, ok := s.listeners[1].(*net.TCPListener); ok {
			if files["tcp"], err = tcp.File(); err != nil {
				client.Close()
				lock.Close()
				return nil, err
			}
		}
	}
	return files, nil
}

// drain stops accepting, ends idle sessions at once (see Leave for when not) and the
// others when they have their answer. What outlives the time for that is cancelled.
func (s *Server) drain() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.stopListening()
	defer s.stop() // and so hangs up
	var done = make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	quiet := time.Duration(0)
	if s.left.Load() {
		quiet = quietMin
	}
	if s.endWithin(time.Duration(s.drainFor.Load()), quiet, done) {
		return
	}
	s.logger.Warn("cancelling what clients still wait for", "clients", s.clients())
	s.cancelAll()
	if s.endWithin(cancelledWaitMax, 0, done) {
		return
	}
	s.logger.Warn("closing clients that were still busy", "clients", s.clients())
	s.stop()
	<-done
}

// endWithin ends sessions that have been idle for some time. It reports whether all
// ended within a time.
func (s *Server) endWithin(limit, quiet time.Duration, done <-chan struct{}) bool {
	patience := time.NewTimer(limit)
	defer patience.Stop()
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	for {
		now := time.Now()
		s.eachSession(func(c *session) { c.endIfIdle(now, quiet) })
		select {
		case <-done:
			return true
		case <-tick.C:
		case <-patience.C:
			return false
		}
	}
}

// cancelAll asks Postgres to cancel what sessions wait for: it would run on there for
// nobody.
func (s *Server) cancelAll() {
	var keys []cancelKey
	s.eachSession(func(c *session) { keys = append(keys, c.cancel) })
	ctx, cancel := context.WithTimeout(s.background, cancelledWaitMax)
	defer cancel()
	var asked sync.WaitGroup
	gate := make(chan struct{}, cancelsAtOnce)
	for _, key := range keys {
		if key.processID() == 0 {
			continue
		}
		gate <- struct{}{}
		asked.Go(func() {
			defer func() { <-gate }()
			s.passCancel(ctx, cancelRequest(key))
		})
	}
	asked.Wait()
}

// cancelsAtOnce bounds the connections that cancelAll has open.
const cancelsAtOnce = 16

// cancelRequest is what a client with this key would send.
func cancelRequest(key cancelKey) []byte {
	const code = 80877102
	request := binary.BigEndian.AppendUint32(nil, uint32(8+len(key)))
	return append(binary.BigEndian.AppendUint32(request, code), key...)
}

var shutdownResponse = protocol.ErrorResponse("FATAL", "57P01", "terminating connection because the cache's sidecar is shutting down",
	"Connect again when it is back, or to Postgres itself.")

// quietness is since when a session has been told nothing. It is guarded by writeMu.
type quietness struct {
	writes uint64
	since  time.Time
}

// endIfIdle ends a session to which nothing is owed, and which was told nothing for
// some time.
func (s *session) endIfIdle(now time.Time, quiet time.Duration) {
	if !s.writeMu.TryLock() {
		return // it is being written to, perhaps for long
	}
	defer s.writeMu.Unlock()
	s.talk.Lock()
	defer s.talk.Unlock()
	if writes := s.client.Writes(); s.quiet.since.IsZero() || s.quiet.writes != writes {
		s.quiet = quietness{writes, now}
	}
	if !s.isIdleLocked() || now.Sub(s.quiet.since) < quiet {
		return
	}
	_ = s.client.SetWriteDeadline(time.Now().Add(goodbyeWaitMax))
	_, _ = s.client.Write(shutdownResponse) // the client may be gone
	s.client.HangUp()
}
