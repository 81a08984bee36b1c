// Package sqlc is a shop's chores with what sqlc generates for pgx. Where to connect is in the
// environment.
package sqlc

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/freshet/freshet/sidecar/drivers/testdata/go/source"
	"github.com/freshet/freshet/sidecar/drivers/testdata/go/sqlc/shop"
	"github.com/freshet/freshet/sidecar/drivers/testdata/go/version"
)

type program struct {
	ctx  context.Context
	db   database
	from *source.Source // nil: a connection of its own
	shop *shop.Queries
}

// database is what a connection, a pool and the library have in common.
type database interface {
	shop.DBTX
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Run does the chores.
func Run() {
	fmt.Print("sqlc v1.31.1, pgx ")
	version.Print("github.com/jackc/pgx/v5")
	ctx := context.Background()
	p := &program{ctx: ctx}
	if source.Chosen() {
		p.from = source.Open(ctx)
		defer p.from.Close()
		p.db = p.from.DB()
	} else {
		conn, err := pgx.Connect(ctx, "")
		if err != nil {
			log.Fatal(err)
		}
		defer conn.Close(ctx)
		p.db = conn
	}
	p.shop = shop.New(p.db)
	for _, chore := range []func(){p.repeatedReads, p.types, p.ownWrites, p.transactions, p.failures, p.copies, p.strangers, p.repeatedReads} {
		chore()
	}
}

// strangers reads what others write.
func (p *program) strangers() {
	if p.from == nil {
		return
	}
	for written := range 10 {
		p.from.Stranger(p.ctx, "UPDATE item SET stock = $1 WHERE id = 3", written)
		show(p.shop.GetStock(p.ctx, 3))
	}
	p.from.Race(p.ctx, func(n int) error {
		_, err := p.shop.SetStock(p.ctx, shop.SetStockParams{ID: 2, Stock: int32(n)})
		return err
	}, func() (int, error) {
		stock, err := p.shop.GetStock(p.ctx, 2)
		return int(stock), err
	})
}

// show prints the error, or what was read.
func show[T any](value T, err error) {
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused):
		fmt.Println("error", refused.Code, refused.Message, refused.ConstraintName)
	case err != nil:
		fmt.Println("error", err)
	default:
		fmt.Printf("%+v\n", value)
	}
}

func (p *program) repeatedReads() {
	for range 15 {
		for _, name := range []string{"currency", "motto", "vat"} {
			show(p.shop.GetSetting(p.ctx, name))
		}
		show(p.shop.ListSettings(p.ctx))
	}
}

func (p *program) types() {
	var below pgtype.Numeric
	if err := below.Scan("99.5"); err != nil {
		log.Fatal(err)
	}
	for range 3 {
		show(p.shop.ListItems(p.ctx))
		show(p.shop.GetItem(p.ctx, 1))
		show(p.shop.GetItem(p.ctx, 99))
		show(p.shop.ListActive(p.ctx, shop.ListActiveParams{Ids: []int32{1, 2, 3}, Below: below}))
		show(p.shop.ListSold(p.ctx))
	}
}

func (p *program) ownWrites() {
	for stock := range 20 {
		show(p.shop.SetStock(p.ctx, shop.SetStockParams{ID: 3, Stock: int32(stock)}))
		for range 2 {
			show(p.shop.GetStock(p.ctx, 3))
		}
	}
	show(p.shop.AddSale(p.ctx, shop.AddSaleParams{Item: 1, Amount: 5}))
	show(p.shop.ListAmounts(p.ctx))
}

var errChangedMyMind = errors.New("changed my mind")

func (p *program) transactions() {
	for _, end := range []error{nil, errChangedMyMind} {
		err := pgx.BeginFunc(p.ctx, p.db, func(tx pgx.Tx) error {
			shopping := p.shop.WithTx(tx)
			show(shopping.SetStock(p.ctx, shop.SetStockParams{ID: 1, Stock: 40}))
			show(shopping.GetStock(p.ctx, 1))
			_ = pgx.BeginFunc(p.ctx, tx, func(inner pgx.Tx) error { // its error is shown
				rows, err := shopping.WithTx(inner).SetStock(p.ctx, shop.SetStockParams{ID: 1, Stock: -1})
				show(rows, err)
				return err
			})
			show(shopping.GetStock(p.ctx, 1))
			return end
		})
		show("ended", err)
		show(p.shop.GetStock(p.ctx, 1))
	}
}

func (p *program) failures() {
	show(p.shop.AddSale(p.ctx, shop.AddSaleParams{Item: 99, Amount: 1}))
	show(p.shop.SetStock(p.ctx, shop.SetStockParams{ID: 1, Stock: -1}))
	show(p.shop.GetStock(p.ctx, 1))
}

func (p *program) copies() {
	show(p.shop.AddSales(p.ctx, []shop.AddSalesParams{{Item: 1, Amount: 100}, {Item: 2, Amount: 200}}))
	show(p.shop.AddSales(p.ctx, []shop.AddSalesParams{{Item: 99, Amount: 1}}))
	show(p.shop.ListAmounts(p.ctx))
}
