package servers

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// envProgram sets variables and a working directory, and becomes the program itself.
const envProgram = "/usr/bin/env"

// Command is how an application is run.
type Command struct {
	// Dir is the working directory; empty for the program's own.
	Dir string
	// Environment are variables, as NAME=value, beside those of this process. Temporary files
	// are made in the application's directory unless TMPDIR says otherwise.
	Environment []string
	// Arguments are the command and what follows it. A command without a slash is looked
	// for in PATH.
	Arguments []string
}

// Program is an application in a throwaway directory of its own. It runs as the user of this
// process, and ends with it.
type Program struct{ *daemon }

// NewProgram makes the directory of an application, which errors call by name. The caller
// must Close it.
func NewProgram(name string) (*Program, error) {
	d, err := newDaemon(name)
	if err != nil {
		return nil, err
	}
	d.own = true
	return &Program{d}, nil
}

// Dir is the application's directory, which Close removes.
func (p *Program) Dir() string { return p.dir }

// runLogLines is how much is told of what a command printed that failed: Ruby says what is
// wrong before it says where.
const runLogLines = 60

// Run runs a command and waits for its end. Its error has the end of what was printed.
func (p *Program) Run(ctx context.Context, c Command) error {
	arguments, err := p.through(c)
	if err != nil {
		return err
	}
	if err := (command{path: envProgram, args: arguments, dir: p.dir, logPath: p.logPath()}).run(ctx); err != nil {
		return fmt.Errorf("run %s: %w; before that:\n%s", c.Arguments, err, p.LogTail(runLogLines))
	}
	return nil
}

// Serve starts a command, and returns when ready reports that it serves. It is called once.
func (p *Program) Serve(ctx context.Context, c Command, ready func() bool) error {
	arguments, err := p.through(c)
	if err != nil {
		return err
	}
	return p.begin(ctx, envProgram, arguments, func(*process) bool { return ready() })
}

// ServeOnPorts is Serve of a command that listens at ports of the loopback address, which are
// chosen here and returned.
func (p *Program) ServeOnPorts(ctx context.Context, many int, of func(ports []int) Command, ready func(ports []int) bool) (ports []int, err error) {
	err = onFreePorts(p.LogTail, func() error {
		ports = nil
		for range many {
			port, err := freePort()
			if err != nil {
				return err
			}
			ports = append(ports, port)
		}
		return p.Serve(ctx, of(ports), func() bool { return ready(ports) })
	})
	return ports, err
}

// through returns the arguments with which env runs a command.
func (p *Program) through(c Command) ([]string, error) {
	path := c.Arguments[0]
	if filepath.Base(path) == path {
		found, err := exec.LookPath(path)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", path, ErrNotInstalled)
		}
		path = found
	}
	dir := c.Dir
	if dir == "" {
		dir = p.dir
	}
	arguments := append([]string{"-C", dir, "TMPDIR=" + p.dir}, c.Environment...)
	return append(append(arguments, path), c.Arguments[1:]...), nil
}

// Close ends the application and removes its files. It may be called more than once.
func (p *Program) Close() error { return p.close(nil) }
