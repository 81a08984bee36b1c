package wire

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// action is what becomes of a message of Postgres on its way to the client.
type action uint8

const (
	forward action = iota // the client gets it as it is
	hide                  // it answers something of the sidecar's own
	replace               // the client gets heard.instead in its place
)

// news is what the session is to do about a message of Postgres, while it still holds
// mu: before anybody can see that the message was heard.
type news uint8

const (
	// newsNotified: the client is told of what somebody has committed.
	newsNotified news = 1 << iota
	// newsFailed: the client is told of an error.
	newsFailed
	// newsCaptured: the answers in conversation.captured are whole.
	newsCaptured
	// newsFound: a question of the sidecar's own was answered with conversation.found.
	newsFound
)

// heard is what one message of Postgres means.
type heard struct {
	action action
	news   news
	// capture, unless nil, is what the message is to be added to.
	capture *answer.Capture
	// instead is what the client gets in the place of the message, if action is replace.
	instead []byte
}

// hearLocked takes in one message of Postgres, and says what it means. body may be cut
// off if the message is long. The transaction status in a ReadyForQuery becomes the one
// that the client is to be told of.
func (c *conversation) hearLocked(kind byte, body []byte) heard {
	due := c.pending.head()
	switch kind {
	case 'N':
		return c.hearNoticeLocked(due)
	case 'A':
		return heard{news: newsNotified}
	case 'S':
		// A setting changed, perhaps by a reload of the configuration: before the rows
		// that are coming, and after the probe that their key is made of.
		c.group.noticed = true
		c.soilLocked()
		return heard{}
	case 'E':
		return c.hearErrorLocked(due, body)
	}
	if due == nil {
		c.mistrusted = true
		return heard{}
	}
	if due.opens {
		c.hearOpeningLocked(due, kind)
		return heard{action: hide}
	}
	h := heard{capture: due.capture}
	if due.hidden && !c.group.unopened {
		h.action = hide
	}
	switch kind {
	case 'Z':
		h.capture = nil
		h.news = c.hearReadyLocked(due, body)
	case '1':
		if due.kind == expectParse {
			due.prepared.Accepted.Store(true)
			due.noteMeaning()
		}
		c.finishLocked(due, expectParse)
	case '2':
		due.noteMeaning()
		c.finishLocked(due, expectBind)
	case '3':
		c.finishLocked(due, expectClose)
	case 't':
		c.params = append(c.params[:0], body...)
	case 'T', 'n':
		if due.kind == expectDescribe {
			c.hearDescriptionLocked(due, kind, body)
		}
	case 'D':
		if due.row {
			c.group.row = append([]byte(nil), body...)
		}
	case 'C', 'I', 's':
		c.hearExecutedLocked(due, kind, body)
	case 'G', 'W', 'H':
		if kind == 'G' {
			c.copyInLocked()
		}
		h.capture.SpoilIfAny()
	case 'd', 'c', 'V':
		h.capture.SpoilIfAny()
	default:
		c.mistrusted = true
	}
	return h
}

// readsDueLocked reports whether the answer that is due is read here, and not only passed
// on: it is to be heard as a whole.
func (c *conversation) readsDueLocked() bool {
	due := c.pending.head()
	return due != nil && (due.row || due.kind == expectDescribe || due.instead != nil)
}

// hearNoticeLocked takes in a NoticeResponse.
func (c *conversation) hearNoticeLocked(due *expect) heard {
	c.group.noticed = true
	if due == nil {
		return heard{}
	}
	c.writtenLocked(due, false)
	if due.prepared != nil {
		due.prepared.Noticed.Store(true)
	}
	if due.hides() {
		return heard{action: hide}
	}
	return heard{}
}

// hearErrorLocked takes in an ErrorResponse. One that ends the connection is for the
// client, whoever asked.
func (c *conversation) hearErrorLocked(due *expect, body []byte) heard {
	c.writtenLocked(due, false)
	switch {
	case protocol.EndsConnection(body):
		c.left.Store(true)
		return heard{}
	case due == nil:
		return heard{}
	}
	c.group.failed = true
	h := heard{action: hide}
	if !due.hides() {
		c.group.unopened = due.opens
		h = heard{news: newsFailed, instead: due.instead}
		if h.instead != nil {
			h.action = replace
		}
	}
	c.failLocked(due)
	return h
}

// finishLocked takes the due answer off the queue if it is of the kind that came.
func (c *conversation) finishLocked(due *expect, kind expectKind) {
	if due.kind != kind {
		c.mistrusted = true
		return
	}
	c.pending.pop()
}

// hearDescriptionLocked ends a Describe. The description of a statement is an answer of
// its own; that of a portal belongs to the execution that follows.
func (c *conversation) hearDescriptionLocked(due *expect, kind byte, body []byte) {
	due.noteDescription(kind, body, c.params)
	if loading := due.capture; loading != nil && due.statement {
		loading.EndDescription()
		c.group.captures = append(c.group.captures, loading)
	}
	c.pending.pop()
}

// hearExecutedLocked ends an Execute, or one statement of a simple query.
func (c *conversation) hearExecutedLocked(due *expect, kind byte, tag []byte) {
	if kind == 'C' && !due.named && endsStatements(tag) {
		c.namesDoubtful.Store(true)
	}
	if kind == 'C' && loadsLibrary(tag) {
		c.loaded.Store(true)
	}
	if kind == 'C' && concernsRoles(tag) {
		c.written.roles = true
	}
	if loading := due.capture; loading != nil {
		loading.End(kind)
	}
	c.writtenLocked(due, false)
	switch due.kind {
	case expectExecute:
		if due.capture != nil {
			c.group.captures = append(c.group.captures, due.capture)
		}
		c.pending.pop()
	case expectQuery:
	default:
		c.mistrusted = true
	}
}

// hearReadyLocked ends a unit.
func (c *conversation) hearReadyLocked(due *expect, body []byte) news {
	if !due.endsUnit() || len(body) != 1 {
		c.mistrusted = true
		return 0
	}
	c.status = body[0]
	c.writtenLocked(due, c.status == protocol.StatusIdle)
	c.tellStatusLocked(due, body)
	group := c.group
	c.group = answeredGroup{captures: group.captures[:0]}
	if due.row {
		c.found = group.row
		if group.failed {
			c.found = nil
		}
		c.pending.pop()
		return newsFound
	}
	told := c.hearUnitLocked(due, group)
	c.pending.pop()
	return told
}

// tellStatusLocked makes the status in a ReadyForQuery that of the client's transaction,
// where that is not the one that Postgres knows of.
func (c *conversation) tellStatusLocked(due *expect, body []byte) {
	if due.inBlock {
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
func (c *conversation) hearUnitLocked(due *expect, group answeredGroup) (told news) {
	if due.capture != nil {
		group.captures = append(group.captures, due.capture)
	}
	if len(group.captures) > 0 {
		for _, loading := range group.captures {
			if group.failed || group.noticed || c.status != protocol.StatusIdle {
				loading.Spoil()
			}
		}
		c.captured = group.captures
		told = newsCaptured
	} else if !due.hidden && !due.showsNothing {
		c.shown = true
	}
	switch {
	case !due.harmless || group.harmful:
		c.soilLocked()
	case !c.written.nothing():
		c.changes++ // of rows alone
	}
	if c.status == protocol.StatusIdle {
		c.disturbed = false
	}
	if due.timing != nil && !group.failed {
		due.timing.Note(fence.Now().Sub(due.sent))
	}
	return told
}
