package wire

import (
	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
)

// keepingMax bounds the loads that wait until it is certain that they may be kept.
// Beyond it what was loaded reaches its client and is not kept.
const keepingMax = 256

// keep stores an entry once it is certain that it may be kept. Who reads from Postgres
// must not wait for it. The session that calls it is counted in running until it
// returns.
func (s *Server) keep(entry *engine.Entry, certain func(fence.Instant) bool, loaded fence.Instant, flight *engine.Flight) {
	finish := func(e *engine.Entry) {
		if flight != nil {
			flight.Finish(e)
		}
	}
	select {
	case s.keepings <- struct{}{}:
	default:
		finish(nil)
		return
	}
	s.running.Go(func() {
		defer func() { <-s.keepings }()
		if !certain(loaded) {
			finish(nil)
			return
		}
		s.cache.Store(entry)
		finish(entry)
	})
}
