package wire

import (
	"context"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// asking is a session that can ask Postgres in the sidecar's own name, on the client's connection
// and unseen by the client: for the state, for what settings of a transaction come to, to plan
// anew. It knows of no unit of the client's.
//
//   - It asks only where askable says so: an error of its own question harms nothing of the
//     client's.
//   - What an answer says goes to the understanding it is part of, before anything else is sent.
type asking struct {
	line
	understanding
	cachedReads
	// talk is the line's, and the understanding's.
	talk *conversation.Conversation
	// ctx ends with the session, at the latest when Postgres is gone.
	ctx context.Context
	// proven is added to by the upstream goroutine.
	proven provenLocals
}

// attach makes what asks of the zero value, for a client of a database: the layers above have zero
// values that need no more. Its stream to Postgres is set once there is one.
func (a *asking) attach(ctx context.Context, db *database, client *transport.Stream) {
	a.ctx, a.client, a.db = ctx, client, db
	a.talk = conversation.New()
	a.line.talk, a.understanding.talk = a.talk, a.talk
}

// cachedReads is what the client's reads from the cache are to show, and what they cost.
type cachedReads struct {
	reads fence.Session
	// shownBy is set by obstacle if Postgres has answered the client since its last cached
	// read, to a moment behind the answer. The next one calls reads.Received with it first,
	// so that it is no older than that answer, and resets it: see beginRead. A look that began
	// on the answer's way to the client, and the read's way here, is new enough.
	shownBy fence.Instant
	// reading counts the reads between two changes. changesSeen is the number of changes
	// (conversation.Standing) as of when nothing was owed last.
	reading     readRun
	changesSeen uint64
}
