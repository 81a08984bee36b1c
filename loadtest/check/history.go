package check

import (
	"sort"
	"time"
)

const (
	// historyAge is how long acknowledgements are remembered: far longer than any
	// bound. One older than that is kept, to say what was required back then.
	historyAge = 20 * time.Second
	// historyMax bounds the acknowledgements remembered for one register. Beyond
	// it the oldest are forgotten: less is then required of a read, never more.
	historyMax = 4096
)

// ack says that a version was known to be committed at a moment. mark names the
// write that made it, 0 if that is not known.
type ack struct {
	version int64
	mark    int64
	at      time.Time
}

// history is what was acknowledged of one register, ascending in version and
// in time. It begins with what was there at the start.
type history struct {
	acks []ack
}

// add notes an acknowledgement. One that is overtaken by a higher version says
// nothing new: the higher version includes it.
func (h *history) add(version, mark int64, at time.Time) {
	if n := len(h.acks); n > 0 {
		last := h.acks[n-1]
		if version <= last.version {
			return
		}
		if at.Before(last.at) {
			at = last.at // later is safe: less is required
		}
	}
	h.acks = append(h.acks, ack{version, mark, at})
	h.forget(at)
}

// forget drops what is too old or too much.
func (h *history) forget(now time.Time) {
	if len(h.acks) < 2*historyMax && (len(h.acks) < 64 || now.Sub(h.acks[len(h.acks)/2].at) < historyAge) {
		return // seldom, and then half of it at a time
	}
	from := max(0, len(h.acks)-historyMax)
	for from < len(h.acks)-1 && now.Sub(h.acks[from+1].at) > historyAge {
		from++
	}
	h.acks = append(h.acks[:0], h.acks[from:]...)
}

// newest is the highest version acknowledged.
func (h *history) newest() int64 {
	if len(h.acks) == 0 {
		return 0
	}
	return h.acks[len(h.acks)-1].version
}

// requiredAt is the highest version that was acknowledged at or before a
// moment; 0 if that was before anything is remembered.
func (h *history) requiredAt(moment time.Time) int64 {
	after := sort.Search(len(h.acks), func(i int) bool { return h.acks[i].at.After(moment) })
	if after == 0 {
		return 0
	}
	return h.acks[after-1].version
}

// markOf is the mark of the write that made a version, 0 if that is not known.
func (h *history) markOf(version int64) int64 {
	i := sort.Search(len(h.acks), func(i int) bool { return h.acks[i].version >= version })
	if i == len(h.acks) || h.acks[i].version != version {
		return 0
	}
	return h.acks[i].mark
}

// age is for how long, at a moment, a version had been out of date: since a
// higher one was acknowledged. It is 0 for one that was not.
func (h *history) age(version int64, moment time.Time) time.Duration {
	next := sort.Search(len(h.acks), func(i int) bool { return h.acks[i].version > version })
	if next == len(h.acks) {
		return 0
	}
	return max(0, moment.Sub(h.acks[next].at))
}
