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
	Database string `placeholder:"NAME" help:"Which of several databases, by the name that clients ask for. Default: all of them."`
}

// Run switches.
func (c *bypassCommand) Run(ctx context.Context, out *output) error {
	on := c.State == "on"
	status, body, err := c.act(ctx, "", "/api/v1/bypass", dashboard.BypassRequest{On: on, Database: c.Database})
	switch {
	case err != nil:
		return err
	case status >= http.StatusBadRequest:
		return errors.New(oneLine(string(body)))
	}
	whose := "every client"
	if c.Database != "" {
		whose = "clients of database " + c.Database
	}
	done := "reads of " + whose + " are answered from the cache again"
	if on {
		done = "every statement of " + whose + " goes to Postgres, until freshet bypass off or a restart"
	}
	_, err = fmt.Fprintln(out.stdout, done)
	return err
}
