package cache

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/cache/internal/stripe"
)

// functions are the wrapped functions of a cache, by name.
type functions struct {
	mu     sync.Mutex
	byName map[string]*function
}

// doubtsMax bounds what is remembered to have been said of one function.
const doubtsMax = 32

// function is what a wrapped function is whatever its types.
type function struct {
	name   string
	caller string // of Wrap
	// memoryOnly is why its values are not given to other processes, nil if they are.
	memoryOnly atomic.Pointer[string]
	// vain counts the answers in a row that were not kept, and notKept is why the last
	// one was not; nil if it was.
	vain    atomic.Uint64
	notKept atomic.Pointer[string]
	reads   readCounters
	// sampled counts the values that might have made the round trip.
	sampled atomic.Uint64

	mu sync.Mutex
	// problems are what is wrong with its dependencies, by what they name.
	problems map[subject]string
}

// readCounters count what became of the reads of a function.
type readCounters struct {
	// spread are the hits in memory, by goroutine.
	spread          [stripe.Count]hitCounter
	loads, failures atomic.Uint64
	loading         atomic.Int64 // nanoseconds
}

type hitCounter struct {
	n atomic.Uint64
	_ stripe.Padding
}

func (c *readCounters) hit() { c.spread[stripe.OfCaller()].n.Add(1) }

func (c *readCounters) hits() (all uint64) {
	for i := range c.spread {
		all += c.spread[i].n.Load()
	}
	return all
}

// subject is what a dependency names, but for the value.
type subject struct{ table, column string }

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
	made := &function{name: name, caller: caller, problems: map[subject]string{}}
	f.byName[name] = made
	return made, nil
}

// stats are those of each function.
func (f *functions) stats() map[string]FunctionStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make(map[string]FunctionStats, len(f.byName))
	for name, function := range f.byName {
		all[name] = function.stats()
	}
	return all
}

// callerAt says where the caller of a function stands, skip calls further up.
func callerAt(skip int) string {
	_, file, line, ok := runtime.Caller(skip + 1)
	if !ok {
		return "an unknown place"
	}
	return fmt.Sprintf("%s:%d", file, line)
}

func (f *function) stats() FunctionStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	var s FunctionStats
	if why := f.memoryOnly.Load(); why != nil {
		s.MemoryOnly = *why
	}
	s.Hits, s.Loads, s.LoadErrors = f.reads.hits(), f.reads.loads.Load(), f.reads.failures.Load()
	s.Loading = time.Duration(f.reads.loading.Load())
	if why := f.notKept.Load(); why != nil {
		s.NotKept = *why
	}
	for _, problem := range f.problems {
		s.Problems = append(s.Problems, problem)
	}
	slices.Sort(s.Problems)
	return s
}

// doubts says once, of each thing that a dependency names, what is wrong with it.
func (f *function) doubts(logger *slog.Logger, d Dependency, say func() string) {
	about := subject{d.Table, d.Column}
	f.mu.Lock()
	_, said := f.problems[about]
	if said || len(f.problems) >= doubtsMax {
		f.mu.Unlock()
		return
	}
	problem := say()
	f.problems[about] = problem
	f.mu.Unlock()
	logger.LogAttrs(context.Background(), slog.LevelWarn, "cached function: a dependency is not watched as it says", slog.String("function", f.name), slog.String("problem", problem))
}

// keepInMemory stops the sharing of a function's values between processes.
func (f *function) keepInMemory(logger *slog.Logger, why string) {
	if f.memoryOnly.CompareAndSwap(nil, &why) {
		logger.LogAttrs(context.Background(), slog.LevelWarn, "cached function: its values stay in the memory of each process", slog.String("function", f.name), slog.String("reason", why))
	}
}

// keeps notes that an answer was kept, or why it was not.
func (f *function) keeps(refusal string) {
	if refusal == "" {
		if f.notKept.Load() != nil {
			f.notKept.Store(nil)
		}
		if f.vain.Load() != 0 {
			f.vain.Store(0)
		}
		return
	}
	why := refusal // apart, so that only this is allocated for it
	f.vain.Add(1)
	f.notKept.Store(&why)
}
