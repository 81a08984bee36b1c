package shop

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/freshet/freshet/loadtest/demo/shop/checker"
)

// client is one connection with what the checker remembers of it. It is for one
// goroutine.
type client struct {
	workload *Workload
	door     Door
	role     string
	dialect  dialect
	session  session
	opened   time.Time // when the session was
	judge    *checker.Session
	random   *rand.Rand
	answer   answer // of the last read
}

// connect opens a connection that the workload closes when it ends.
func (w *Workload) connect(ctx context.Context, door Door, role string, d dialect) (*client, error) {
	s, err := d.open(ctx, door, role)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &client{
		workload: w, door: door, role: role, dialect: d, session: s, opened: time.Now(), judge: w.checker.Session(door.Name + ", " + d.String()),
		random: rand.New(rand.NewPCG(w.options.Seed, uint64(len(w.clients)))),
	}
	w.clients = append(w.clients, c)
	return c, nil
}

// ask runs a read and has its answer judged, unless it is PostgreSQL's own.
func (c *client) ask(ctx context.Context, st *statement, id int64) (began time.Time, took time.Duration, err error) {
	if c.role == roleApp {
		c.workload.statements[st].asked.Add(1)
	}
	began, took, err = ask(ctx, c.session, st, id, &c.answer)
	if err != nil {
		return began, took, err
	}
	if c.role == roleDirect {
		return began, took, nil
	}
	c.judge.Read(began, c.answer.versions)
	for _, t := range c.answer.totals {
		c.judge.Total(t.stated, t.summed)
	}
	return began, took, nil
}

// acknowledge notes writes of this connection whose commit was just replied to.
func (c *client) acknowledge(written ...checker.Version) {
	now := time.Now()
	for _, version := range written {
		c.judge.Acknowledge(version, now)
	}
}

// failed counts an error and opens the connection again: after an error it may be
// broken, or inside a transaction. It gives up when ctx is done.
func (c *client) failed(ctx context.Context, err error) {
	c.workload.count(err, c.opened)
	_ = c.session.close() // it is useless either way
	for ctx.Err() == nil {
		began := time.Now()
		s, err := c.dialect.open(ctx, c.door, c.role)
		if err == nil {
			c.session, c.opened, c.judge = s, time.Now(), c.workload.checker.Session(c.door.Name+", "+c.dialect.String())
			return
		}
		if ctx.Err() == nil {
			c.workload.count(err, began)
		}
		sleep(ctx, reopenPause)
	}
}

// pace calls do at a steady rate until ctx is done. When do takes longer than its
// turn, the next turns follow at once, but no more than a second's worth.
func pace(ctx context.Context, every time.Duration, do func()) {
	next := time.Now()
	for ctx.Err() == nil {
		do()
		next = next.Add(every)
		if behind := time.Since(next); behind > time.Second {
			next = next.Add(behind)
		}
		sleep(ctx, time.Until(next))
	}
}

// sleep waits; it returns early when ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// perSecond is the time between two turns of one of several who share a rate.
func perSecond(rate, sharers int) time.Duration {
	return time.Second * time.Duration(sharers) / time.Duration(rate)
}
