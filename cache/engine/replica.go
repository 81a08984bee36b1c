package engine

import (
	"context"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// Replica says what a load on a standby shows. An invalidation.Standby is one.
type Replica interface {
	// Begin returns the label of a load that begins now on the standby, with Replica
	// set, or false if none should be made there.
	Begin() (fence.Label, bool)
	// Confirm returns nil once it is certain that the load with that label, which
	// began and ended at moments of this process, was made on the standby that the
	// label is about.
	Confirm(ctx context.Context, label fence.Label, began, ended fence.Instant) error
}

// replicaConfirmMax bounds the wait for the confirmation of a load on a standby.
const replicaConfirmMax = time.Second

// StartReplica is Begin for a load on a standby.
func (c *Cache) StartReplica(r Replica) (Start, bool) {
	at := fence.Now()
	label, ok := r.Begin()
	if !ok {
		return Start{}, false
	}
	label.Replica = true
	return Start{Label: label, At: at}, true
}

// ConfirmReplica reports whether a load on a standby, which ended at a moment,
// was made where its label says. It waits for a bounded time.
func (c *Cache) ConfirmReplica(ctx context.Context, r Replica, start Start, end fence.Instant) bool {
	ctx, cancel := context.WithTimeout(ctx, replicaConfirmMax)
	defer cancel()
	return r.Confirm(ctx, start.Label, start.At, end) == nil
}
