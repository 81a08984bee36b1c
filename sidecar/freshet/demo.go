package main

import (
	"context"
	"errors"
	"io"
	"time"
)

// demoOptions configure the demo.
type demoOptions struct {
	// Duration is how long the demo runs.
	Duration time.Duration
	// Out takes what the demo shows.
	Out io.Writer
}

// runDemo says that this build has no demo.
func runDemo(context.Context, demoOptions) error {
	return errors.New("run demo: this build of freshet has no demo")
}
