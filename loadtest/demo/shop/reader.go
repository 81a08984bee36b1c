package shop

import (
	"context"
	"math/rand/v2"
)

// newReader is a program that shows pages: it asks the browsing statements in
// their shares, about popular things mostly. Chance sends some of its questions
// to PostgreSQL itself, through the same driver, so that the two kinds of times
// differ by nothing but the way: one that always came second would find the
// processor awake.
func (w *Workload) newReader(ctx context.Context, door Door, d dialect) (loop, error) {
	through, err := w.connect(ctx, door, roleApp, d)
	if err != nil {
		return nil, err
	}
	direct, err := w.connect(ctx, w.options.Direct, roleDirect, d)
	if err != nil {
		return nil, err
	}
	every := perSecond(w.options.ReadsPerSecond, w.options.Readers)
	return func(ctx context.Context) {
		pace(ctx, every, func() {
			st := drawStatement(through.random)
			id := w.draw(through.random, st.subject)
			if through.random.IntN(directEvery) == 0 {
				w.measure(ctx, direct, st, id, w.statements[st].direct)
			} else {
				w.measure(ctx, through, st, id, w.statements[st].through)
			}
		})
	}, nil
}

func (w *Workload) measure(ctx context.Context, c *client, st *statement, id int64, times *recorder) {
	_, took, err := c.ask(context.WithoutCancel(ctx), st, id)
	if err != nil {
		c.failed(ctx, err)
		return
	}
	times.record(took)
}

func drawStatement(random *rand.Rand) *statement {
	n := random.IntN(100)
	for _, st := range browsing {
		if n -= st.share; n < 0 {
			return st
		}
	}
	return browsing[0]
}

// draw picks whom a statement is about.
func (w *Workload) draw(random *rand.Rand, of subject) int64 {
	switch of {
	case ofProduct:
		return w.products.draw(random)
	case ofCategory:
		return w.categories.draw(random)
	case ofCustomer:
		return w.customers.draw(random)
	}
	return 0
}
