package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// reading is the question for one key: its two commands, which are made once and used
// again and again, because to make them is half of what a question allocates.
type reading struct {
	pipeline goredis.Pipeliner
	commands []goredis.Cmder
	// life comes first: if the value is replaced in between, the new one gets the
	// shorter life of the old.
	life *goredis.DurationCmd
	// text is a range and not the whole: who filled this Redis with values of 500 MB
	// fills no memory here.
	text *goredis.StringCmd
	// lifeArguments and textArguments are those of the two, with the key as the second.
	lifeArguments, textArguments []any
	// bound is how long it may take.
	bound *bound
}

// readings are the questions that nobody asks at the moment.
type readings struct {
	client  goredis.UniversalClient
	timeout time.Duration // of each
	idle    chan *reading
	// once says that a question is asked once: a command remembers for good where in a
	// Cluster its first key is.
	once bool
}

func newReadings(client goredis.UniversalClient, timeout time.Duration) *readings {
	_, cluster := client.(*goredis.ClusterClient)
	return &readings{client: client, timeout: timeout, idle: make(chan *reading, connectionsMax), once: cluster}
}

func (all *readings) take() *reading {
	select {
	case r := <-all.idle:
		return r
	default:
		return newReading(all.client, all.timeout)
	}
}

func (all *readings) giveBack(r *reading) {
	if all.once {
		return
	}
	r.text.SetVal("") // the value is its reader's, and may be large
	select {
	case all.idle <- r:
	default:
	}
}

func newReading(client goredis.UniversalClient, timeout time.Duration) *reading {
	ctx := context.Background() // says nothing: that of each exchange counts
	r := &reading{
		pipeline:      client.Pipeline(),
		lifeArguments: []any{"pttl", ""},
		textArguments: []any{"getrange", "", 0, ValueMax},
		bound:         newBound(timeout),
	}
	r.life = goredis.NewDurationCmd(ctx, time.Millisecond, r.lifeArguments...)
	r.text = goredis.NewStringCmd(ctx, r.textArguments...)
	r.commands = []goredis.Cmder{r.life, r.text}
	return r
}

// ask returns the value under a whole name, and its life. A question that failed is
// not used again: nobody knows what became of its connection.
func (all *readings) ask(ctx context.Context, name string) (value []byte, left time.Duration, err error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	r := all.take()
	r.bound.begin(ctx)
	err = r.ask(name)
	again := r.bound.end()
	if err != nil {
		return nil, 0, err
	}
	value, _ = r.text.Bytes()
	left = r.life.Val()
	if again {
		all.giveBack(r)
	}
	return value, left, nil
}

func (r *reading) ask(name string) error {
	key := any(name)
	r.lifeArguments[1], r.textArguments[1] = key, key
	if err := r.pipeline.BatchProcess(r.bound, r.commands...); err != nil {
		return err
	}
	_, err := r.pipeline.Exec(r.bound)
	return err
}
