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

// certainReplica says whether a load was made on the replica that is vouched for, once that
// is certain.
func (d *database) certainReplica(start engine.Start) func(fence.Instant) bool {
	return func(loaded fence.Instant) bool { return d.cache.ConfirmReplica(d.background, d.replica, start, loaded) }
}
