// Package sqlx is a shop's chores with sqlx. Where to connect is in the environment.
package sqlx

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/freshet/freshet/sidecar/drivers/testdata/go/source"
	"github.com/freshet/freshet/sidecar/drivers/testdata/go/version"
)

// setting, item and sold are rows of the shop's tables.
type (
	setting struct {
		Name  string `db:"name"`
		Value string `db:"value"`
	}
	item struct {
		ID      int             `db:"id"`
		Name    string          `db:"name"`
		Price   string          `db:"price"`
		Stock   int             `db:"stock"`
		Details *string         `db:"details"`
		Photo   []byte          `db:"photo"`
		Hue     sql.NullString  `db:"hue"`
		Weight  sql.NullFloat64 `db:"weight"`
		Changed sql.NullTime    `db:"changed"`
		Active  sql.NullBool    `db:"active"`
	}
	sold struct {
		Name   string `db:"name"`
		Amount int    `db:"amount"`
	}
)

// Run does the chores.
func Run() {
	version.Print("github.com/jmoiron/sqlx")
	ctx := context.Background()
	from := source.Open(ctx)
	defer from.Close()
	handle := from.SQL()
	defer handle.Close()
	p := &program{ctx, from, sqlx.NewDb(handle, "pgx")}
	for _, chore := range []func(){p.repeatedReads, p.types, p.ownWrites, p.transactions, p.failures, p.strangers, p.repeatedReads} {
		chore()
	}
}

type program struct {
	ctx  context.Context
	from *source.Source
	db   *sqlx.DB
}

func (p *program) repeatedReads() {
	for range 10 {
		for _, name := range []string{"currency", "motto"} {
			var s setting
			source.Show(p.db.GetContext(p.ctx, &s, "SELECT * FROM setting WHERE name = $1", name), s)
		}
		var all []setting
		source.Show(p.db.SelectContext(p.ctx, &all, "SELECT name, value FROM setting ORDER BY name"), all)
		query, args, err := sqlx.In("SELECT value FROM setting WHERE name IN (?) ORDER BY name", []string{"vat", "motto"})
		source.Show(err)
		var values []string
		source.Show(p.db.SelectContext(p.ctx, &values, p.db.Rebind(query), args...), values)
	}
	named, err := p.db.PrepareNamedContext(p.ctx, "SELECT value FROM setting WHERE name = :name")
	if err != nil {
		source.Show(err)
		return
	}
	defer named.Close()
	for range 10 {
		var value string
		source.Show(named.GetContext(p.ctx, &value, map[string]any{"name": "motto"}), value)
	}
}

func (p *program) types() {
	for range 3 {
		var items []item
		source.Show(p.db.SelectContext(p.ctx, &items, "SELECT id, name, price, stock, details, photo, hue, weight, changed, active FROM item WHERE id <> $1 ORDER BY id", 2))
		for _, i := range items {
			fmt.Printf("%d %q %s %d %x %v %v %v %v %v\n", i.ID, i.Name, i.Price, i.Stock, i.Photo, i.Details == nil, i.Hue, i.Weight, i.Changed.Time.UTC(), i.Active)
		}
		rows, err := p.db.QueryxContext(p.ctx, "SELECT * FROM item WHERE id <> 2 ORDER BY id")
		if err != nil {
			source.Show(err)
			return
		}
		for rows.Next() {
			byName := map[string]any{}
			source.Show(rows.MapScan(byName), byName)
		}
		source.Show(rows.Err())
		var all []sold
		source.Show(p.db.SelectContext(p.ctx, &all, "SELECT name, amount FROM sold ORDER BY name"), all)
		rows, err = p.db.NamedQueryContext(p.ctx, "SELECT name, value FROM setting WHERE name = :name", setting{Name: "vat"})
		if err != nil {
			source.Show(err)
			return
		}
		for rows.Next() {
			var s setting
			source.Show(rows.StructScan(&s), s)
		}
		source.Show(rows.Err())
	}
}

func (p *program) stock(from sqlx.QueryerContext, id int) {
	var stock int
	source.Show(sqlx.GetContext(p.ctx, from, &stock, "SELECT stock FROM item WHERE id = $1", id), stock)
}

// ownWrites reads on other connections than the one that wrote, too.
func (p *program) ownWrites() {
	conn, err := p.db.Connx(p.ctx)
	if err != nil {
		source.Show(err)
		return
	}
	defer conn.Close()
	for written := range 20 {
		_, err := p.db.NamedExecContext(p.ctx, "UPDATE item SET stock = :stock WHERE id = :id", item{ID: 3, Stock: written})
		source.Show(err, "updated")
		p.stock(p.db, 3)
		p.stock(conn, 3)
	}
	var id int
	source.Show(p.db.GetContext(p.ctx, &id, "INSERT INTO sale (item, amount) VALUES ($1, $2) RETURNING id", 1, 5), id)
	var amounts []int
	source.Show(p.db.SelectContext(p.ctx, &amounts, "SELECT amount FROM sale ORDER BY id"), amounts)
}

func (p *program) transactions() {
	for _, commits := range []bool{true, false} {
		tx, err := p.db.BeginTxx(p.ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
		if err != nil {
			source.Show(err)
			return
		}
		_, err = tx.ExecContext(p.ctx, "UPDATE item SET stock = stock + 100 WHERE id = 1")
		source.Show(err, "updated")
		p.stock(tx, 1)
		if commits {
			source.Show(tx.Commit(), "committed")
		} else {
			source.Show(tx.Rollback(), "rolled back")
		}
		p.stock(p.db, 1)
	}
}

func (p *program) failures() {
	_, err := p.db.ExecContext(p.ctx, "INSERT INTO sale (item, amount) VALUES (99, 1)")
	source.Show(err)
	source.Show(p.db.GetContext(p.ctx, &setting{}, "SELECT name, value FROM setting WHERE name = 'none'"))
	source.Show(p.db.GetContext(p.ctx, &setting{}, "SELECT name AS nobody FROM setting"))
	for _, text := range []string{"SELECT nothing FROM item", "SELEC 1", "SELECT 1 / (stock - stock) FROM item"} {
		source.Show(p.db.SelectContext(p.ctx, &[]int{}, text))
		p.stock(p.db, 1)
	}
}

// strangers reads what others write.
func (p *program) strangers() {
	for written := range 10 {
		p.from.Stranger(p.ctx, "UPDATE item SET stock = $1 WHERE id = 3", written)
		p.stock(p.db, 3)
	}
	p.from.Race(p.ctx, func(n int) error {
		_, err := p.db.ExecContext(p.ctx, "UPDATE item SET stock = $1 WHERE id = 2", n)
		return err
	}, func() (stock int, err error) {
		err = p.db.GetContext(p.ctx, &stock, "SELECT stock FROM item WHERE id = $1", 2)
		return stock, err
	})
}
