package wire

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"
)

// SetAllowed changes Options.AllowedUIDs for who connects from now on.
func (s *Server) SetAllowed(uids []uint32) {
	if len(uids) == 0 {
		s.allowed.Store(nil)
		return
	}
	uids = slices.Clone(uids)
	s.allowed.Store(&uids)
}

// stranger says which user the client is, if it is none of those that may connect. Nothing
// tells who comes by TCP: such a client is a stranger wherever there is a list.
func (e *entrance) stranger() (who string, is bool) {
	front := e.server.accepts()
	allowed := front.allowed.Load()
	if allowed == nil {
		return "", false
	}
	uid, err := front.peer(e.client.Conn)
	if err != nil {
		return "whoever this is (" + err.Error() + ")", true
	}
	if slices.Contains(*allowed, uid) {
		return "", false
	}
	number := strconv.FormatUint(uint64(uid), 10)
	if account, err := user.LookupId(number); err == nil {
		return fmt.Sprintf("the operating system user %q", account.Username), true
	}
	return "the operating system user " + number, true
}

// refuseStranger tells a client that its user may not connect.
func (e *entrance) refuseStranger(who string) {
	e.server.counters.countRefused(&e.server.counters.RefusedByUser)
	e.server.logger.Warn("refused a client that allow-uids does not name", "client", who, "role", e.role)
	e.refuseStartup("28000", who+" may not connect to the cache's sidecar", "Name the user in the sidecar's allow-uids, which a reload reads again, or connect to Postgres itself.")
}
