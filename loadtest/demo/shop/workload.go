package shop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/loadtest/demo/shop/checker"
)

const (
	// reopenPause is how long a client waits before it connects again.
	reopenPause = 200 * time.Millisecond
	// countEvery is how often PostgreSQL's counters are read.
	countEvery = 250 * time.Millisecond
	// directEvery is how many reads of a reader come to one that is asked at
	// PostgreSQL itself, on average.
	directEvery = 16
	// connectingMax bounds the connections that are being opened at once.
	connectingMax = 8
	// errorExamplesMax bounds the errors that are kept in words.
	errorExamplesMax = 5
)

// Workload is a shop in business. It is made by New and runs once.
type Workload struct {
	options    Options
	checker    *checker.Checker
	products   popularity
	customers  popularity
	categories popularity
	statements map[*statement]*usage
	probe      probeTimes
	visible    *recorder
	crowd      *recorder
	counters   *counters
	outage     outage

	writes, officeWrites, discounts, neverVisible atomic.Uint64
	stampedes, crowdAsked, crowdReached           atomic.Uint64

	mu            sync.Mutex
	clients       []*client
	began, ended  time.Time
	reached       map[*statement]uint64
	errors        uint64
	errorExamples []string
}

// usage is how one statement was used.
type usage struct {
	asked           atomic.Uint64
	through, direct *recorder
}

// New prepares a workload. Nothing is connected before Run.
func New(options Options) (*Workload, error) {
	o, err := options.validate()
	if err != nil {
		return nil, err
	}
	w := &Workload{
		options:    o,
		checker:    checker.New(o.Bound),
		products:   newPopularity(o.DataSet.catalogue(), o.Seed),
		customers:  newPopularity(o.DataSet.Customers, o.Seed),
		categories: newPopularity(len(shelves), o.Seed),
		statements: map[*statement]*usage{},
		probe:      newProbeTimes(),
		visible:    newRecorder(),
		crowd:      newRecorder(),
	}
	for _, st := range browsing {
		w.statements[st] = &usage{through: newRecorder(), direct: newRecorder()}
	}
	return w, nil
}

// Run opens the connections and does business until ctx is done; it waits for
// the statements that are under way and closes what it opened. What goes wrong
// after the start is counted in the Report, not returned.
func (w *Workload) Run(ctx context.Context) (err error) {
	if w.counters, err = openCounters(ctx, w.options.CountersDSN); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	loops, err := w.staff(ctx)
	if err != nil {
		return fmt.Errorf("open the shop: %w", err)
	}
	w.mu.Lock()
	w.began = time.Now()
	w.mu.Unlock()
	var group sync.WaitGroup
	for _, loop := range append(loops, w.countReached) {
		group.Go(func() { loop(ctx) })
	}
	group.Wait()
	w.readCounters(context.WithoutCancel(ctx))
	w.mu.Lock()
	w.ended = time.Now()
	w.mu.Unlock()
	return nil
}

// loop is what one of the shop's people does until ctx is done. Statements run to
// their end: they use a context that is not cancelled.
type loop func(ctx context.Context)

// staff opens all connections, several at a time, and returns what to do with
// them.
func (w *Workload) staff(ctx context.Context) ([]loop, error) {
	group, opening := errgroup.WithContext(ctx)
	group.SetLimit(connectingMax)
	var mu sync.Mutex
	var loops []loop
	hire := func(open func(context.Context) (loop, error)) {
		group.Go(func() error {
			l, err := open(opening)
			mu.Lock()
			defer mu.Unlock()
			loops = append(loops, l)
			return err
		})
	}
	for i := range w.options.Readers {
		door := w.options.Doors[i%len(w.options.Doors)]
		d := usualDialects[i/len(w.options.Doors)%len(usualDialects)]
		hire(func(ctx context.Context) (loop, error) { return w.newReader(ctx, door, d) })
	}
	for i, door := range w.options.Doors {
		d := []dialect{pgxPrepared, pqUnnamed, pgxSimple, pqSimple}[i%4]
		hire(func(ctx context.Context) (loop, error) { return w.newWriter(ctx, door, d) })
	}
	hire(w.newOffice)
	hire(w.newProbe)
	err := group.Wait()
	if err != nil {
		return nil, err
	}
	crowd, err := w.newCrowd(ctx)
	return append(loops, crowd), err
}

func (w *Workload) countReached(ctx context.Context) {
	pace(ctx, countEvery, func() { w.readCounters(context.WithoutCancel(ctx)) })
}

func (w *Workload) readCounters(ctx context.Context) {
	began := time.Now()
	reached, err := w.counters.reached(ctx, roleApp)
	if err != nil {
		w.count(err, began)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reached = reached
}

// count notes an error on a connection that was opened at a moment, or of an attempt that
// began then.
func (w *Workload) count(err error, began time.Time) {
	if w.outage.excuses(began) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors++
	if len(w.errorExamples) < errorExamplesMax {
		w.errorExamples = append(w.errorExamples, err.Error())
	}
}

func (w *Workload) close() error {
	w.mu.Lock()
	clients := w.clients
	w.mu.Unlock()
	for _, c := range clients {
		_ = c.session.close() // it may have failed already, and that was counted
	}
	return w.counters.close()
}
