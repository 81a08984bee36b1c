package shop

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// stampedePause is the time between the change that makes the sales report out of
// date and the crowd that asks for it: whoever keeps answers has had time to
// notice.
const stampedePause = 300 * time.Millisecond

// newCrowd is a number of clients, spread over the doors, who all ask for the
// sales report at the same moment after one of its figures changed.
func (w *Workload) newCrowd(ctx context.Context) (loop, error) {
	clerk, err := w.connect(ctx, w.options.Direct, roleOffice, pgxPrepared)
	if err != nil {
		return nil, err
	}
	crowd := make([]*client, w.options.Crowd)
	group, opening := errgroup.WithContext(ctx)
	group.SetLimit(connectingMax)
	for i := range crowd {
		group.Go(func() (err error) {
			crowd[i], err = w.connect(opening, w.options.Doors[i%len(w.options.Doors)], roleCrowd, pgxPrepared)
			if err == nil {
				// The drivers prepare the statement now, not in the stampede.
				_, _, err = crowd[i].ask(opening, salesReport, 0)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return func(ctx context.Context) {
		sleep(ctx, w.options.StampedeEvery/2)
		pace(ctx, w.options.StampedeEvery, func() { w.stampede(ctx, clerk, crowd) })
	}, nil
}

func (w *Workload) stampede(ctx context.Context, clerk *client, crowd []*client) {
	queries := context.WithoutCancel(ctx)
	if err := clerk.reviseSales(queries); err != nil {
		clerk.failed(ctx, err)
		return
	}
	sleep(ctx, stampedePause)
	began := time.Now()
	before, err := w.counters.calls(queries, roleCrowd)
	if err != nil {
		w.count(err, began)
		return
	}
	began = time.Now()
	var group sync.WaitGroup
	for _, c := range crowd {
		group.Go(func() {
			if _, _, err := c.ask(queries, salesReport, 0); err != nil {
				c.failed(ctx, err)
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	counting := time.Now()
	after, err := w.counters.calls(queries, roleCrowd)
	if err != nil {
		w.count(err, counting)
		return
	}
	w.crowd.record(took)
	w.stampedes.Add(1)
	w.crowdAsked.Add(uint64(len(crowd)))
	w.crowdReached.Add(uint64(after - before))
	if w.options.OnStampede != nil {
		w.options.OnStampede(len(crowd), int(after-before))
	}
}
