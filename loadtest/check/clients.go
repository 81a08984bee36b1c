package check

import (
	"math/rand/v2"
	"sync"

	"github.com/jackc/pgx/v5"
)

// clients are the connections that are open, for faults to cut.
type clients struct {
	mu   sync.Mutex
	open map[*pgx.Conn]struct{}
}

func (c *clients) add(conn *pgx.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[*pgx.Conn]struct{}{}
	}
	c.open[conn] = struct{}{}
}

func (c *clients) remove(conn *pgx.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

// cut closes a share of the connections under their users, all of them without
// a generator.
func (c *clients) cut(share float64, random *rand.Rand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		if random == nil || random.Float64() < share {
			_ = conn.PgConn().Conn().Close() // its user finds out
		}
	}
}
