package shop

import (
	"context"
	"math/rand/v2"
)

// newReader is a program that shows pages: it asks the browsing statements in
// their shares, about popular things mostly. Now and then it asks the same again
// at PostgreSQL itself, through the same driver, so that the two times differ by
// nothing but the way.
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
	turn := through.random.IntN(directEvery)
	return func(ctx context.Context) {
		queries := context.WithoutCancel(ctx)
		pace(ctx, every, func() {
			st := drawStatement(through.random)
			id := w.draw(through.random, st.subject)
			_, took, err := through.ask(queries, st, id)
			if err != nil {
				through.failed(ctx, err)
				return
			}
			w.statements[st].through.record(took)
			if turn++; turn%directEvery != 0 {
				return
			}
			// Not judged: its reads are PostgreSQL's own.
			_, took, err = ask(queries, direct.session, st, id, &direct.answer)
			if err != nil {
				direct.failed(ctx, err)
				return
			}
			w.statements[st].direct.record(took)
		})
	}, nil
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
