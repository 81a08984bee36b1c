package shapes

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
	// analysisRetryAfter is how long a failed analysis stands.
	analysisRetryAfter = time.Second
)

// Analyzer tells what a statement depends on. Implemented by analysis.Analyzer.
type Analyzer interface {
	Analyze(ctx context.Context, r analysis.Request) (*analysis.Verdict, error)
	Forget()
}

// Book holds what was found out about statements, until the schema changes.
type Book struct {
	// WaitMax is how long the first statement of a shape waits for the analysis before it
	// passes through. It may be changed until statements are asked for.
	WaitMax time.Duration

	analyzer Analyzer
	logger   *slog.Logger
	queue    chan *Slot
	// generation counts the schema changes.
	generation atomic.Uint64
	// analysed counts verdicts found and failed what could not be told; workers add to both.
	analysed, failed atomic.Uint64

	mu    sync.Mutex
	slots map[string]*Slot
	// problem is the error of the latest analysis, "" if it succeeded. Workers set it.
	problem string
	// shapes counts the slots ever made.
	shapes uint64
}

// NewBook returns an empty one. Nothing is found out until it runs.
func NewBook(a Analyzer, logger *slog.Logger) *Book {
	return &Book{WaitMax: analysisWaitMax, analyzer: a, logger: logger, queue: make(chan *Slot, analysisQueueMax), slots: map[string]*Slot{}}
}

// Run analyses what is queued until ctx ends.
func (b *Book) Run(ctx context.Context) {
	// The first analysis connects and reads catalogs: better now than when a
	// client waits. If it fails, the first statement tries again.
	_, _ = b.analyzer.Analyze(ctx, analysis.Request{SQL: "SELECT 1"})
	var workers sync.WaitGroup
	for range analysisWorkers {
		workers.Go(func() {
			for {
				select {
				case slot := <-b.queue:
					b.analyse(ctx, slot)
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
func (b *Book) examine(ctx context.Context, r analysis.Request) (verdict *analysis.Verdict, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			verdict, err = nil, fmt.Errorf("fault of the analysis, please report it: %v\n%s", fault, debug.Stack())
		}
	}()
	return b.analyzer.Analyze(ctx, r)
}

func (b *Book) analyse(ctx context.Context, slot *Slot) {
	verdict, err := b.examine(ctx, slot.request)
	if err != nil {
		b.logger.Warn("cannot analyse a statement; it passes through until that succeeds", "error", err)
		slot.failed = time.Now()
		b.failed.Add(1)
	} else {
		slot.verdict, slot.effect = verdict, effectOf(verdict, slot.Generation)
		b.analysed.Add(1)
	}
	b.noteProblem(err)
	close(slot.done)
}

func (b *Book) noteProblem(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problem = ""
	if err != nil {
		b.problem = err.Error()
	}
}

// Stats say how the analysis is.
type Stats struct {
	// Analysed counts verdicts found since the start, Failed what could not be told, and Waiting
	// what waits for its turn.
	Analysed, Failed uint64
	Waiting          int
	// Problem is the error of the latest analysis, "" if it succeeded.
	Problem string
}

// Stats returns them.
func (b *Book) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Stats{Analysed: b.analysed.Load(), Failed: b.failed.Load(), Waiting: len(b.queue), Problem: b.problem}
}

// SchemaChanged drops all verdicts. A verdict that is being found out keeps the
// generation in which it began, so it is not used either.
func (b *Book) SchemaChanged() {
	b.mu.Lock()
	b.generation.Add(1)
	b.slots = map[string]*Slot{}
	b.mu.Unlock()
	b.analyzer.Forget()
}

// Generation counts the schema changes that were noticed.
func (b *Book) Generation() uint64 { return b.generation.Load() }

// Current reports whether no schema change was noticed since slot was made.
func (b *Book) Current(slot *Slot) bool { return slot.Generation == b.generation.Load() }

// Known returns the slot and the verdict of a text if they are known already,
// without waiting and without starting an analysis. literals are those to fill the
// verdict's tags with.
func (b *Book) Known(state *probe.State, sql string, paramTypes []uint32) (slot *Slot, verdict *analysis.Verdict, literals []analysis.Literal) {
	slot, template, shared := b.slot(state, sql, paramTypes, false)
	if slot == nil {
		return nil, nil, nil
	}
	verdict = slot.Verdict()
	if verdict != nil && shared && !verdict.HoldsFor(template) {
		return nil, nil, nil
	}
	return slot, verdict, template.Literals
}

// Find returns the slot and the verdict of a text, waiting for its analysis for
// a moment. The verdict is nil while it is not known. literals are those to
// fill the verdict's tags with.
func (b *Book) Find(ctx context.Context, state *probe.State, sql string, paramTypes []uint32) (slot *Slot, verdict *analysis.Verdict, literals []analysis.Literal) {
	slot, template, shared := b.slot(state, sql, paramTypes, true)
	if slot == nil {
		return nil, nil, nil
	}
	verdict = slot.wait(ctx, b.WaitMax)
	if verdict == nil || !shared {
		return slot, verdict, nil
	}
	if verdict.HoldsFor(template) {
		return slot, verdict, template.Literals
	}
	slot = b.at(verdictKey(state, 'X', paramTypes, sql), state, sql, paramTypes, true)
	if slot == nil {
		return nil, nil, nil
	}
	return slot, slot.wait(ctx, b.WaitMax), nil
}

// Ask has a text analysed, unless it is known already, and waits for nothing.
func (b *Book) Ask(state *probe.State, sql string, paramTypes []uint32) {
	b.slot(state, sql, paramTypes, true)
}

// slot returns the place of the verdict that a text shares with those that
// differ only in literals, or its own if it has no template. shared is set in the
// first case.
func (b *Book) slot(state *probe.State, sql string, paramTypes []uint32, create bool) (slot *Slot, t analysis.Template, shared bool) {
	standard := state.StandardStrings()
	if template, ok := analysis.NewTemplate(sql, standard); ok && len(template.Literals) > 0 {
		return b.at(verdictKey(state, 'T', paramTypes, template.Key), state, sql, paramTypes, create), template, true
	}
	return b.at(verdictKey(state, 'X', paramTypes, sql), state, sql, paramTypes, create), analysis.Template{}, false
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
func (b *Book) at(key []byte, state *probe.State, sql string, paramTypes []uint32, create bool) *Slot {
	b.mu.Lock()
	defer b.mu.Unlock()
	slot := b.slots[string(key)]
	if slot != nil {
		verdict, pending := slot.ready()
		if pending || verdict != nil || time.Since(slot.failed) < analysisRetryAfter {
			return slot
		}
	}
	if !create {
		return nil
	}
	b.shapes++
	slot = &Slot{
		Shape: b.shapes,
		User:  state.User,
		request: analysis.Request{
			SQL: sql, ParamTypes: paramTypes, SearchPath: state.SearchPath, Role: state.Role, Settings: state.Settings,
			Keyed: true,
		},
		Generation: b.generation.Load(),
		done:       make(chan struct{}),
	}
	select {
	case b.queue <- slot:
	default:
		return nil
	}
	if len(b.slots) >= verdictsMax {
		b.slots = map[string]*Slot{}
	}
	b.slots[string(key)] = slot
	return slot
}

// All returns the places of all verdicts.
func (b *Book) All() []*Slot {
	b.mu.Lock()
	defer b.mu.Unlock()
	slots := make([]*Slot, 0, len(b.slots))
	for _, slot := range b.slots {
		slots = append(slots, slot)
	}
	return slots
}
