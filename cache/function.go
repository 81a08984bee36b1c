package cache

import (
	"fmt"
	"runtime"
	"sync"
)

// functions are the wrapped functions of a cache, by name.
type functions struct {
	mu     sync.Mutex
	byName map[string]*function
}

// function is what a wrapped function is whatever its types.
type function struct {
	name   string
	caller string // of Wrap
}

// register gives a name to one function. Two would share entries wherever their
// types are the same, and one get the answers of the other.
func (f *functions) register(name, caller string) (*function, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if first := f.byName[name]; first != nil {
		return nil, fmt.Errorf("the name is that of another function, wrapped at %s; now at %s: give each its own, and wrap it once", first.caller, caller)
	}
	if f.byName == nil {
		f.byName = map[string]*function{}
	}
	made := &function{name: name, caller: caller}
	f.byName[name] = made
	return made, nil
}

// callerAt says where the caller of a function stands, skip calls further up.
func callerAt(skip int) string {
	_, file, line, ok := runtime.Caller(skip + 1)
	if !ok {
		return "an unknown place"
	}
	return fmt.Sprintf("%s:%d", file, line)
}
