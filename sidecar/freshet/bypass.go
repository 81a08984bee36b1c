package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/freshet/freshet/sidecar/dashboard"
)

// bypassCommand is the switch for who doubts the cache at night: a restart forgets it.
type bypassCommand struct {
	State string `arg:"" enum:"on,off" help:"on: every statement of every client goes to Postgres; off: they are answered from the cache again."`
	adminFlags
}

// Run switches.
func (c *bypassCommand) Run(ctx context.Context, out *output) error {
	on := c.State == "on"
	status, body, err := c.act(ctx, "/api/v1/bypass", dashboard.BypassRequest{On: on})
	switch {
	case err != nil:
		return err
	case status >= http.StatusBadRequest:
		return errors.New(oneLine(string(body)))
	}
	done := "reads are answered from the cache again"
	if on {
		done = "every statement goes to Postgres, until freshet bypass off or a restart"
	}
	_, err = fmt.Fprintln(out.stdout, done)
	return err
}
