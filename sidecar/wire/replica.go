package wire

import (
	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
)

// Replica vouches for what a hot standby answers. An invalidation.Standby is one.
type Replica interface {
	engine.Replica
	// Serves reports whether a server, by the name that it gives itself
	// (invalidation.StandbyServerSQL), is the standby that is vouched for now.
	Serves(server string) bool
}

// replicaConfirmsMax bounds the loads on a replica that wait to be confirmed.
// Beyond it what was loaded reaches its client and is not kept.
const replicaConfirmsMax = 256

// confirmReplica stores what was loaded on the replica once it is certain where
// that was. Who reads from Postgres must not wait for it. The session that calls
// it is counted in running until it returns.
func (s *Server) confirmReplica(entry *engine.Entry, start engine.Start, end fence.Instant, flight *engine.Flight) {
	finish := func(e *engine.Entry) {
		if flight != nil {
			flight.Finish(e)
		}
	}
	select {
	case s.confirms <- struct{}{}:
	default:
		finish(nil)
		return
	}
	s.running.Go(func() {
		defer func() { <-s.confirms }()
		if !s.cache.ConfirmReplica(s.background, s.replica, start, end) {
			finish(nil)
			return
		}
		s.cache.Store(entry)
		finish(entry)
	})
}
