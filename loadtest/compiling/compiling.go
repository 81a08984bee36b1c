// Package compiling lets the go command compile for one program of tests after the other. The
// tests of several packages build the product at the same time, each with its own mistakes or
// flags, and nearly all that they compile is the same: at once, each go command would compile
// it, as none finds there what another is not done with.
package compiling

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// turnPause is the time between two looks whether it is one's turn.
const turnPause = 50 * time.Millisecond

// Go runs the go command in a directory, "" for the working directory, when no other program
// of this user's runs one by Go, and returns all that it said. It waits until ctx ends.
func Go(ctx context.Context, dir string, arguments ...string) ([]byte, error) {
	caches, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("wait to compile: %w", err)
	}
	done, err := turn(ctx, filepath.Join(caches, "freshet-tests", "compiling"))
	if err != nil {
		return nil, err
	}
	defer done()
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Dir = dir
	return command.CombinedOutput()
}

// turn waits until nobody else holds the lock of a file, and holds it until done is called or
// the process ends.
func turn(ctx context.Context, path string) (done func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("wait to compile: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("wait to compile: %w", err)
	}
	for syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("wait to compile: %w", ctx.Err())
		case <-time.After(turnPause):
		}
	}
	return func() { _ = file.Close() }, nil
}
