package shop

import (
	"context"
	"sync"
	"time"

	"github.com/freshet/freshet/loadtest/demo/shop/checker"
)

const (
	// visibleWaitBounds is how many times the bound a written price is watched for.
	visibleWaitBounds = 2
	// watchEvery is the pause between two looks at a written price: how exact the
	// time until it shows is.
	watchEvery = 500 * time.Microsecond
)

// office writes at PostgreSQL itself, past all doors, and watches through each
// door how soon a price it changed can be seen.
type office struct {
	writer   *client
	watchers []*client // one for each door
}

func (w *Workload) newOffice(ctx context.Context) (loop, error) {
	var o office
	var err error
	if o.writer, err = w.connect(ctx, w.options.Direct, roleOffice, pgxPrepared); err != nil {
		return nil, err
	}
	for _, door := range w.options.Doors {
		watcher, err := w.connect(ctx, door, roleWatch, pgxPrepared)
		if err != nil {
			return nil, err
		}
		o.watchers = append(o.watchers, watcher)
	}
	every := perSecond(w.options.OfficePerSecond, 1)
	return func(ctx context.Context) { pace(ctx, every, func() { o.turn(ctx) }) }, nil
}

func (o *office) turn(ctx context.Context) {
	queries := context.WithoutCancel(ctx)
	c, w := o.writer, o.writer.workload
	var err error
	switch n := c.random.IntN(100); {
	case n < 60:
		err = o.changeAndWatch(ctx, w.draw(c.random, ofProduct))
	case n < 97:
		_, err = c.changeStock(queries, w.draw(c.random, ofProduct))
	default:
		if err = c.discount(queries, w.draw(c.random, ofCategory)); err == nil {
			w.discounts.Add(1)
		}
	}
	if err != nil {
		c.failed(ctx, err)
		return
	}
	w.officeWrites.Add(1)
}

// changeAndWatch changes a price that the watchers have just read.
func (o *office) changeAndWatch(ctx context.Context, product int64) error {
	o.eachWatcher(func(watcher *client) {
		if _, _, err := watcher.ask(context.WithoutCancel(ctx), productPage, product); err != nil {
			watcher.failed(ctx, err)
		}
	})
	written, err := o.writer.changePrice(context.WithoutCancel(ctx), product)
	if err != nil {
		return err
	}
	acknowledged := time.Now()
	o.eachWatcher(func(watcher *client) { watcher.watch(ctx, written, acknowledged) })
	return nil
}

func (o *office) eachWatcher(do func(*client)) {
	var group sync.WaitGroup
	for _, watcher := range o.watchers {
		group.Go(func() { do(watcher) })
	}
	group.Wait()
}

// watch reads until the written version shows, and records how long after its
// acknowledgement the first read that shows it began.
func (c *client) watch(ctx context.Context, written checker.Version, acknowledged time.Time) {
	deadline := acknowledged.Add(visibleWaitBounds * c.workload.options.Bound)
	for time.Now().Before(deadline) {
		began, _, err := c.ask(context.WithoutCancel(ctx), productPage, written.Key.ID)
		if err != nil {
			c.failed(ctx, err)
			return
		}
		if c.answer.versions[0].Number >= written.Number {
			c.workload.visible.record(began.Sub(acknowledged))
			return
		}
		sleep(ctx, watchEvery)
	}
	c.workload.neverVisible.Add(1)
}
