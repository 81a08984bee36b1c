package load

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/loadtest/stale"
	"github.com/freshet/freshet/loadtest/target"
	"github.com/freshet/freshet/loadtest/workload"
)

// client is one connection to a target, and what comes over it in a turn.
type client struct {
	player  *player
	number  int
	script  *workload.Client
	reading stale.Reading
	// reads is the operation under way, for see, which is see's method value: made once.
	reads *workload.Operation
	see   func(row [][]byte)
	tally tally

	// mu guards that the sessions are replaced: who cuts them is another goroutine.
	mu sync.Mutex
	// session reads; writer writes, and is the same unless writes go past the target.
	session, writer target.Session
}

func (p *player) newClient(ctx context.Context, number int) (*client, error) {
	c := &client{player: p, number: number, script: p.options.Workload.Client(p.options.Mix, p.options.Seed, number, p.options.Clients)}
	c.see = c.look
	return c, c.connect(ctx)
}

func (c *client) connect(ctx context.Context) error {
	session, err := c.player.target.Connect(ctx, c.player.options.Protocol)
	if err != nil {
		return err
	}
	writer := session
	if c.player.options.Target.Beside {
		if writer, err = c.player.ground.Beside(ctx, c.player.target, c.player.options.Protocol); err != nil {
			session.Close()
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session, c.writer = session, writer
	return nil
}

// close ends the sessions, also under an operation.
func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil {
		c.session.Close()
	}
	if c.writer != nil {
		c.writer.Close()
	}
}

// look judges a row of the operation under way.
func (c *client) look(row [][]byte) {
	switch c.reads.Statement.Shows {
	case workload.Rows:
		if len(row) > 1 {
			c.reading.Row(number(row[0]), number(row[1]))
		}
	case workload.Sum:
		if len(row) > 0 {
			c.reading.Sum(number(row[0]))
		}
	}
}

// number reads a whole number as Postgres writes it.
func number(text []byte) int64 {
	n, _ := strconv.ParseInt(string(text), 10, 64) // statements that show versions show bigints
	return n
}

// do does an operation and returns when it was sent and answered.
func (c *client) do(o *workload.Operation) (began, ended time.Time, err error) {
	judge := c.player.judge
	switch {
	case o.Inserts:
		err = judge.Insert(func(key, version int64) error {
			o.Arguments[0], o.Arguments[1] = key, version
			began = time.Now()
			err := c.writer.Write(o)
			ended = time.Now()
			return err
		})
	case o.Writes:
		err = judge.Write(o.First, func(version int64) error {
			o.Arguments[1] = version
			began = time.Now()
			err := c.writer.Write(o)
			ended = time.Now()
			return err
		})
	default:
		c.reads = o
		c.reading.Begin(judge, o.First, o.Last)
		began = time.Now()
		err = c.session.Read(o, c.see)
		ended = time.Now()
		if err == nil && o.Statement.Shows != workload.Nothing {
			if o.Statement.Shows == workload.Rows {
				c.reading.Rows()
			}
			c.tally.judged(c.reading.Behind(), c.player.target.Promise())
		}
	}
	return began, ended, err
}

// reconnectMax bounds the attempt to connect again.
const reconnectMax = 5 * time.Second

// play does operations until the turn is over.
func (c *client) play(t *turnClock) {
	pace := t.pace(c)
	if pace.alarm != nil {
		defer pace.alarm.Close()
	}
	for {
		intended, idle, ok := pace.next()
		if !ok {
			return
		}
		o, ok := t.operation(c)
		if !ok {
			return
		}
		began, ended, err := c.do(&o)
		if began.IsZero() { // it waited for another writer in vain
			began, ended = intended, time.Now()
		}
		if intended.IsZero() {
			intended = began
		} else if idle {
			c.tally.lagged(began.Sub(intended))
		}
		pace.ended = ended
		if err != nil {
			if t.over() || !c.recover(err) {
				return
			}
			continue
		}
		c.tally.did(&o, ended.Sub(intended), ended.Sub(t.began))
	}
}

// recover counts an error, and connects again. It reports whether the client can go on.
func (c *client) recover(err error) bool {
	c.tally.failed(err)
	c.close()
	ctx, cancel := context.WithTimeout(context.Background(), reconnectMax)
	defer cancel()
	if err := c.connect(ctx); err != nil {
		c.tally.failed(err)
		return false
	}
	return true
}

// pace says when operations are to begin.
type pace struct {
	clock *turnClock
	// gap is the mean time between operations of an open loop at its full rate; 0 in a
	// closed one.
	gap time.Duration
	// intended is when the last operation was to begin, ended when it had ended.
	intended, ended time.Time
	client          *client
	// alarm wakes the client at the intended time, nil in a closed loop; play closes it.
	alarm *servers.Alarm
}

// next waits until the next operation is to begin. It returns the intended time, which is
// zero in a closed loop, and whether the client was idle then. ok is false at the end.
func (p *pace) next() (intended time.Time, idle, ok bool) {
	if p.clock.over() {
		return time.Time{}, false, false
	}
	if p.gap == 0 {
		return time.Time{}, false, true
	}
	mean := float64(p.gap) / p.clock.share(p.intended)
	p.intended = p.intended.Add(time.Duration(p.client.script.Random().ExpFloat64() * mean))
	if !p.intended.Before(p.clock.ends) {
		return time.Time{}, false, false
	}
	idle = p.ended.Before(p.intended)
	p.alarm.SleepUntil(p.intended)
	return p.intended, idle, true
}
