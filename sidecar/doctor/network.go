package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/connection"
)

const (
	// tripsTimed are the round trips whose median counts.
	tripsTimed = 20
	// tripMax is the round trip above which a miss is felt.
	tripMax = 5 * time.Millisecond
	// ringMax is how long a notification may take.
	ringMax = time.Second
)

// pooler checks whether statements of one session reach one server.
func (e *examination) pooler(ctx context.Context) error {
	if e.Follow != nil {
		e.poolerOfClients(ctx)
	}
	err := connection.RefusePooling(ctx, e.conn)
	if errors.Is(err, connection.ErrPooled) {
		e.add(Fail, "pooler", "a pooler in transaction mode is between: nothing is followed, everything passes through", "let --upstream name Postgres itself, or a pooler in session mode")
		return nil
	}
	if err != nil {
		return err
	}
	var pid uint32
	if err := e.conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		return fmt.Errorf("ask for the server's process: %w", err)
	}
	if pid != e.conn.PgConn().PID() {
		e.add(Warn, "pooler", "a pooler in session mode is between: nobody rings when something changes, so it is noticed within --poll", "let --upstream name Postgres itself")
		return nil
	}
	e.add(OK, "pooler", "none between", "")
	return nil
}

// poolerOfClients checks the same of the way that clients go, where that is another.
func (e *examination) poolerOfClients(ctx context.Context) {
	conn, ok := e.open(ctx, "--upstream", e.Upstream, e.BeforeUpstream)
	if !ok {
		return
	}
	defer closeQuietly(conn)
	if err := connection.RefusePooling(ctx, conn); err != nil {
		e.add(Fail, "pooler", "clients go through a pooler in transaction mode, or it cannot be told ("+err.Error()+"): everything passes through", "let --upstream name a pooler in session mode, or Postgres itself")
		return
	}
	e.add(OK, "pooler", "each client has a connection to Postgres for itself", "")
}

// latency measures what a miss, a look and a notification take.
func (e *examination) latency(ctx context.Context) error {
	trip, err := roundTrip(ctx, e.conn, tripsTimed)
	if err != nil {
		return fmt.Errorf("measure a round trip: %w", err)
	}
	text := "a round trip takes " + short(trip)
	if e.inPlace() && len(e.installation.Missing) == 0 {
		look, err := invalidation.TimeLook(ctx, e.conn)
		if err != nil {
			return err
		}
		text += ", a look " + short(look)
	}
	ring, err := e.timeRing(ctx)
	heard := !errors.Is(err, context.DeadlineExceeded)
	switch {
	case !heard:
		text += "; no notification arrived in " + ringMax.String()
	case err != nil:
		return err
	default:
		text += ", a notification " + short(ring)
	}
	e.judgeLatency(text, trip, heard)
	return nil
}

// judgeLatency says whether Postgres is near enough, and whether notifications were heard.
func (e *examination) judgeLatency(text string, trip time.Duration, heard bool) {
	switch {
	case trip*4 > e.Staleness:
		e.add(Fail, "latency", text+": too long to prove a staleness of "+e.Staleness.String(), "run the sidecar nearer to Postgres, or raise --staleness")
	case !heard:
		e.add(Warn, "latency", text, "see that nothing between filters LISTEN; changes are found by polling")
	case trip > tripMax:
		e.add(Warn, "latency", text, "run the sidecar nearer to Postgres: looks and misses wait for it")
	default:
		e.add(OK, "latency", text, "")
	}
}

// timeRing is the median time from a notification to its arrival. Each may take ringMax.
func (e *examination) timeRing(ctx context.Context) (time.Duration, error) {
	const channel = "freshet_doctor"
	if _, err := e.conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return 0, fmt.Errorf("listen: %w", err)
	}
	defer func() { _, _ = e.conn.Exec(ctx, "UNLISTEN "+channel) }() // the session ends soon
	return median(tripsTimed, func() error {
		if _, err := e.conn.Exec(ctx, "SELECT pg_notify($1, '')", channel); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, ringMax)
		defer cancel()
		_, err := e.conn.WaitForNotification(ctx)
		return err
	})
}
