package shop

import "context"

// newWriter is a program that changes the shop through a door and then looks at
// what it changed, over the same connection.
func (w *Workload) newWriter(ctx context.Context, door Door, d dialect) (loop, error) {
	c, err := w.connect(ctx, door, roleApp, d)
	if err != nil {
		return nil, err
	}
	every := perSecond(w.options.WritesPerSecond, len(w.options.Doors))
	return func(ctx context.Context) {
		pace(ctx, every, func() {
			if err := c.writeAndLook(context.WithoutCancel(ctx)); err != nil {
				c.failed(ctx, err)
			}
		})
	}, nil
}

func (c *client) writeAndLook(ctx context.Context) error {
	var st *statement
	var id int64
	var err error
	switch n := c.random.IntN(100); {
	case n < 35:
		st, id = productPage, c.workload.draw(c.random, ofProduct)
		_, err = c.changePrice(ctx, id)
	case n < 65:
		st, id = stockLookup, c.workload.draw(c.random, ofProduct)
		_, err = c.changeStock(ctx, id)
	case n < 80:
		st, id = reviewCount, c.workload.draw(c.random, ofProduct)
		_, err = c.writeReview(ctx, id)
	default:
		st, id = customerOrders, c.workload.draw(c.random, ofCustomer)
		err = c.order(ctx, id)
	}
	if err != nil {
		return err
	}
	c.workload.writes.Add(1)
	_, _, err = c.ask(ctx, st, id)
	return err
}
