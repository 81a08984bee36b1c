package engine

import (
	"context"
	"errors"

	"github.com/freshet/freshet/cache/fence"
)

// Token returns a text that stands for everything acknowledged before the call.
// A session of any process that follows the same database, to which it is given
// (fence.ParseHead, Session.SetAfter; SET freshet.after on the wire), is shown
// nothing older. It waits for a look, and fails if none comes in time.
func (c *Cache) Token(ctx context.Context) (string, error) {
	var reader fence.Session
	reader.Received(fence.Now())
	proven := c.Prove(ctx, nil, &reader)
	head := c.fence.Head()
	if !proven || head == nil {
		return "", errors.New("take a token: the follower did not look in time; is Postgres out of reach?")
	}
	return head.String(), nil
}
