package wire

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// What a client does.
const (
	ClientWaiting = "waiting"        // for an answer
	ClientBlocked = "in_transaction" // with nothing to wait for
	ClientIdle    = "idle"
)

// doing is what the client of the session does.
func (s *session) doing() string {
	switch waits, blocked := s.talk.Doing(); {
	case waits || s.cancels.waits():
		return ClientWaiting
	case blocked:
		return ClientBlocked
	default:
		return ClientIdle
	}
}

// applicationMax bounds what is told of a client's name for itself, in bytes.
const applicationMax = 64

// Client is one client that has connected. PID is Postgres' process for it.
type Client struct {
	PID                         uint32
	Database, Role, Application string
	// State is what it does.
	State string
	Since time.Time
}

// EachClient lists clients, those first that have been connected for longest, at most as
// many as limit.
func (s *Server) EachClient(limit int) []Client {
	var all []Client
	s.sessions.each(func(c *session) {
		application := c.application
		if len(application) > applicationMax {
			application = strings.ToValidUTF8(application[:applicationMax], "")
		}
		all = append(all, Client{c.cancel.processID(), c.database, c.role, application, c.doing(), c.began})
	})
	slices.SortFunc(all, func(a, b Client) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.PID, b.PID)) })
	return all[:min(len(all), limit)]
}

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
		switch c.doing() {
		case ClientWaiting:
			g.Waiting++
		case ClientBlocked:
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
