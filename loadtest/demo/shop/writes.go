package shop

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/freshet/freshet/loadtest/demo/shop/checker"
)

// Each statement that changes a versioned row raises its version and returns it.
const (
	changePrice = `UPDATE products SET price_cents = $2, version = version + 1 WHERE id = $1 RETURNING version`
	changeStock = `UPDATE stock SET quantity = $2, version = version + 1 WHERE product_id = $1 RETURNING version`
	takeStock   = `UPDATE stock SET quantity = greatest(0, quantity - $2), version = version + 1 WHERE product_id = $1 RETURNING version`
	discountAll = `UPDATE products SET price_cents = greatest(99, price_cents - 100), version = version + 1 WHERE category_id = $1 RETURNING id, version`
	countOrder  = `UPDATE customers SET orders = orders + 1 WHERE id = $1 RETURNING orders`
	placeOrder  = `INSERT INTO orders (customer_id, number, status, total_cents, placed_at) VALUES ($1, $2, 'paid', 0, now()) RETURNING id`
	addItem     = `INSERT INTO order_items (order_id, line, product_id, quantity, price_cents) SELECT $1, $2, id, $4, price_cents FROM products WHERE id = $3`
	totalOrder  = `UPDATE orders SET total_cents = (SELECT sum(quantity * price_cents) FROM order_items WHERE order_id = $1) WHERE id = $1`
	// The sum and the count are of what the statement's own snapshot sees: whoever
	// sees its change sees all that too.
	reviseSales = `UPDATE daily_sales SET revenue_cents = revenue_cents + 100, revision = revision + 1 WHERE day = (SELECT max(day) FROM daily_sales) AND category_id = $1 RETURNING (SELECT sum(revision) FROM daily_sales)::bigint + 1`
	writeReview = `INSERT INTO reviews (product_id, rating, body) VALUES ($1, $2, $3) RETURNING (SELECT count(*) FROM reviews WHERE product_id = $1) + 1`
)

// one runs a statement that returns one number.
func one(ctx context.Context, s session, sql string, args ...any) (n int64, err error) {
	result, err := s.query(ctx, sql, args...)
	if err != nil {
		return 0, err
	}
	return n, errors.Join(scanOne(result, &n), drain(result))
}

// drain reads a result to its end, which is where a failed commit shows.
func drain(r rows) error {
	for r.Next() {
	}
	return errors.Join(r.Err(), r.Close())
}

func version(kind string, id, number int64) checker.Version {
	return checker.Version{Key: checker.Key{Kind: kind, ID: id}, Number: number}
}

// change raises the version of one row outside a transaction block.
func (c *client) change(ctx context.Context, kind string, id int64, sql string, args ...any) (checker.Version, error) {
	ctx, cancel := context.WithTimeout(ctx, queryWaitMax)
	defer cancel()
	number, err := one(ctx, c.session, sql, append([]any{id}, args...)...)
	if err != nil {
		return checker.Version{}, fmt.Errorf("change %s: %w", kind, err)
	}
	v := version(kind, id, number)
	c.acknowledge(v)
	return v, nil
}

func (c *client) changePrice(ctx context.Context, product int64) (checker.Version, error) {
	return c.change(ctx, kindProduct, product, changePrice, 199+100*c.random.Int64N(300))
}

func (c *client) changeStock(ctx context.Context, product int64) (checker.Version, error) {
	return c.change(ctx, kindStock, product, changeStock, 1000+c.random.Int64N(9000))
}

func (c *client) writeReview(ctx context.Context, product int64) (checker.Version, error) {
	return c.change(ctx, kindReviews, product, writeReview, 1+c.random.Int64N(5), pick(c.random, opinions))
}

// reviseSales changes one figure of the sales report.
func (c *client) reviseSales(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, queryWaitMax)
	defer cancel()
	number, err := one(ctx, c.session, reviseSales, c.workload.draw(c.random, ofCategory))
	if err != nil {
		return fmt.Errorf("revise sales: %w", err)
	}
	c.acknowledge(version(kindSales, 0, number))
	return nil
}

// discount changes the prices of a whole category in one statement.
func (c *client) discount(ctx context.Context, category int64) error {
	ctx, cancel := context.WithTimeout(ctx, queryWaitMax)
	defer cancel()
	result, err := c.session.query(ctx, discountAll, category)
	if err != nil {
		return fmt.Errorf("discount a category: %w", err)
	}
	var written []checker.Version
	for result.Next() {
		var id, number int64
		if err := result.Scan(&id, &number); err != nil {
			return errors.Join(fmt.Errorf("discount a category: %w", err), result.Close())
		}
		written = append(written, version(kindProduct, id, number))
	}
	if err := drain(result); err != nil {
		return fmt.Errorf("discount a category: %w", err)
	}
	c.acknowledge(written...)
	return nil
}

// order places an order of a few products in one transaction. The products are
// taken from stock in the order of their ids, so that two orders cannot wait for
// each other.
func (c *client) order(ctx context.Context, customer int64) error {
	ctx, cancel := context.WithTimeout(ctx, queryWaitMax)
	defer cancel()
	var products []int64
	for range 1 + c.random.IntN(4) {
		products = append(products, c.workload.products.draw(c.random))
	}
	slices.Sort(products)
	if err := c.session.run(ctx, "BEGIN"); err != nil {
		return fmt.Errorf("place an order: %w", err)
	}
	written, err := c.orderInside(ctx, customer, slices.Compact(products))
	if err != nil {
		return fmt.Errorf("place an order: %w", err) // the connection is given up, which rolls back
	}
	if err := c.session.run(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("place an order: %w", err)
	}
	c.acknowledge(written...)
	return nil
}

func (c *client) orderInside(ctx context.Context, customer int64, products []int64) ([]checker.Version, error) {
	number, err := one(ctx, c.session, countOrder, customer)
	if err != nil {
		return nil, err
	}
	id, err := one(ctx, c.session, placeOrder, customer, number)
	if err != nil {
		return nil, err
	}
	written := []checker.Version{version(kindOrders, customer, number)}
	for line, product := range products {
		quantity := 1 + c.random.Int64N(3)
		if err := c.session.run(ctx, addItem, id, int64(line+1), product, quantity); err != nil {
			return nil, err
		}
		taken, err := one(ctx, c.session, takeStock, product, quantity)
		if err != nil {
			return nil, err
		}
		written = append(written, version(kindStock, product, taken))
	}
	return written, c.session.run(ctx, totalOrder, id)
}
