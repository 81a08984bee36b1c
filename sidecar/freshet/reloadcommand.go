package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/freshet/freshet/sidecar/dashboard"
)

// exitRestart: what changed takes a restart.
const exitRestart = 4

// reloadCommand has a running sidecar read its configuration again, as SIGHUP does, and
// tells what came of it.
type reloadCommand struct{ adminFlags }

// Run asks, and prints which options changed.
func (c *reloadCommand) Run(ctx context.Context, out *output) error {
	status, body, err := c.act(ctx, "", "/api/v1/reload", struct{}{})
	switch {
	case err != nil:
		return err
	case status == http.StatusConflict:
		return codedError{errors.New(oneLine(string(body))), exitRestart}
	case status != http.StatusOK:
		return errors.New(oneLine(string(body)))
	}
	var reloaded dashboard.Reloaded
	if err := json.Unmarshal(body, &reloaded); err != nil {
		return fmt.Errorf("read the sidecar's answer: %w", err)
	}
	text := "nothing has changed"
	if len(reloaded.Changed) > 0 {
		text = "changed: " + strings.Join(reloaded.Changed, ", ")
	}
	_, err = fmt.Fprintln(out.stdout, text)
	return err
}
