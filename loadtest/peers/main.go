// Command peers compares Freshet with other caches for Go programs: what they hit and
// what database time that saves, on traces of reads; what a hit costs; and the races
// between loads and writes that end with a stale value for good. It is a module of its
// own, so that who uses Freshet does not get what it is compared with.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// run runs what is asked for, everything if nothing is.
func run(ctx context.Context, to io.Writer, what []string) error {
	parts := map[string]func(context.Context, io.Writer) error{
		"ratio":   func(_ context.Context, to io.Writer) error { ratios(to); return nil },
		"latency": latencies,
		"races":   races,
	}
	if len(what) == 0 {
		what = []string{"ratio", "latency", "races"}
	}
	for _, name := range what {
		part := parts[name]
		if part == nil {
			return fmt.Errorf("no part is called %q: ratio, latency, races", name)
		}
		if err := part(ctx, to); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
