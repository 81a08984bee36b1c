package wire

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// errFault ends a session that has met a fault of the sidecar's own.
var errFault = errors.New("the session has met a fault of the sidecar")

var faultResponse = protocol.ErrorResponse("FATAL", "XX000", "the cache's sidecar has met a fault of its own, and ends this connection",
	"Connect again. The sidecar's log has the details: please report them.")

// contain keeps a panic of one session from ending the process, and with it the
// sessions of all others. It is deferred, and turns the panic into an error.
func (s *session) contain(err *error) {
	fault := recover()
	if fault == nil {
		return
	}
	*err = errFault
	s.server.counters.Panics.Add(1)
	s.server.logger.Error("a session has met a fault of the sidecar: please report it", "panic", fmt.Sprint(fault), "stack", string(debug.Stack()))
	if s.writeMu.TryLock() {
		_ = s.client.SetWriteDeadline(time.Now().Add(goodbyeWaitMax))
		_, _ = s.client.Write(faultResponse) // the client may be gone
		s.writeMu.Unlock()
	}
}

// receiveFromClient deals with what the client sends, until it or the session ends.
func (s *session) receiveFromClient() (err error) {
	defer s.contain(&err)
	return s.client.Receive(&s.in, s.handleHeld)
}

// receiveFromPostgres deals with what Postgres sends, until it or the session ends.
func (s *session) receiveFromPostgres() (err error) {
	defer s.contain(&err)
	return s.up.Receive(&s.relay.in, s.relayHeld)
}

// startContained is start, and reports false if it meets a fault.
func (s *session) startContained() bool {
	var fault error
	defer s.contain(&fault)
	return s.start()
}
