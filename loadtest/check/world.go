package check

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// world is what everybody in one run shares.
type world struct {
	options Options
	fleet   *fleet
	tally   *tally
	marks   marks
	clients clients
	// programs belong to who plays the run.
	programs []*goProgram
	began    time.Time

	// epoch is nil while the database is losing commits.
	epoch  atomic.Pointer[epoch]
	epochs int64 // the number of the last; belongs to who makes the faults
	// hold is read-locked by everyone who writes, so that a fault can have a
	// moment without a commit.
	hold sync.RWMutex
	// near is the fault at work, or calm.
	near atomic.Pointer[string]
	// switching is set while the callers of pools switch settings at every turn.
	switching atomic.Bool
	// failures holds the first reason to end the run early.
	failures chan error
}

// label is the fault at work.
func (w *world) label() string { return *w.near.Load() }

// labelOf attributes a call that began near one fault and ends now.
func (w *world) labelOf(before string) string {
	if now := w.label(); now != calm {
		return now
	}
	return before
}

func (w *world) setLabel(name string) { w.near.Store(&name) }

// clock is the monotonic time since the beginning, in nanoseconds.
func (w *world) clock() int64 { return int64(time.Since(w.began)) }

func (w *world) logf(format string, arguments ...any) {
	// Who cannot be told still gets the report.
	_, _ = fmt.Fprintf(w.options.Log, "%7.2f s  "+format+"\n", append([]any{time.Since(w.began).Seconds()}, arguments...)...)
}

// fail ends the run early.
func (w *world) fail(err error) {
	select {
	case w.failures <- err:
	default:
	}
}

// endEpoch lets nobody begin anything.
func (w *world) endEpoch() { w.epoch.Store(nil) }

// beginEpoch begins an epoch with what the primary has now. Nobody may write to
// it before.
func (w *world) beginEpoch(ctx context.Context) error {
	truth, err := readTruth(ctx, w.fleet.dsn())
	if err != nil {
		return err
	}
	w.epochs++
	w.epoch.Store(newEpoch(w.epochs, truth, time.Now()))
	return nil
}

// drainMax bounds the time in which clients end after the run.
const drainMax = 30 * time.Second

// launchWorld starts what everybody shares, in its first epoch.
func launchWorld(ctx context.Context, o Options) (*world, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	w := &world{options: o, tally: newTally(), began: time.Now(), failures: make(chan error, 1)}
	w.setLabel(calm)
	if w.fleet, err = launchFleet(ctx, o, w.fail); err != nil {
		return nil, err
	}
	if err := w.beginEpoch(ctx); err != nil {
		return nil, errors.Join(err, w.fleet.close())
	}
	w.tally.began = time.Now()
	return w, nil
}

// Run checks, and returns what was found. It returns an error if something could
// not be started, or a sidecar ended by itself; violations are in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	w, err := launchWorld(ctx, o)
	if err != nil {
		return Report{}, err
	}
	w.logf("started: %v", w)
	err = w.play(ctx)
	report := w.tally.report(w.options)
	if report.Violations > 0 {
		for _, s := range w.fleet.sidecars {
			w.logf("sidecar %d last said:\n%s", s.number, s.lastWords())
		}
	}
	return report, errors.Join(err, w.fleet.close())
}

// play runs everybody until the time is over.
func (w *world) play(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var everybody sync.WaitGroup
	start := func(do func()) { everybody.Go(do) }
	w.startReaders(ctx, start)
	w.startWriters(ctx, start)
	w.startCausal(ctx, start)
	w.startLinear(ctx, start)
	w.startCompanions(ctx, start)
	w.startPooled(ctx, start)
	w.startSwitchers(ctx, start)
	w.startShaped(ctx, start)
	if err := w.startPrograms(ctx, start); err != nil {
		stop()
		everybody.Wait()
		w.endPrograms()
		return err
	}

	faulting, stopFaults := context.WithCancel(ctx)
	defer stopFaults()
	enough := make(chan struct{})
	faultsEnd := make(chan error, 1)
	go func() { faultsEnd <- w.unleash(faulting, enough) }()

	err := w.await(ctx, faultsEnd, enough)
	stopFaults()
	err = errors.Join(err, <-faultsEnd)
	stop()
	done := make(chan struct{})
	go func() { everybody.Wait(); close(done) }()
	patience := time.NewTimer(drainMax)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
		err = errors.Join(err, errors.New("clients wait for answers that do not come"))
		w.clients.cut(1, nil)
		<-done
	}
	w.endPrograms()
	return err
}

// await waits until the run is over: after its duration and enough reads, at a
// failure, or at the first violation if that is wanted. Closing enough lets the
// faults end their first round.
func (w *world) await(ctx context.Context, faultsEnd chan error, enough chan<- struct{}) error {
	broken := w.tally.broken
	if !w.options.StopAtViolation {
		broken = nil
	}
	over := time.NewTimer(w.options.Duration)
	defer over.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	timely := false
	for {
		select {
		case <-ctx.Done():
			return nil // ended by who called
		case err := <-w.failures:
			return err
		case <-broken:
			return nil
		case err := <-faultsEnd:
			faultsEnd <- nil // for who waits for the end
			return err
		case <-over.C:
			timely = true
		case <-tick.C:
			if timely && w.tally.checked() >= w.options.ReadsMin {
				timely = false
				close(enough)
			}
		}
	}
}
