package invalidation

import (
	"sync"

	"github.com/freshet/freshet/cache/fence"
)

// headsMax bounds the heads that are remembered with their positions. Beyond it
// every second one of the older half is forgotten: what a lagging standby has
// reached is then known less exactly, and its loads get an older label than they
// deserve.
const headsMax = 512

// heads remembers where the server's log was after each head's snapshot was
// taken. A standby that has replayed the log up to there shows everything that
// the head includes, because a commit is visible only after it was logged.
type heads struct {
	mu    sync.Mutex
	token string // of the incarnation, as standbys can read it
	items []placedHead
}

// placedHead is a head and a position of the log not before any commit that it
// includes.
type placedHead struct {
	head     *fence.Head
	position uint64
}

// note adds a head that the fence holds already. reset says that the fence
// trusts nothing older.
func (h *heads) note(head *fence.Head, position uint64, token string, reset bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.token = token
	if reset {
		h.items = nil
	}
	if n := len(h.items); n > 0 {
		last := &h.items[n-1]
		switch {
		case last.head.Snapshot.Includes(head.Snapshot):
			return // it includes as much, and needs less of the log
		case last.position == position:
			last.head = head
			return
		}
	}
	if len(h.items) == headsMax {
		h.thin()
	}
	h.items = append(h.items, placedHead{head, position})
}

func (h *heads) thin() {
	kept := h.items[:0]
	for i, item := range h.items {
		if i >= headsMax/2 || i%2 == 0 {
			kept = append(kept, item)
		}
	}
	h.items = kept
}

// at returns the newest head that needs no more of the log than position, and
// the token of its incarnation; nil if none is remembered.
func (h *heads) at(position uint64) (*fence.Head, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := len(h.items) - 1; i >= 0; i-- {
		if h.items[i].position <= position {
			return h.items[i].head, h.token
		}
	}
	return nil, h.token
}

// current returns the token of the incarnation that is followed, "" before the
// first look.
func (h *heads) current() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.token
}

// HeadAt returns the newest head that a standby of this server includes once it
// has replayed the log up to position (pg_last_wal_replay_lsn, in bytes). It is
// of the present incarnation and not older than the fence's floor. It reports
// false if the standby is too far behind for what is remembered. That the
// standby follows this server, and not another one whose log looks alike, the
// caller must know: see Standby.
func (f *Follower) HeadAt(position uint64) (*fence.Head, bool) {
	head, _ := f.heads.at(position)
	return head, head != nil
}
