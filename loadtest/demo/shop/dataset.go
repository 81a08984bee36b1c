package shop

import (
	"context"
	_ "embed" // the schema
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed schema.sql
var schemaSQL string

//go:embed constraints.sql
var constraintsSQL string

// rowsMinimum is the least number of customers and of products: fewer have no
// popularity to speak of.
const rowsMinimum = 100

// DataSet says how large a shop is. Each number is of rows; the categories are
// always 24, stock has a row for each product, an order has one to four items.
type DataSet struct {
	Customers int // at least 100
	Products  int // at least 100
	Orders    int // at least 1
	Reviews   int // at least 1
	SalesDays int // days of sales figures, one row a day and category; at least 1
}

// Standard is a shop of about 130 000 rows.
func Standard() DataSet {
	return DataSet{Customers: 3_000, Products: 3_000, Orders: 15_000, Reviews: 30_000, SalesDays: 1460}
}

func (d DataSet) validate() error {
	if d.Customers < rowsMinimum || d.Products < rowsMinimum || d.Orders < 1 || d.Reviews < 1 || d.SalesDays < 1 {
		return fmt.Errorf("data set %+v is too small: it needs %d customers and products and one of everything else", d, rowsMinimum)
	}
	return nil
}

// catalogue is the number of products that the shop shows. The rest are archived:
// nobody reads them, or writes to them, but the probe.
func (d DataSet) catalogue() int { return d.Products - d.Products/4 }

// Fill creates the shop's tables, its roles and its data in an empty database,
// always the same data for one size and seed, and returns the number of rows. The
// DSN must be of a superuser.
func Fill(ctx context.Context, dsn string, d DataSet, seed uint64) (rows int64, err error) {
	if err := d.validate(); err != nil {
		return 0, err
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, fmt.Errorf("fill shop: connect to PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, schemaSQL); err != nil {
		return 0, fmt.Errorf("fill shop: create tables: %w", err)
	}
	f := filler{ctx: ctx, conn: conn, size: d, random: rand.New(rand.NewPCG(seed, 1)),
		popular: newPopularity(d.catalogue(), seed), ordersOf: make([]int64, d.Customers+1)}
	f.all()
	if f.err != nil {
		return 0, fmt.Errorf("fill shop: %w", f.err)
	}
	if _, err := conn.Exec(ctx, constraintsSQL); err != nil {
		return 0, fmt.Errorf("fill shop: add keys: %w", err)
	}
	if err := createRoles(ctx, conn); err != nil {
		return 0, fmt.Errorf("fill shop: %w", err)
	}
	return f.rows, nil
}

// filler copies one table after another until the first error.
type filler struct {
	ctx      context.Context
	conn     *pgx.Conn
	size     DataSet
	random   *rand.Rand
	popular  popularity
	ordersOf []int64 // by customer
	rows     int64
	err      error
}

func (f *filler) all() {
	f.categories()
	f.products()
	f.stock()
	f.orders() // counts the customers' orders
	f.customers()
	f.reviews()
	f.dailySales()
}

// copyRows fills a table with n rows; row makes the one of a number from 1.
func (f *filler) copyRows(table string, columns []string, n int, row func(number int) []any) {
	if f.err != nil {
		return
	}
	number := 0
	copied, err := f.conn.CopyFrom(f.ctx, pgx.Identifier{table}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		if number == n {
			return nil, nil
		}
		number++
		return row(number), nil
	}))
	f.rows += copied
	if err != nil {
		f.err = fmt.Errorf("fill table %s: %w", table, err)
	}
}

func (f *filler) categories() {
	f.copyRows("categories", []string{"id", "name"}, len(shelves), func(id int) []any {
		return []any{id, shelves[id-1].name}
	})
}

func (f *filler) products() {
	f.copyRows("products", []string{"id", "category_id", "name", "description", "price_cents"}, f.size.Products, func(id int) []any {
		category := 1 + id%len(shelves)
		name := productName(f.random, category)
		return []any{id, category, name, productDescription(f.random, name), 199 + 100*f.random.IntN(300)}
	})
}

func (f *filler) stock() {
	f.copyRows("stock", []string{"product_id", "quantity"}, f.size.Products, func(id int) []any {
		return []any{id, 1000 + f.random.IntN(9000)}
	})
}

func (f *filler) orders() {
	opened := time.Date(2020, time.March, 2, 9, 0, 0, 0, time.UTC)
	var items [][]any
	f.copyRows("orders", []string{"id", "customer_id", "number", "status", "total_cents", "placed_at"}, f.size.Orders, func(id int) []any {
		customer := 1 + f.random.IntN(f.size.Customers)
		f.ordersOf[customer]++
		total := 0
		for line := range 1 + f.random.IntN(4) {
			quantity, price := 1+f.random.IntN(3), 199+100*f.random.IntN(300)
			items = append(items, []any{id, line + 1, f.popular.draw(f.random), quantity, price})
			total += quantity * price
		}
		placed := opened.Add(time.Duration(id) * 97 * time.Minute)
		return []any{id, customer, f.ordersOf[customer], pick(f.random, statuses), total, placed}
	})
	f.copyRows("order_items", []string{"order_id", "line", "product_id", "quantity", "price_cents"}, len(items), func(number int) []any {
		return items[number-1]
	})
}

func (f *filler) customers() {
	f.copyRows("customers", []string{"id", "name", "email", "city", "orders"}, f.size.Customers, func(id int) []any {
		name := customerName(f.random)
		return []any{id, name, email(name, id), pick(f.random, cities), f.ordersOf[id]}
	})
}

func (f *filler) reviews() {
	f.copyRows("reviews", []string{"id", "product_id", "rating", "body"}, f.size.Reviews, func(id int) []any {
		return []any{id, f.popular.draw(f.random), 1 + f.random.IntN(5), pick(f.random, opinions)}
	})
}

func (f *filler) dailySales() {
	first := time.Date(2023, time.January, 1, 0, 0, 0, 0, time.UTC)
	f.copyRows("daily_sales", []string{"day", "category_id", "units", "revenue_cents"}, f.size.SalesDays*len(shelves), func(number int) []any {
		units := 1 + f.random.IntN(200)
		return []any{first.AddDate(0, 0, (number-1)/len(shelves)), 1 + number%len(shelves), units, units * (500 + f.random.IntN(9500))}
	})
}
