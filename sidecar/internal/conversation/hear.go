package conversation

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// Action is what becomes of a message of Postgres on its way to the client.
type Action uint8

// What becomes of a message.
const (
	Forward Action = iota // the client gets it as it is
	Hide                  // it answers something of the sidecar's own
	Replace               // the client gets Heard.Instead in its place
)

// News is what the session is to do about a message of Postgres, while it still holds the
// lock: before anybody can see that the message was heard.
type News uint8

// What there may be to do; several together are their sum.
const (
	// Notified: the client is told of what somebody has committed.
	Notified News = 1 << iota
	// Failed: the client is told of an error.
	Failed
	// Captured: the answers that CapturedLocked returns have ended.
	Captured
	// LookupFailed: a question that went along with a load was refused.
	LookupFailed
	// Ended: a unit has ended that is measured, and MeasuredLocked tells how long it took.
	Ended
)

// Heard is what one message of Postgres means.
type Heard struct {
	Action Action
	News   News
	// Capture, unless nil, is what the message is to be added to.
	Capture *answer.Capture
	// Instead is what the client gets in the place of the message, if Action is Replace.
	Instead []byte
}

// HearLocked takes in one message of Postgres, and says what it means. body may be cut
// off if the message is long. The transaction status in a ReadyForQuery becomes the one
// that the client is to be told of.
func (c *Conversation) HearLocked(kind byte, body []byte) Heard {
	due := c.pending.head()
	switch kind {
	case 'N':
		return c.hearNoticeLocked(due)
	case 'A':
		return Heard{News: Notified}
	case 'S':
		// A setting changed, perhaps by a reload of the configuration: before the rows
		// that are coming, and after the probe that their key is made of.
		c.group.noticed = true
		c.soilLocked()
		return Heard{}
	case 'E':
		return c.hearErrorLocked(due, body)
	}
	if due == nil {
		c.mistrusted = true
		return Heard{}
	}
	if due.opens {
		c.hearOpeningLocked(due, kind)
		return Heard{Action: Hide}
	}
	h := Heard{Capture: due.Capture}
	if due.Hidden && !c.group.unopened {
		h.Action = Hide
	}
	switch kind {
	case 'Z':
		h.Capture = nil
		h.News = c.hearReadyLocked(due, body)
	case '1':
		if due.Kind == Parse {
			due.Prepared.Accepted.Store(true)
			due.noteMeaning()
		}
		c.finishLocked(due, Parse)
	case '2':
		due.noteMeaning()
		c.finishLocked(due, Bind)
	case '3':
		c.finishLocked(due, Close)
	case 't':
		c.params = append(c.params[:0], body...)
	case 'T', 'n':
		if due.Kind == Describe {
			c.hearDescriptionLocked(due, kind, body)
		}
	case 'D':
		if due.row {
			c.group.row = append([]byte(nil), body...)
			if due.rows {
				c.group.rows = append(c.group.rows, c.group.row)
			}
		}
	case 'C', 'I', 's':
		c.hearExecutedLocked(due, kind, body)
	case 'G', 'W', 'H':
		if kind == 'G' {
			c.copyInLocked()
		}
		h.Capture.SpoilIfAny()
	case 'd', 'c', 'V':
		h.Capture.SpoilIfAny()
	default:
		c.mistrusted = true
	}
	return h
}

// CapturedLocked returns the captures that have ended, each with an answer or spoiled. They
// are the caller's, who clears the slice, until the next message is heard.
func (c *Conversation) CapturedLocked() []*answer.Capture { return c.captured }

// ReadsDueLocked reports whether the answer that is due is read here, and not only passed
// on: it is to be heard as a whole.
func (c *Conversation) ReadsDueLocked() bool {
	due := c.pending.head()
	return due != nil && (due.row || due.Kind == Describe || due.Instead != nil)
}

// hearNoticeLocked takes in a NoticeResponse.
func (c *Conversation) hearNoticeLocked(due *Expectation) Heard {
	c.group.noticed = true
	if due == nil {
		return Heard{}
	}
	c.writtenLocked(due, false)
	if due.Prepared != nil {
		due.Prepared.Noticed.Store(true)
	}
	if due.hides() {
		return Heard{Action: Hide}
	}
	return Heard{}
}

// hearErrorLocked takes in an ErrorResponse. One that ends the connection is for the
// client, whoever asked.
func (c *Conversation) hearErrorLocked(due *Expectation, body []byte) Heard {
	c.writtenLocked(due, false)
	switch {
	case protocol.EndsConnection(body):
		c.left.Store(true)
		return Heard{}
	case due == nil:
		return Heard{}
	}
	c.group.failed = true
	h := Heard{Action: Hide}
	if !due.hides() {
		c.group.unopened = due.opens
		h = Heard{News: Failed, Instead: due.Instead}
		if h.Instead != nil {
			h.Action = Replace
		}
	} else if due.found != nil {
		h.News = LookupFailed
	}
	c.failLocked(due)
	return h
}

// finishLocked takes the due answer off the queue if it is of the kind that came.
func (c *Conversation) finishLocked(due *Expectation, kind Kind) {
	if due.Kind != kind {
		c.mistrusted = true
		return
	}
	c.pending.pop()
}

// hearDescriptionLocked ends a Describe. The description of a statement is an answer of
// its own; that of a portal belongs to the execution that follows.
func (c *Conversation) hearDescriptionLocked(due *Expectation, kind byte, body []byte) {
	due.noteDescription(kind, body, c.params)
	if loading := due.Capture; loading != nil && due.Statement {
		loading.EndDescription()
		c.group.captures = append(c.group.captures, loading)
	}
	c.pending.pop()
}

// hearExecutedLocked ends an Execute, or one statement of a simple query.
func (c *Conversation) hearExecutedLocked(due *Expectation, kind byte, tag []byte) {
	if kind == 'C' && !due.Named && endsStatements(tag) {
		c.namesDoubtful.Store(true)
	}
	if kind == 'C' && loadsLibrary(tag) {
		c.loaded.Store(true)
	}
	if kind == 'C' && concernsRoles(tag) {
		c.written.Roles = true
	}
	if kind == 'C' && due.Done != nil && !c.group.noticed {
		due.Done()
	}
	captured := due.Capture != nil && due.Capture.End(kind)
	c.writtenLocked(due, false)
	switch due.Kind {
	case Execute:
		if captured {
			c.group.captures = append(c.group.captures, due.Capture)
		}
		c.pending.pop()
	case Query:
	default:
		c.mistrusted = true
	}
}

// hearReadyLocked ends a unit.
func (c *Conversation) hearReadyLocked(due *Expectation, body []byte) News {
	if !due.endsUnit() || len(body) != 1 {
		c.mistrusted = true
		return 0
	}
	c.status = body[0]
	c.writtenLocked(due, c.status == protocol.StatusIdle)
	c.tellStatusLocked(due, body)
	group := c.group
	c.group = answeredGroup{captures: group.captures[:0]}
	if due.found != nil {
		if group.failed {
			group.row = nil
		}
		due.found(group.row)
		c.pending.pop()
		return 0
	}
	if due.row {
		c.asking = false
		if !group.failed {
			c.row = group.row
		}
		if !group.failed && !group.noticed {
			c.rows = group.rows
		}
		c.pending.pop()
		return 0
	}
	told := c.hearUnitLocked(due, group)
	over := due.Over
	c.pending.pop()
	if over != nil {
		over()
	}
	return told
}

// tellStatusLocked makes the status in a ReadyForQuery that of the client's transaction,
// where that is not the one that Postgres knows of.
func (c *Conversation) tellStatusLocked(due *Expectation, body []byte) {
	if due.InBlock {
		c.blockFailed = c.group.failed
		body[0] = protocol.StatusInBlock
		if c.blockFailed {
			body[0] = protocol.StatusFailed
		}
	}
	if c.group.unopened {
		c.notOpenedLocked()
		body[0] = protocol.StatusFailed
	}
}

// hearUnitLocked takes in what the answers to a unit of the client's were.
func (c *Conversation) hearUnitLocked(due *Expectation, group answeredGroup) (told News) {
	now := fence.Now() // Postgres had ended it before
	if due.Capture != nil {
		group.captures = append(group.captures, due.Capture)
	}
	if len(group.captures) > 0 {
		for _, loading := range group.captures {
			if group.failed || group.noticed || c.status != protocol.StatusIdle && !c.hasOnlyReadLocked() {
				loading.Spoil()
			}
		}
		c.captured = group.captures
		told = Captured
	} else if !due.Hidden && !due.ShowsNothing {
		c.shownBy = now
	}
	switch {
	case !due.Harmless || group.harmful:
		c.soilLocked()
	case !c.written.Nothing():
		c.changes++ // of rows alone
	}
	if c.status == protocol.StatusIdle {
		c.disturbed = false
	}
	if due.sent != 0 {
		told |= c.measureLocked(due, group.failed, now)
	}
	return told
}
