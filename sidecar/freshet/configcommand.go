package main

import (
	"context"
	"fmt"

	"github.com/alecthomas/kong"
)

// configCommand holds the commands that speak of the configuration.
type configCommand struct {
	Check configCheckCommand `cmd:"" help:"Check what serve would read: all that is wrong at once. Exit code 0 or 2."`
	Show  configShowCommand  `cmd:"" help:"Print what serve would read, as a configuration file, without passwords."`
}

// configCheckCommand takes what serve takes.
type configCheckCommand struct {
	config
	Connect bool       `help:"Connect to Postgres and Redis too, and ask both for something. Default: no connection is made."`
	Config  configFile `placeholder:"FILE" help:"YAML file as for serve. Default: none."`
}

// Run checks.
func (c *configCheckCommand) Run(ctx context.Context, out *output) error {
	if err := c.check(); err != nil {
		return codedError{err, exitUsage}
	}
	if c.Connect {
		if err := c.tryConnections(ctx); err != nil {
			return codedError{err, exitUsage}
		}
	}
	_, err := fmt.Fprintln(out.stdout, "the configuration is valid")
	return err
}

// configShowCommand takes what serve takes.
type configShowCommand struct {
	config
	Origin bool       `help:"Say behind each value where it is from."`
	Config configFile `placeholder:"FILE" help:"YAML file as for serve. Default: none."`
}

// Run prints the configuration.
func (c *configShowCommand) Run(parsed *kong.Context, out *output) error {
	text, err := configText(parsed, c.Origin)
	if err != nil {
		return err
	}
	_, err = out.stdout.Write(text)
	return err
}
