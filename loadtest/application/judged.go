package application

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/loadtest/stale"
	"github.com/freshet/freshet/loadtest/target"
)

// Judged is an application of which every read is judged: its answers show versions of rows,
// which clients set. Other caches than Freshet stand beside it.
type Judged interface {
	Application
	// Rows is how many rows there are. Each has version 1, and a number from 0 on.
	Rows() int64
	// Shown is the version of the row that an answer shows; ok is false where it shows none.
	Shown(body []byte) (version int64, ok bool)
	// Change returns a request that sets the version of a row, in one of the ways in which
	// programs write.
	Change(random *rand.Rand, row, version int64) Request
	// Beside sets the version $2 of the row $1, in SQL, as another program does.
	Beside() string
	// Peers are the caches that the application can have in place of Freshet, each of which
	// keeps what it has in Redis.
	Peers() []string
	// ServeWith is Serve with a peer.
	ServeWith(ctx context.Context, p *servers.Program, at target.Place, clients int, peer string, redis *servers.Redis) (Address, error)
}

// promised is within what time Freshet shows what was written past it: the default of
// freshet serve --staleness.
const promised = time.Second

// judgement is what was found of a side's reads.
type judgement struct {
	judged, behind, older int64
	oldest                time.Duration
}

// add adds another's.
func (j *judgement) add(o judgement) {
	j.judged, j.behind, j.older = j.judged+o.judged, j.behind+o.behind, j.older+o.older
	j.oldest = max(j.oldest, o.oldest)
}

// found counts a read that lacks what was acknowledged so long before it.
func (j *judgement) found(behind time.Duration) {
	j.judged++
	if behind > 0 {
		j.behind++
	}
	if behind > promised {
		j.older++
	}
	j.oldest = max(j.oldest, behind)
}

// look sends a request that reads, and judges its answer.
func (c *Client) look(ctx context.Context, app Judged, judge *stale.Judge, request Request) error {
	c.reading.Begin(judge, request.Row, request.Row)
	body, err := c.Send(ctx, request)
	if err != nil {
		return err
	}
	if version, ok := app.Shown(body); ok {
		c.reading.Row(request.Row, version)
		c.judgement.found(c.reading.Behind())
	}
	return nil
}

// change writes a row's next version, a third of the times in another program.
func (c *Client) change(ctx context.Context, app Judged, judge *stale.Judge, row int64) error {
	return judge.Write(row, func(version int64) error {
		const ways = 3
		if c.random.IntN(ways) == 0 {
			return c.beside(ctx, app, row, version)
		}
		_, err := c.Send(ctx, app.Change(c.random, row, version))
		return err
	})
}

// beside writes in a transaction of Postgres' own.
func (c *Client) beside(ctx context.Context, app Judged, row, version int64) error {
	err := pgx.BeginFunc(ctx, c.other, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, app.Beside(), row, version)
		return err
	})
	if err != nil {
		return fmt.Errorf("write beside the application: %w", err)
	}
	return nil
}

// numberAt reads a number behind a name in JSON.
func numberAt(body []byte, after int) (int64, bool) {
	end := after
	for end < len(body) && body[end] >= '0' && body[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(string(body[after:end]), 10, 64)
	return n, err == nil
}
