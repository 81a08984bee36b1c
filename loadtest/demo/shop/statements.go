package shop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freshet/freshet/loadtest/demo/shop/checker"
)

// The kinds of versioned things.
const (
	kindProduct = "product"  // products.version
	kindStock   = "stock"    // stock.version
	kindOrders  = "orders"   // of a customer: the number of the newest
	kindReviews = "reviews"  // of a product: how many
	kindSales   = "revision" // of all sales figures: their sum
)

// subject says whose id a statement asks for.
type subject int

const (
	ofProduct subject = iota
	ofCategory
	ofCustomer
	ofAll // no argument
)

// statement is a read of the shop.
type statement struct {
	name    string
	sql     string
	subject subject
	// share is how often readers ask it, of 100.
	share int
	// collect reads the rows of the answer about id.
	collect func(id int64, r rows, a *answer) error
}

// answer is what can be judged of a result.
type answer struct {
	versions []checker.Version
	totals   []total
}

// total is a sum that the result states and the one of the parts it lists.
type total struct{ stated, summed int64 }

func (a *answer) reset() { a.versions, a.totals = a.versions[:0], a.totals[:0] }

func (a *answer) saw(kind string, id, version int64) {
	a.versions = append(a.versions, checker.Version{Key: checker.Key{Kind: kind, ID: id}, Number: version})
}

// The reads of the shop.
var (
	productPage = &statement{
		name: "product page", share: 45, subject: ofProduct, collect: collectProduct,
		sql: `SELECT name, description, price_cents, version FROM products WHERE id = $1`,
	}
	categoryList = &statement{
		name: "category list", share: 15, subject: ofCategory, collect: collectList,
		sql: `SELECT p.id, p.name, p.price_cents, p.version, c.name FROM products p JOIN categories c ON c.id = p.category_id WHERE p.category_id = $1 ORDER BY p.id LIMIT 24`,
	}
	stockLookup = &statement{
		name: "stock", share: 15, subject: ofProduct, collect: collectStock,
		sql: `SELECT quantity, version FROM stock WHERE product_id = $1`,
	}
	reviewCount = &statement{
		name: "review count", share: 15, subject: ofProduct, collect: collectReviews,
		sql: `SELECT count(*), avg(rating)::float8 FROM reviews WHERE product_id = $1`,
	}
	customerOrders = &statement{
		name: "orders and items", share: 10, subject: ofCustomer, collect: collectOrders,
		sql: `SELECT o.number, o.status, o.placed_at, o.total_cents, i.product_id, i.quantity * i.price_cents FROM orders o JOIN order_items i ON i.order_id = o.id WHERE o.customer_id = $1 ORDER BY o.number, i.line`,
	}
	salesReport = &statement{
		name: "sales report", subject: ofAll, collect: collectSales,
		sql: `SELECT c.name, s.units, s.revenue_cents, s.deviation, s.revision FROM (SELECT category_id, sum(units)::bigint AS units, sum(revenue_cents)::bigint AS revenue_cents, stddev(sqrt(revenue_cents))::float8 AS deviation, sum(revision)::bigint AS revision FROM daily_sales GROUP BY category_id) s JOIN categories c ON c.id = s.category_id ORDER BY c.name`,
	}
)

// browsing are the statements of the readers.
var browsing = []*statement{productPage, categoryList, stockLookup, reviewCount, customerOrders}

var errNoRow = errors.New("no row came back")

// ask runs a statement and reads its whole answer, which replaces what is in a.
// The times are the moment before it was sent and how long it took until the last
// row was read.
func ask(ctx context.Context, s session, st *statement, id int64, a *answer) (began time.Time, took time.Duration, err error) {
	a.reset()
	ctx, cancel := context.WithTimeout(ctx, queryWaitMax)
	defer cancel()
	var args []any
	if st.subject != ofAll {
		args = []any{id}
	}
	began = time.Now()
	result, err := s.query(ctx, st.sql, args...)
	if err == nil {
		err = errors.Join(st.collect(id, result, a), result.Close())
	}
	took = time.Since(began)
	if err != nil {
		return began, took, fmt.Errorf("ask for %s: %w", st.name, err)
	}
	return began, took, nil
}

func collectProduct(id int64, r rows, a *answer) error {
	var name, description string
	var price, version int64
	if err := scanOne(r, &name, &description, &price, &version); err != nil {
		return err
	}
	a.saw(kindProduct, id, version)
	return nil
}

func collectStock(id int64, r rows, a *answer) error {
	var quantity, version int64
	if err := scanOne(r, &quantity, &version); err != nil {
		return err
	}
	a.saw(kindStock, id, version)
	return nil
}

func collectReviews(id int64, r rows, a *answer) error {
	var count int64
	var rating *float64 // null if there are none
	if err := scanOne(r, &count, &rating); err != nil {
		return err
	}
	a.saw(kindReviews, id, count)
	return nil
}

func collectList(_ int64, r rows, a *answer) error {
	for r.Next() {
		var id, price, version int64
		var name, category string
		if err := r.Scan(&id, &name, &price, &version, &category); err != nil {
			return err
		}
		a.saw(kindProduct, id, version)
	}
	if len(a.versions) == 0 && r.Err() == nil {
		return errNoRow
	}
	return r.Err()
}

// collectOrders expects the rows of an order to follow each other.
func collectOrders(id int64, r rows, a *answer) error {
	var newest int64
	for r.Next() {
		var number, stated, product, price int64
		var status string
		var placed time.Time
		if err := r.Scan(&number, &status, &placed, &stated, &product, &price); err != nil {
			return err
		}
		if number != newest {
			a.totals = append(a.totals, total{stated: stated})
			newest = number
		}
		a.totals[len(a.totals)-1].summed += price
	}
	a.saw(kindOrders, id, newest)
	return r.Err()
}

func collectSales(id int64, r rows, a *answer) error {
	var revisions int64
	none := true
	for r.Next() {
		var name string
		var units, revenue, revision int64
		var deviation float64
		if err := r.Scan(&name, &units, &revenue, &deviation, &revision); err != nil {
			return err
		}
		revisions += revision
		none = false
	}
	if none && r.Err() == nil {
		return errNoRow
	}
	a.saw(kindSales, id, revisions)
	return r.Err()
}

func scanOne(r rows, into ...any) error {
	if !r.Next() {
		if err := r.Err(); err != nil {
			return err
		}
		return errNoRow
	}
	return r.Scan(into...)
}
