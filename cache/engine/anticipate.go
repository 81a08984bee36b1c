package engine

import (
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// anticipatePause is the least time between two looks that are made before somebody
// waits for them, whoever they are for: at most 500 a second. Who needs one in between
// waits for it, together with all others.
const anticipatePause = 2 * time.Millisecond

// anticipation remembers when such a look was asked for last.
type anticipation struct{ asked atomic.Int64 }

// Anticipate says that session s was just shown what the newest head may lack, a load's
// answer for instance, so that its next read from the cache needs a look. It asks for
// that look at once, and waits for nothing, if such reads tend to follow and no look
// began just now. The promises do not depend on it: Prove waits for what is missing.
func (c *Cache) Anticipate(s *fence.Session) {
	if s.Ahead() {
		c.anticipate()
	}
}

// AnticipateRead is Anticipate where session s was shown nothing, and its next read needs a
// look all the same: it says nothing of reads that did not follow before.
func (c *Cache) AnticipateRead(s *fence.Session) {
	if s.Demands() {
		c.anticipate()
	}
}

// anticipate asks for a look, unless one was asked for just now.
func (c *Cache) anticipate() {
	if c.options.Wake == nil {
		return
	}
	now := fence.Now()
	asked := c.anticipation.asked.Load()
	if now.Sub(max(fence.Instant(asked), c.fence.LookBegan())) < anticipatePause {
		return
	}
	if c.anticipation.asked.CompareAndSwap(asked, int64(now)) {
		c.options.Wake()
	}
}
