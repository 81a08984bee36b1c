package invalidation

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

// Who wants a look has reached Postgres, so the follower, which may have to wait for
// seconds yet, tries again at once.
func TestReaderEndsThePauseOfAReconnect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		config, err := pgx.ParseConfig("host=/nowhere user=nobody")
		if err != nil {
			t.Fatal(err)
		}
		f, err := NewFollower(FollowerOptions{ConnConfig: config, Fence: fence.New(fewSlots)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		tries := make(chan time.Time)
		lost := errors.New("Postgres is gone")
		go f.repeat(ctx, "looker", func(context.Context) error {
			select {
			case tries <- time.Now():
			case <-ctx.Done():
			}
			return lost
		}, func(error) {}, f.audience.wake)
		var last time.Time
		for range 10 { // the pauses are as long as they get
			last = <-tries
		}
		time.Sleep(reconnectPauseMin)
		f.Wake()
		if waited := (<-tries).Sub(last); waited > reconnectPauseMin {
			t.Errorf("it tries again after %v, though somebody reads", waited)
		}
		last = time.Now()
		f.Wake()
		if waited := (<-tries).Sub(last); waited != reconnectPauseMin {
			t.Errorf("it tries again after %v, want %v however many read", waited, reconnectPauseMin)
		}
		last = time.Now()
		if waited := (<-tries).Sub(last); waited < reconnectPauseMax/2 {
			t.Errorf("it tries again after %v, though nobody reads", waited)
		}
	})
}
