package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/invalidation"
)

// tailCommand tells others of what changes: it reads the outbox beside all followers.
type tailCommand struct {
	upstreamFlag
	Primary   string        `placeholder:"DSN" help:"The primary, if --upstream is a hot standby: changes are read there."`
	From      string        `placeholder:"POSITION" help:"Where to begin: the position of the last line that was printed before, or beginning for all that is kept. Default: now."`
	Once      bool          `help:"Print what there is, and end. Default: go on."`
	Poll      time.Duration `default:"200ms" placeholder:"DURATION" help:"Time between two reads."`
	Stream    string        `placeholder:"NAME" help:"Add each line to a stream of --redis too, as its field change. Default: none."`
	StreamMax int64         `default:"100000" placeholder:"N" help:"How many lines the stream keeps, about."`
	Redis     string        `placeholder:"URL" help:"Redis with that stream, as for serve."`
	Config    configFile    `placeholder:"FILE" help:"YAML file as for serve; upstream, primary and redis are taken from it. Default: none."`
}

// connectToPrimary connects to where events are written.
func (c *tailCommand) connectToPrimary(ctx context.Context) (*pgx.Conn, error) {
	if c.Primary != "" {
		return c.connectTo(ctx, "--primary", c.Primary)
	}
	return c.connect(ctx)
}

// streamWaitMax bounds adding one line to a stream.
const streamWaitMax = 5 * time.Second

// Run prints until ctx ends.
func (c *tailCommand) Run(ctx context.Context, out *output) error {
	switch {
	case c.Poll < pollMin:
		return usage("--poll %s is too short: give at least %s", c.Poll, pollMin)
	case c.Stream != "" && c.Redis == "":
		return usage("--stream names a stream of Redis, and there is none: add --redis")
	}
	conn, err := c.connectToPrimary(ctx)
	if err != nil {
		return err
	}
	defer closeConnection(conn)
	tail, err := invalidation.NewTail(conn, c.From)
	if err != nil {
		return usage("--from: %w", err)
	}
	add, end, err := c.stream()
	if err != nil {
		return err
	}
	defer end()
	for {
		changes, err := tail.Read(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, change := range changes {
			line, err := json.Marshal(change)
			if err == nil {
				err = add(ctx, line)
			}
			if err == nil {
				_, err = fmt.Fprintf(out.stdout, "%s\n", line)
			}
			if err != nil {
				return err
			}
		}
		if c.Once {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.Poll):
		}
	}
}

// stream returns what adds a line to the stream, if there is one. end closes it.
func (c *tailCommand) stream() (add func(context.Context, []byte) error, end func(), err error) {
	if c.Stream == "" {
		return func(context.Context, []byte) error { return nil }, func() {}, nil
	}
	redis.SilenceClient()
	store, err := redis.New(context.Background(), redis.Options{URL: c.Redis, Timeout: streamWaitMax})
	if err != nil {
		return nil, nil, usage("read --redis: %w", err)
	}
	return func(ctx context.Context, line []byte) error { return store.Append(ctx, c.Stream, line, c.StreamMax) },
		func() { _ = store.Close() }, nil // what was added is there
}
