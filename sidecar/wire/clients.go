package wire

import (
	"cmp"
	"slices"
	"time"
)

// ClientGroup are the clients of one database that came as one role.
type ClientGroup struct {
	Database, Role string
	// Each client is counted once: Waiting for an answer, Blocked in a transaction with
	// nothing to wait for, or Idle.
	Waiting, Blocked, Idle int
	// Oldest is how long ago the first of them has connected.
	Oldest time.Duration
}

// Clients counts those of the group.
func (g *ClientGroup) Clients() int { return g.Waiting + g.Blocked + g.Idle }

// Clients groups the clients that have connected, those first of which there are most.
func (s *Server) Clients() []ClientGroup {
	now := time.Now()
	type name struct{ database, role string }
	groups := map[name]*ClientGroup{}
	s.sessions.each(func(c *session) {
		of := name{c.database, c.role}
		g := groups[of]
		if g == nil {
			g = &ClientGroup{Database: of.database, Role: of.role}
			groups[of] = g
		}
		switch waits, blocked := c.talk.Doing(); {
		case waits || c.cancels.waits():
			g.Waiting++
		case blocked:
			g.Blocked++
		default:
			g.Idle++
		}
		g.Oldest = max(g.Oldest, now.Sub(c.began))
	})
	all := make([]ClientGroup, 0, len(groups))
	for _, g := range groups {
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b ClientGroup) int {
		return cmp.Or(cmp.Compare(b.Clients(), a.Clients()), cmp.Compare(a.Database, b.Database), cmp.Compare(a.Role, b.Role))
	})
	return all
}
