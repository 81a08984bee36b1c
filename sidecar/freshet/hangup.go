package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// hangups are the SIGHUPs that the process was sent. More than one that come while the
// first is dealt with are one.
type hangups chan os.Signal

// catchHangups keeps SIGHUP from ending the process, until stop is called.
func catchHangups() hangups {
	h := make(hangups, 1)
	signal.Notify(h, syscall.SIGHUP)
	return h
}

func (h hangups) stop() { signal.Stop(h) }

// each calls reload for each of them until its result is called, or ctx ends.
func (h hangups) each(ctx context.Context, reload func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for {
			select {
			case <-h:
				reload(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		waiting.Wait()
	}
}
