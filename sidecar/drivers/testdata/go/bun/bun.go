// Package bun is a shop's chores with bun, and with its own driver unless a source is asked for. Where to
// connect is in the environment.
package bun

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/driver/pgdriver"

	"github.com/freshet/freshet/sidecar/drivers/testdata/go/source"
	"github.com/freshet/freshet/sidecar/drivers/testdata/go/version"
)

// setting, item and sale are the shop's tables.
type (
	setting struct {
		bun.BaseModel `bun:"table:setting"`
		Name          string `bun:",pk"`
		Value         string
	}
	item struct {
		bun.BaseModel `bun:"table:item"`
		ID            int `bun:",pk"`
		Name          string
		Price         string
		Stock         int
		Tags          []string       `bun:",array"`
		Details       map[string]any `bun:"type:jsonb"`
		Photo         []byte
		Hue           *string
		Weight        *float64
		Changed       *time.Time
		Active        *bool
		Sales         []*sale `bun:"rel:has-many,join:id=item"`
	}
	sale struct {
		bun.BaseModel `bun:"table:sale"`
		ID            int64 `bun:",pk,autoincrement"`
		Item          int
		Amount        int
		Of            *item `bun:"rel:belongs-to,join:item=id"`
	}
)

// Run does the chores.
func Run() {
	version.Print("github.com/uptrace/bun", "github.com/uptrace/bun/driver/pgdriver")
	ctx := context.Background()
	chores := []func(context.Context, *bun.DB){repeatedReads, types, relations, ownWrites, transactions, failures}
	var handle *sql.DB
	if source.Chosen() {
		from := source.Open(ctx)
		defer from.Close()
		handle, chores = from.SQL(), append(chores, strangers(from))
	} else {
		handle, chores = sql.OpenDB(ownDriver()), append(chores, copies)
	}
	db := bun.NewDB(handle, pgdialect.New())
	defer db.Close()
	for _, chore := range append(chores, repeatedReads) {
		chore(ctx, db)
	}
}

// ownDriver makes connections of bun's own.
func ownDriver() *pgdriver.Connector {
	socket := fmt.Sprintf("%s/.s.PGSQL.%s", os.Getenv("PGHOST"), os.Getenv("PGPORT"))
	return pgdriver.NewConnector(pgdriver.WithNetwork("unix"), pgdriver.WithAddr(socket), pgdriver.WithTLSConfig(nil),
		pgdriver.WithUser(os.Getenv("PGUSER")), pgdriver.WithDatabase(os.Getenv("PGDATABASE")))
}

// strangers reads what others write.
func strangers(from *source.Source) func(context.Context, *bun.DB) {
	return func(ctx context.Context, db *bun.DB) {
		for written := range 10 {
			from.Stranger(ctx, "UPDATE item SET stock = $1 WHERE id = 3", written)
			stock(ctx, db, 3)
		}
		from.Race(ctx, func(n int) error {
			_, err := db.NewUpdate().Model(&item{ID: 2, Stock: n}).Column("stock").WherePK().Exec(ctx)
			return err
		}, func() (stock int, err error) {
			err = db.NewSelect().Model((*item)(nil)).Column("stock").Where("id = 2").Scan(ctx, &stock)
			return stock, err
		})
	}
}

// show prints the error, or what was read.
func show(err error, values ...any) {
	var refused pgdriver.Error
	var refusedByPgx *pgconn.PgError
	switch {
	case errors.As(err, &refusedByPgx):
		fmt.Println("error", refusedByPgx.Code, refusedByPgx.Message, refusedByPgx.ConstraintName)
	case errors.As(err, &refused):
		fmt.Println("error", refused.Field('C'), refused.Field('M'), refused.Field('n'))
	case err != nil:
		fmt.Println("error", err)
	default:
		fmt.Println(values...)
	}
}

func repeatedReads(ctx context.Context, db *bun.DB) {
	for range 10 {
		for _, name := range []string{"currency", "motto"} {
			var s setting
			show(db.NewSelect().Model(&s).Where("name = ?", name).Scan(ctx), s.Name, s.Value)
		}
		var values []string
		show(db.NewSelect().Model((*setting)(nil)).Column("value").Order("name").Scan(ctx, &values), values)
		var value string
		show(db.QueryRowContext(ctx, "SELECT value FROM setting WHERE name = ?", "vat").Scan(&value), value)
	}
	statement, err := db.PrepareContext(ctx, "SELECT value FROM setting WHERE name = $1")
	if err != nil {
		show(err)
		return
	}
	defer statement.Close()
	for range 20 {
		var value string
		show(statement.QueryRowContext(ctx, "motto").Scan(&value), value)
	}
}

func (i *item) show() {
	fmt.Println(i.ID, i.Name, i.Price, i.Stock, i.Tags, i.Details, i.Photo, text(i.Hue), text(i.Weight), text(i.Changed), text(i.Active), len(i.Sales))
}

func text[T any](value *T) string {
	if value == nil {
		return "NULL"
	}
	return fmt.Sprint(*value)
}

// types leaves out one item: Go's times have no infinity.
func types(ctx context.Context, db *bun.DB) {
	for range 3 {
		var items []*item
		show(db.NewSelect().Model(&items).Where("id <> ?", 2).Order("id").Scan(ctx))
		for _, i := range items {
			i.show()
		}
		names := func(where string, values ...any) {
			var names []string
			show(db.NewSelect().Model((*item)(nil)).Column("name").Where(where, values...).Order("id").Scan(ctx, &names), names)
		}
		names("id IN (?) AND active", bun.List([]int{1, 2, 3}))
		names("price < ? AND tags @> ?", "99.5", pgdialect.Array([]string{"iron"}))
		names("details @> ?", map[string]any{"a": []int{1}})
		names("photo = ?", []byte{0, 255, 16})
		names("changed > ?", time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))
		names("false")
		n, err := db.NewSelect().Model((*item)(nil)).Count(ctx)
		show(err, n)
	}
}

func relations(ctx context.Context, db *bun.DB) {
	for range 3 {
		var items []*item
		show(db.NewSelect().Model(&items).Column("id", "name", "stock").Relation("Sales").Order("id").Scan(ctx))
		for _, i := range items {
			i.show()
		}
		var sales []*sale
		show(db.NewSelect().Model(&sales).Relation("Of", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Column("name") }).Order("sale.id").Scan(ctx))
		for _, s := range sales {
			fmt.Println(s.ID, s.Amount, s.Of.Name)
		}
	}
}

func stock(ctx context.Context, db bun.IDB, id int) {
	var stock int
	show(db.NewSelect().Model((*item)(nil)).Column("stock").Where("id = ?", id).Scan(ctx, &stock), stock)
}

// ownWrites reads on the connection that wrote, which the pool would not promise.
func ownWrites(ctx context.Context, db *bun.DB) {
	conn, err := db.Conn(ctx)
	if err != nil {
		show(err)
		return
	}
	defer conn.Close()
	for written := range 20 {
		_, err := conn.NewUpdate().Model(&item{ID: 3, Stock: written}).Column("stock").WherePK().Exec(ctx)
		show(err, "updated")
		stock(ctx, conn, 3)
		stock(ctx, conn, 3)
	}
	sales := []*sale{{Item: 1, Amount: 5}, {Item: 2, Amount: 6}}
	_, err = conn.NewInsert().Model(&sales).Exec(ctx)
	show(err, sales[0].ID, sales[1].ID)
	_, err = conn.NewDelete().Model((*sale)(nil)).Where("amount = ?", 6).Exec(ctx)
	show(err, "deleted")
	var amounts []int
	show(conn.NewSelect().Model((*sale)(nil)).Column("amount").Order("id").Scan(ctx, &amounts), amounts)
}

var errChangedMyMind = errors.New("changed my mind")

func transactions(ctx context.Context, db *bun.DB) {
	for _, end := range []error{nil, errChangedMyMind} {
		err := db.RunInTx(ctx, &sql.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewUpdate().Model((*item)(nil)).Set("stock = stock + 100").Where("id = ?", 1).Exec(ctx)
			show(err, "updated")
			stock(ctx, tx, 1)
			show(tx.RunInTx(ctx, nil, func(ctx context.Context, inner bun.Tx) error {
				_, err := inner.NewUpdate().Model((*item)(nil)).Set("stock = -1").Where("id = ?", 1).Exec(ctx)
				return err
			}))
			stock(ctx, tx, 1)
			return end
		})
		show(err, "committed")
		stock(ctx, db, 1)
	}
}

func failures(ctx context.Context, db *bun.DB) {
	_, err := db.NewInsert().Model(&sale{Item: 99, Amount: 1}).Exec(ctx)
	show(err)
	for _, statement := range []string{"SELECT nothing FROM item", "SELEC 1", "SELECT 1 / (stock - stock) FROM item"} {
		_, err := db.ExecContext(ctx, statement)
		show(err)
		stock(ctx, db, 1)
	}
}

func copies(ctx context.Context, db *bun.DB) {
	conn, err := db.Conn(ctx)
	if err != nil {
		show(err)
		return
	}
	defer conn.Close()
	_, err = pgdriver.CopyFrom(ctx, conn, strings.NewReader("1\t100\n2\t200\n"), "COPY sale (item, amount) FROM STDIN")
	show(err, "copied")
	var out strings.Builder
	_, err = pgdriver.CopyTo(ctx, conn, &out, "COPY (SELECT item, amount FROM sale WHERE amount >= 100 ORDER BY id) TO STDOUT")
	show(err, out.String())
}
