// Command demo shows Freshet at work: a shop on a throwaway Postgres and Redis, two
// sidecars before them, readers and writers, and a checker that looks for stale reads.
//
// It exits with 0 if all is well, with 1 if a promise was broken or something could
// not be started, and with 2 if its command line makes no sense.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	exitBroken = 1
	exitUsage  = 2
)

// errUsage is what is wrong with the command line.
var errUsage = errors.New("wrong command line")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second signal ends the program at once, the first one closes the shop.
	context.AfterFunc(ctx, stop)
	duration := flag.Duration("duration", time.Minute, "how long the shop is open")
	flag.Parse()
	err := runDemo(ctx, demoOptions{Duration: *duration, Out: os.Stdout})
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "demo: %v\n", err)
	if errors.Is(err, errUsage) {
		os.Exit(exitUsage)
	}
	os.Exit(exitBroken)
}
