package wire

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/probe"
)

const (
	// verdictsMax bounds the verdicts kept; beyond it they are begun anew.
	verdictsMax = 16384
	// analysisQueueMax bounds the shapes that wait for their analysis; a shape
	// beyond it passes through and is tried again when it comes again.
	analysisQueueMax = 256
	// analysisWorkers is the number of analyses under way at once.
	analysisWorkers = 2
	// analysisWaitMax is how long the first statement of a shape waits for the
	// analysis before it passes through.
	analysisWaitMax = 500 * time.Millisecond
	// analysisRetryAfter is how long a failed analysis stands.
	analysisRetryAfter = time.Second
)

// Analyzer tells what a statement depends on. Implemented by analysis.Analyzer.
type Analyzer interface {
	Analyze(ctx context.Context, r analysis.Request) (*analysis.Verdict, error)
	Forget()
}

// verdictSlot is the place of one verdict: of one shape under one state.
type verdictSlot struct {
	// shape is the same for all statements of this slot, in this process.
	shape      uint64
	request    analysis.Request
	generation uint64
	// done is closed when verdict is set; nil means that the analysis failed, at
	// failed.
	done    chan struct{}
	verdict *analysis.Verdict
	// effect is what the statements may write, nil if it may be anything. It is set with
	// verdict.
	effect *effect
	failed time.Time
	// loading is how long Postgres takes to answer.
	loading average
	// misses counts loads by this verdict that a wish could have spared.
	misses atomic.Uint64
	// loads counts those whose joins could be looked up.
	loads atomic.Uint64
	// vain counts lookups that failed, crowded those in a row that found too much.
	vain, crowded atomic.Uint64
}

// ready returns the verdict if it is known. pending is false if it will not
// come.
func (s *verdictSlot) ready() (v *analysis.Verdict, pending bool) {
	select {
	case <-s.done:
		return s.verdict, false
	default:
		return nil, true
	}
}

// pending reports whether the verdict may still come.
func (s *verdictSlot) pending() bool {
	_, pending := s.ready()
	return pending
}

// wait is ready after at most analysisWaitMax.
func (s *verdictSlot) wait(ctx context.Context) *analysis.Verdict {
	if v, pending := s.ready(); !pending {
		return v
	}
	timer := time.NewTimer(analysisWaitMax)
	defer timer.Stop()
	select {
	case <-s.done:
		return s.verdict
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// verdicts holds what was found out about statements, until the schema changes.
type verdicts struct {
	analyzer Analyzer
	logger   *slog.Logger
	queue    chan *verdictSlot
	// generation counts the schema changes.
	generation atomic.Uint64

	mu    sync.Mutex
	slots map[string]*verdictSlot
	// shapes counts the slots ever made.
	shapes uint64
}

func newVerdicts(a Analyzer, logger *slog.Logger) *verdicts {
	return &verdicts{analyzer: a, logger: logger, queue: make(chan *verdictSlot, analysisQueueMax), slots: map[string]*verdictSlot{}}
}

// run analyses what is queued until ctx ends.
func (v *verdicts) run(ctx context.Context) {
	// The first analysis connects and reads catalogs: better now than when a
	// client waits. If it fails, the first statement tries again.
	_, _ = v.analyzer.Analyze(ctx, analysis.Request{SQL: "SELECT 1"})
	var workers sync.WaitGroup
	for range analysisWorkers {
		workers.Go(func() {
			for {
				select {
				case slot := <-v.queue:
					v.analyse(ctx, slot)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	workers.Wait()
}

// examine analyses one shape. A fault of ours is a failure like any other: the shape
// passes through.
func (v *verdicts) examine(ctx context.Context, r analysis.Request) (verdict *analysis.Verdict, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			verdict, err = nil, fmt.Errorf("fault of the analysis, please report it: %v\n%s", fault, debug.Stack())
		}
	}()
	return v.analyzer.Analyze(ctx, r)
}

func (v *verdicts) analyse(ctx context.Context, slot *verdictSlot) {
	verdict, err := v.examine(ctx, slot.request)
	if err != nil {
		v.logger.Warn("cannot analyse a statement; it passes through until that succeeds", "error", err)
		slot.failed = time.Now()
	} else {
		slot.verdict, slot.effect = verdict, effectOfVerdict(verdict, slot.generation)
	}
	close(slot.done)
}

// schemaChanged drops all verdicts. A verdict that is being found out keeps the
// generation in which it began, so it is not used either.
func (v *verdicts) schemaChanged() {
	v.mu.Lock()
	v.generation.Add(1)
	v.slots = map[string]*verdictSlot{}
	v.mu.Unlock()
	v.analyzer.Forget()
}

// current reports whether no schema change was noticed since slot was made.
func (v *verdicts) current(slot *verdictSlot) bool { return slot.generation == v.generation.Load() }

// known returns the slot and the verdict of a text if they are known already,
// without waiting and without starting an analysis. literals are those to fill the
// verdict's tags with.
func (v *verdicts) known(state *probe.State, sql string, paramTypes []uint32) (slot *verdictSlot, verdict *analysis.Verdict, literals []analysis.Literal) {
	slot, template, shared := v.slot(state, sql, paramTypes, false)
	if slot == nil {
		return nil, nil, nil
	}
	verdict, _ = slot.ready()
	if verdict != nil && shared && !verdict.HoldsFor(template) {
		return nil, nil, nil
	}
	return slot, verdict, template.Literals
}

// find returns the slot and the verdict of a text, waiting for its analysis for
// a moment. The verdict is nil while it is not known. literals are those to
// fill the verdict's tags with.
func (v *verdicts) find(ctx context.Context, state *probe.State, sql string, paramTypes []uint32) (slot *verdictSlot, verdict *analysis.Verdict, literals []analysis.Literal) {
	slot, template, shared := v.slot(state, sql, paramTypes, true)
	if slot == nil {
		return nil, nil, nil
	}
	verdict = slot.wait(ctx)
	if verdict == nil || !shared {
		return slot, verdict, nil
	}
	if verdict.HoldsFor(template) {
		return slot, verdict, template.Literals
	}
	slot = v.at(verdictKey(state, 'X', paramTypes, sql), state, sql, paramTypes, true)
	if slot == nil {
		return nil, nil, nil
	}
	return slot, slot.wait(ctx), nil
}

// slot returns the place of the verdict that a text shares with those that
// differ only in literals, or its own if it has no template. shared is set in the
// first case.
func (v *verdicts) slot(state *probe.State, sql string, paramTypes []uint32, create bool) (slot *verdictSlot, t analysis.Template, shared bool) {
	standard := state.StandardStrings()
	if template, ok := analysis.NewTemplate(sql, standard); ok && len(template.Literals) > 0 {
		return v.at(verdictKey(state, 'T', paramTypes, template.Key), state, sql, paramTypes, create), template, true
	}
	return v.at(verdictKey(state, 'X', paramTypes, sql), state, sql, paramTypes, create), analysis.Template{}, false
}

func verdictKey(state *probe.State, kind byte, paramTypes []uint32, text string) []byte {
	dst := make([]byte, 0, len(state.ID)+3+4*len(paramTypes)+len(text))
	dst = append(dst, state.ID[:]...)
	dst = append(dst, kind)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(paramTypes)))
	for _, t := range paramTypes {
		dst = binary.BigEndian.AppendUint32(dst, t)
	}
	return append(dst, text...)
}

// at returns the slot of a key. If create is set, a missing one is made and its
// analysis queued; nil then means that the queue is full.
func (v *verdicts) at(key []byte, state *probe.State, sql string, paramTypes []uint32, create bool) *verdictSlot {
	v.mu.Lock()
	defer v.mu.Unlock()
	slot := v.slots[string(key)]
	if slot != nil {
		verdict, pending := slot.ready()
		if pending || verdict != nil || time.Since(slot.failed) < analysisRetryAfter {
			return slot
		}
	}
	if !create {
		return nil
	}
	v.shapes++
	slot = &verdictSlot{
		shape: v.shapes,
		request: analysis.Request{
			SQL: sql, ParamTypes: paramTypes, SearchPath: state.SearchPath, Role: state.Role, Settings: state.Settings,
		},
		generation: v.generation.Load(),
		done:       make(chan struct{}),
	}
	select {
	case v.queue <- slot:
	default:
		return nil
	}
	if len(v.slots) >= verdictsMax {
		v.slots = map[string]*verdictSlot{}
	}
	v.slots[string(key)] = slot
	return slot
}
