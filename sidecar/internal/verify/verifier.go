package verify

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/answer"
)

const (
	// waitingMax bounds the hits that wait to be verified. One beyond is skipped.
	waitingMax = 8
	// idleMax is how long the connection is kept without a use.
	idleMax = 10 * time.Second
	// connectMax bounds an attempt to connect.
	connectMax = 5 * time.Second
	// countdownOff is how many hits of a session pass before it looks whether hits are
	// verified again.
	countdownOff = 4096
)

// Rate says how many hits are verified.
type Rate struct {
	// Share is the share of hits, between 0, which is none, and 1.
	Share float64
	// PerSecondMax is the most in a second, of all sessions together.
	PerSecondMax float64
}

// Options configure a Verifier. All but Rate and Logger are required.
type Options struct {
	Cache *engine.Cache
	// Confirm returns when a look has completed that began after a moment.
	Confirm func(ctx context.Context, at fence.Instant) error
	// Connect opens a connection to the server that changes are followed at. The Verifier
	// closes it.
	Connect func(ctx context.Context) (*pgx.Conn, error)
	// Purge ends all answers that depend on tables, by the OIDs of their roots.
	Purge func(ctx context.Context, roots []uint32) error
	// Fence is the one that Cache asks, for its head.
	Fence *fence.Fence
	// ShapeID is the name of a shape in commands and lists, by its text.
	ShapeID func(shape string) string
	// Distrust, unless nil, is told of each shape of which an answer was proven stale, and of the
	// OIDs of its tables' roots, once Purge has returned.
	Distrust func(ctx context.Context, shape string, roots []uint32) error
	// UnreportedMax is how late a change may be noticed that no event reports, as of roles.
	// What differs for less long is not stale.
	UnreportedMax time.Duration
	Rate          Rate
	// Logger is told of what is stale. nil means silence.
	Logger *slog.Logger
}

// Verifier verifies hits. New makes one; a nil *Verifier verifies none.
type Verifier struct {
	options Options
	waiting chan *Hit

	// every is how many hits there are to one that is verified, 0 for none; gap is the
	// least time between two, and next when the next may come.
	every, gap, next atomic.Int64

	counts [results]atomic.Uint64
	spent  atomic.Int64 // nanoseconds

	mu   sync.Mutex
	last *Finding

	// conn is Run's.
	conn *pgx.Conn
}

// Finding is a stale answer.
type Finding struct {
	At time.Time
	// Shape is the statement without its values.
	Shape  string
	Tables []string
	// AgeSeconds is how long before the entry was loaded.
	AgeSeconds float64
}

// Report is what was verified since New.
type Report struct {
	Rate
	// Results counts by the name of the Result.
	Results map[string]uint64
	// Spent is the time that Postgres was asked for, waiting included.
	Spent time.Duration
	// Last is the latest that was stale, nil if none was.
	Last *Finding
}

// New returns a verifier. Nothing is verified unless it runs.
func New(o Options) *Verifier {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	v := &Verifier{options: o, waiting: make(chan *Hit, waitingMax)}
	v.SetRate(o.Rate)
	return v
}

// SetRate changes how many hits are verified. Sessions follow within a few thousand hits.
func (v *Verifier) SetRate(r Rate) {
	every, gap := int64(0), int64(0)
	if r.Share > 0 && r.PerSecondMax > 0 {
		every, gap = max(int64(1/r.Share), 1), int64(float64(time.Second)/r.PerSecondMax)
	}
	v.mu.Lock()
	v.options.Rate = r
	v.mu.Unlock()
	v.every.Store(every)
	v.gap.Store(gap)
}

// Countdown is how many hits of a session there are to the next that it offers.
func (v *Verifier) Countdown() int64 {
	if v == nil {
		return 1 << 62
	}
	every := v.every.Load()
	if every == 0 {
		return countdownOff
	}
	return 1 + rand.Int64N(2*every-1) // so that no rhythm of the client's is in step
}

// Wants reports whether a hit is to be verified now. If so it counts as the latest, and is
// to be given to Offer.
func (v *Verifier) Wants() bool {
	if v == nil || v.every.Load() == 0 {
		return false
	}
	now, next := int64(fence.Now()), v.next.Load()
	return now >= next && v.next.CompareAndSwap(next, now+v.gap.Load())
}

// Offer hands a hit over, and waits for nobody.
func (v *Verifier) Offer(h *Hit) {
	select {
	case v.waiting <- h:
	default:
		v.counts[SkippedLoad].Add(1)
	}
}

// Run verifies what is offered until ctx ends.
func (v *Verifier) Run(ctx context.Context) error {
	defer v.hangUp()
	idle := time.NewTimer(idleMax)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-idle.C:
			v.hangUp()
		case h := <-v.waiting:
			began := time.Now()
			result := v.verify(ctx, h)
			if ctx.Err() != nil {
				return nil // the sidecar ends, and this says nothing
			}
			v.spent.Add(int64(time.Since(began)))
			v.counts[result].Add(1)
			idle.Reset(idleMax)
		}
	}
}

// Report reads the counts.
func (v *Verifier) Report() Report {
	r := Report{Results: make(map[string]uint64, results)}
	if v == nil {
		return r
	}
	for result := range results {
		r.Results[result.String()] = v.counts[result].Load()
	}
	r.Spent = time.Duration(v.spent.Load())
	v.mu.Lock()
	defer v.mu.Unlock()
	r.Rate, r.Last = v.options.Rate, v.last
	return r
}

// verify finds out what is to be said of one hit.
//
//  1. the client is served entry E, which is right;
//  2. a write commits that E lacks; its event is not received yet;
//  3. the statement is executed here, and shows the write;
//  4. the fence still admits E: it would be called stale.
//
// So nothing is said before a look that began after 3 has completed: it brings the event.
// Forced by TestWriteMeanwhileIsNeverStale.
func (v *Verifier) verify(ctx context.Context, h *Hit) Result {
	was, ok := served(h.Entry.Payload.(*answer.Answer))
	if !ok {
		return Incomparable
	}
	first, exactly, result := v.compare(ctx, h, was)
	if result != Stale {
		return result
	}
	select {
	case <-ctx.Done():
		return Failed
	case <-time.After(max(v.options.Cache.Staleness(), v.options.UnreportedMax)):
	}
	second, _, result := v.compare(ctx, h, was)
	switch {
	case result != Stale:
		return result
	case !exactly, !h.Determined, first.sameRows(&was), !first.sameRows(&second):
		return Incomparable
	}
	v.found(ctx, h)
	return Stale
}

// compare asks once. Stale means here that the answer is another and that no event says
// why.
func (v *Verifier) compare(ctx context.Context, h *Hit, was picture) (now picture, exactly bool, r Result) {
	conn, err := v.connection(ctx)
	if err != nil {
		return now, false, Failed
	}
	now, exactly, err = ask(ctx, conn.PgConn(), h)
	if err != nil {
		return now, false, v.failure(err)
	}
	if now == was {
		return now, exactly, Same
	}
	if v.options.Confirm(ctx, fence.Now()) != nil {
		return now, exactly, Failed
	}
	if !v.options.Cache.Admits(h.Entry) {
		return now, exactly, Raced
	}
	return now, exactly, Stale
}

// failure is the result of a comparison that failed.
func (v *Verifier) failure(err error) Result {
	refused, answered := errors.AsType[*pgconn.PgError](err)
	switch {
	case errors.Is(err, errUnlike):
		return SkippedRole
	case answered && refused.Code == "57014":
		return TimedOut
	case !answered:
		v.hangUp()
	}
	return Failed
}

// found says what is stale, and ends everything that depends on the tables: whatever made
// this answer stale may have made others.
func (v *Verifier) found(ctx context.Context, h *Hit) {
	now := fence.Now()
	f := &Finding{At: time.Now(), Shape: h.Shape, Tables: h.Tables, AgeSeconds: now.Sub(h.Entry.Ticket.Loaded()).Seconds()}
	v.mu.Lock()
	v.last = f
	v.mu.Unlock()
	label := h.Entry.Ticket.Label()
	attributes := []any{
		"shape", v.options.ShapeID(h.Shape), "statement", h.Shape, "tables", h.Tables,
		"label", label.Lower.String(), "incarnation", string(label.Incarnation), "age_seconds", f.AgeSeconds,
		"head", v.headText(), "head_age_seconds", now.Sub(v.options.Fence.LookBegan()).Seconds(),
		"remedy", "their triggers may have been disabled or their events deleted: freshet doctor; what depends on the tables is ended now",
	}
	if err := v.options.Purge(ctx, h.Roots); err != nil {
		attributes = append(attributes, "purge", err)
	}
	if v.options.Distrust != nil {
		if err := v.options.Distrust(ctx, h.Shape, h.Roots); err != nil {
			attributes = append(attributes, "distrust", err)
		}
	}
	v.options.Logger.Error("a stale answer was served: please report it unless the tables' triggers were tampered with", attributes...)
}

// headText is the head in force.
func (v *Verifier) headText() string {
	head := v.options.Fence.Head()
	if head == nil {
		return "" // it was reset meanwhile
	}
	return head.Snapshot.String()
}

// connection is the open one, or a new one.
func (v *Verifier) connection(ctx context.Context) (*pgx.Conn, error) {
	if v.conn != nil && !v.conn.IsClosed() {
		return v.conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectMax)
	defer cancel()
	conn, err := v.options.Connect(ctx)
	if err != nil {
		return nil, err
	}
	v.conn = conn
	return conn, nil
}

// hangUp closes the connection, if there is one.
func (v *Verifier) hangUp() {
	if v.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = v.conn.Close(ctx) // nothing is lost with it
	v.conn = nil
}
