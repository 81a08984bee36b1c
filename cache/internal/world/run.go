package world

import (
	"context"
	"testing"
)

// Service is a cache, of whatever package.
type Service interface {
	Run(ctx context.Context) error
	Close()
}

// Run runs a cache until the test ends, and then closes it.
func Run(t testing.TB, c Service) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		c.Close()
	})
}
