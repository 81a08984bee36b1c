package cache

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// ErrClosed is what a load that Close ended is told by.
var ErrClosed = errors.New("the cache was closed")

// ErrCycle says that a load asked for the very answer that it was to bring.
var ErrCycle = errors.New("the load waits for its own answer")

// ErrOverloaded says that Options.LoadsMax loads were under way for as long as a load may
// take.
var ErrOverloaded = errors.New("no load could begin: as many as may be are under way")

// errNoResult is what callers get of a loader that ended its goroutine.
var errNoResult = errors.New("the loader ended without a result")

// PanicError is what the callers of a wrapped function get when it panicked, or a
// function of its policy.
type PanicError struct {
	Name string // of the function, as given to Wrap
	// Where is what panicked: "the loader", or a field of the policy.
	Where string
	Value any // what it panicked with
	Stack []byte
}

// Error names the function and what it panicked with.
func (e *PanicError) Error() string {
	return fmt.Sprintf("load %s: %s panicked: %v", e.Name, e.Where, e.Value)
}

// Unwrap returns what it panicked with, if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

const (
	inLoader    = "the loader"
	inLoadMany  = "Policy.LoadMany"
	inDependsOn = "Policy.DependsOn"
	inKeyBytes  = "Policy.KeyBytes"
	inKeyOf     = "Policy.KeyOf"
	inClone     = "Policy.Clone"
	inCodec     = "Policy.Codec"
)

// recovered, deferred, makes an error of a panic.
func recovered(name, where string, err *error) {
	if p := recover(); p != nil {
		*err = &PanicError{name, where, p, debug.Stack()}
	}
}
