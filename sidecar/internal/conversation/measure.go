package conversation

import (
	"sync/atomic"

	"github.com/freshet/freshet/cache/fence"
)

// Measure says what the time counts as that a unit takes.
type Measure struct {
	// Arrived is when the client had sent it.
	Arrived fence.Instant
	// As is handed back with what was measured.
	As int
	// Spent are added how many nanoseconds Postgres took, but for those that are nil.
	Spent [2]*atomic.Int64
	// Note is handed back, too.
	Note any
}

// Measured is how long a unit took.
type Measured struct {
	Measure
	// Sent is when Postgres was sent it, Ended when its last answer came. Failed is set if
	// one of the answers was an error.
	Sent, Ended fence.Instant
	Failed      bool
}

// Measure has the unit measured that is sent next.
func (c *Conversation) Measure(m Measure) { c.measure = m }

// MeasuredLocked is what there is to know of the latest unit that Ended.
func (c *Conversation) MeasuredLocked() Measured { return c.measured }

// measureLocked takes the time of a unit that ended at a moment.
func (c *Conversation) measureLocked(due *Expectation, failed bool, now fence.Instant) News {
	took := now.Sub(due.sent)
	if due.timing != nil && !failed {
		due.timing.Note(took)
	}
	if due.measure.Arrived == 0 {
		return 0
	}
	for _, spent := range due.measure.Spent {
		if spent != nil {
			spent.Add(int64(took))
		}
	}
	c.measured = Measured{Measure: due.measure, Sent: due.sent, Ended: now, Failed: failed}
	return Ended
}
