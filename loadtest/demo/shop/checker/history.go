package checker

import (
	"slices"
	"sort"
	"time"
)

const (
	// historyKept is how far back a key's acknowledgements are remembered. A read
	// that began longer ago cannot be judged.
	historyKept = time.Minute
	// historyMax bounds a key's remembered acknowledgements; beyond it the oldest
	// are forgotten, and reads that would need them are not judged.
	historyMax = 4096
)

// acknowledgement says: at this moment it was known that the version is
// committed.
type acknowledgement struct {
	version int64
	at      time.Time
}

// history holds one key's acknowledgements, ascending in version and in time.
type history struct {
	known []acknowledgement
	// forgot says that earlier ones existed.
	forgot bool
}

// acknowledge adds one. Writers of one key may report in another order than they
// committed: a version implies all lower ones, so a later report of a lower
// version says nothing new, and an earlier one of a higher version replaces what
// it implies.
func (h *history) acknowledge(version int64, at time.Time) {
	end := sort.Search(len(h.known), func(i int) bool { return h.known[i].version >= version })
	begin := end
	if end < len(h.known) {
		if !h.known[end].at.After(at) {
			return
		}
		if h.known[end].version == version {
			end++
		}
	}
	for begin > 0 && !h.known[begin-1].at.Before(at) {
		begin--
	}
	h.known = slices.Replace(h.known, begin, end, acknowledgement{version, at})
	h.prune(at)
}

// prune forgets what no read that can still be judged needs: the newest
// acknowledgement that is older than historyKept stays.
func (h *history) prune(now time.Time) {
	drop := max(0, len(h.known)-historyMax)
	for drop+1 < len(h.known) && now.Sub(h.known[drop+1].at) > historyKept {
		drop++
	}
	if drop > 0 {
		h.known = slices.Delete(h.known, 0, drop)
		h.forgot = true
	}
}

// at returns the highest version that was acknowledged by the moment; false if
// that is no longer known.
func (h *history) at(moment time.Time) (version int64, known bool) {
	i := sort.Search(len(h.known), func(i int) bool { return h.known[i].at.After(moment) })
	if i == 0 {
		return 0, !h.forgot
	}
	return h.known[i-1].version, true
}

// supersededAt returns when a higher version was first acknowledged; false if
// none was.
func (h *history) supersededAt(version int64) (time.Time, bool) {
	i := sort.Search(len(h.known), func(i int) bool { return h.known[i].version > version })
	if i == len(h.known) {
		return time.Time{}, false
	}
	return h.known[i].at, true
}
