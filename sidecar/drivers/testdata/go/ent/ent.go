// Package ent is a shop's chores with what the code that ent generates is made of: its driver and its
// graph of nodes. Where to connect is in the environment.
package ent

import (
	"context"
	stdsql "database/sql"
	"fmt"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/sqlgraph"
	"entgo.io/ent/schema/field"

	"github.com/freshet/freshet/sidecar/drivers/testdata/go/source"
	"github.com/freshet/freshet/sidecar/drivers/testdata/go/version"
)

var (
	itemID      = sqlgraph.NewFieldSpec("id", field.TypeInt)
	itemColumns = []string{"id", "name", "stock", "photo", "hue", "weight", "changed", "active"}
	saleID      = sqlgraph.NewFieldSpec("id", field.TypeInt)
	saleColumns = []string{"id", "item", "amount"}
)

// Run does the chores.
func Run() {
	version.Print("entgo.io/ent")
	ctx := context.Background()
	from := source.Open(ctx)
	defer from.Close()
	driver := sql.OpenDB(dialect.Postgres, from.SQL())
	defer driver.Close()
	p := &program{ctx, from, driver}
	for _, chore := range []func(){p.repeatedReads, p.types, p.variables, p.ownWrites, p.transactions, p.failures, p.strangers, p.repeatedReads} {
		chore()
	}
}

type program struct {
	ctx    context.Context
	from   *source.Source
	driver *sql.Driver
}

// nodes prints the nodes of a table that a predicate selects.
func (p *program) nodes(driver dialect.Driver, table string, columns []string, id *sqlgraph.FieldSpec, where func(*sql.Selector)) {
	spec := sqlgraph.NewQuerySpec(table, columns, id)
	spec.Unique = false
	spec.Predicate = where
	spec.Order = func(s *sql.Selector) { s.OrderBy(sql.Asc(s.C("id"))) }
	spec.ScanValues = scanned
	n := 0
	spec.Assign = func(columns []string, values []any) error {
		n++
		fmt.Println(columns, texts(values))
		return nil
	}
	source.Show(sqlgraph.QueryNodes(p.ctx, driver, spec), n)
}

// scanned are destinations as generated code makes them.
func scanned(columns []string) ([]any, error) {
	values := make([]any, len(columns))
	for i, column := range columns {
		switch column {
		case "photo":
			values[i] = new([]byte)
		case "weight":
			values[i] = new(stdsql.NullFloat64)
		case "changed":
			values[i] = new(stdsql.NullTime)
		case "active":
			values[i] = new(stdsql.NullBool)
		case "name", "hue", "value":
			values[i] = new(stdsql.NullString)
		default:
			values[i] = new(stdsql.NullInt64)
		}
	}
	return values, nil
}

func texts(values []any) (out []string) {
	for _, value := range values {
		switch v := value.(type) {
		case *[]byte:
			out = append(out, fmt.Sprintf("%x", *v))
		case *stdsql.NullTime:
			out = append(out, fmt.Sprint(v.Time.UTC(), v.Valid))
		default:
			out = append(out, fmt.Sprint(v))
		}
	}
	return out
}

func (p *program) repeatedReads() {
	name := sqlgraph.NewFieldSpec("name", field.TypeString)
	for range 10 {
		for _, wanted := range []string{"currency", "motto", "vat"} {
			spec := sqlgraph.NewQuerySpec("setting", []string{"name", "value"}, name)
			spec.Predicate, spec.ScanValues, spec.Limit = sql.FieldEQ("name", wanted), scanned, 2
			spec.Assign = func(_ []string, values []any) error {
				fmt.Println(texts(values))
				return nil
			}
			source.Show(sqlgraph.QueryNodes(p.ctx, p.driver, spec))
		}
		n, err := sqlgraph.CountNodes(p.ctx, p.driver, sqlgraph.NewQuerySpec("setting", nil, name))
		source.Show(err, n)
	}
}

// types leaves out one item: Go's times have no infinity.
func (p *program) types() {
	sales := func(s *sql.Selector, where func(*sql.Selector)) {
		sqlgraph.HasNeighborsWith(s, sqlgraph.NewStep(
			sqlgraph.From("item", "id"), sqlgraph.To("sale", "id"), sqlgraph.Edge(sqlgraph.O2M, false, "sale", "item")), where)
	}
	for range 3 {
		p.nodes(p.driver, "item", itemColumns, itemID, sql.FieldNEQ("id", 2))
		p.nodes(p.driver, "item", itemColumns[:2], itemID, sql.FieldIn("name", "anchor", "bottle"))
		p.nodes(p.driver, "item", itemColumns[:2], itemID, sql.FieldHasPrefix("name", "an"))
		p.nodes(p.driver, "item", itemColumns[:2], itemID, func(s *sql.Selector) { sales(s, sql.FieldGT("amount", 2)) })
		// What an eager loading of an edge asks for.
		p.nodes(p.driver, "sale", saleColumns, saleID, sql.FieldIn("item", 1, 2))
	}
}

// variables reads with a setting for one statement, as ent has it.
func (p *program) variables() {
	for _, form := range []string{"escape", "hex", "escape"} {
		rows := &sql.Rows{}
		err := p.driver.Query(sql.WithVar(p.ctx, "bytea_output", form), "SELECT photo::text FROM item WHERE id = 1", []any{}, rows)
		if err != nil {
			source.Show(err)
			continue
		}
		text, err := sql.ScanString(rows)
		source.Show(err, text)
		source.Show(rows.Close())
		rows = &sql.Rows{}
		if err := p.driver.Query(p.ctx, "SELECT photo::text FROM item WHERE id = 1", []any{}, rows); err != nil {
			source.Show(err)
			continue
		}
		text, err = sql.ScanString(rows)
		source.Show(err, text)
		source.Show(rows.Close())
	}
}

func (p *program) setStock(driver dialect.Driver, id, stock int) error {
	spec := sqlgraph.NewUpdateSpec("item", []string{"id", "stock"}, itemID)
	spec.Node.ID.Value = id
	spec.SetField("stock", field.TypeInt, stock)
	spec.ScanValues = scanned
	spec.Assign = func([]string, []any) error { return nil }
	return sqlgraph.UpdateNode(p.ctx, driver, spec)
}

func (p *program) stock(driver dialect.Driver, id int) (stock int, err error) {
	spec := sqlgraph.NewQuerySpec("item", []string{"id", "stock"}, itemID)
	spec.Unique = false
	spec.Predicate, spec.ScanValues = sql.FieldEQ("id", id), scanned
	spec.Assign = func(_ []string, values []any) error {
		stock = int(values[1].(*stdsql.NullInt64).Int64)
		return nil
	}
	return stock, sqlgraph.QueryNodes(p.ctx, driver, spec)
}

func (p *program) showStock(driver dialect.Driver, id int) {
	stock, err := p.stock(driver, id)
	source.Show(err, stock)
}

func (p *program) ownWrites() {
	for written := range 20 {
		source.Show(p.setStock(p.driver, 3, written), "updated")
		p.showStock(p.driver, 3)
		p.showStock(p.driver, 3)
	}
	spec := sqlgraph.NewCreateSpec("sale", saleID)
	spec.SetField("item", field.TypeInt, 1)
	spec.SetField("amount", field.TypeInt, 5)
	source.Show(sqlgraph.CreateNode(p.ctx, p.driver, spec), spec.ID.Value)
	p.nodes(p.driver, "sale", saleColumns, saleID, func(*sql.Selector) {})
	n, err := sqlgraph.DeleteNodes(p.ctx, p.driver, &sqlgraph.DeleteSpec{
		Node: &sqlgraph.NodeSpec{Table: "sale", ID: saleID}, Predicate: sql.FieldEQ("amount", 5),
	})
	source.Show(err, n)
	p.nodes(p.driver, "sale", saleColumns, saleID, func(*sql.Selector) {})
}

// within is a transaction that generated code takes for a driver.
type within struct {
	dialect.Driver
	tx dialect.Tx
}

func (w within) Exec(ctx context.Context, query string, args, v any) error {
	return w.tx.Exec(ctx, query, args, v)
}

func (w within) Query(ctx context.Context, query string, args, v any) error {
	return w.tx.Query(ctx, query, args, v)
}

func (w within) Tx(context.Context) (dialect.Tx, error) { return dialect.NopTx(w), nil }

func (p *program) transactions() {
	for _, commits := range []bool{true, false} {
		tx, err := p.driver.Tx(p.ctx)
		if err != nil {
			source.Show(err)
			return
		}
		inside := within{p.driver, tx}
		source.Show(p.setStock(inside, 1, 40), "updated")
		p.showStock(inside, 1)
		if commits {
			source.Show(tx.Commit(), "committed")
		} else {
			source.Show(tx.Rollback(), "rolled back")
		}
		p.showStock(p.driver, 1)
		source.Show(p.setStock(p.driver, 1, 7), "updated")
	}
}

func (p *program) failures() {
	spec := sqlgraph.NewCreateSpec("sale", saleID)
	spec.SetField("item", field.TypeInt, 99)
	spec.SetField("amount", field.TypeInt, 1)
	err := sqlgraph.CreateNode(p.ctx, p.driver, spec)
	fmt.Println(sqlgraph.IsForeignKeyConstraintError(err))
	source.Show(err)
	source.Show(p.setStock(p.driver, 1, -1))
	source.Show(p.setStock(p.driver, 99, 1))
	p.showStock(p.driver, 1)
	p.nodes(p.driver, "item", []string{"id", "nothing"}, itemID, sql.FieldEQ("id", 1))
	p.nodes(p.driver, "nothing", []string{"id"}, itemID, sql.FieldEQ("id", 1))
}

// strangers reads what others write.
func (p *program) strangers() {
	for written := range 10 {
		p.from.Stranger(p.ctx, "UPDATE item SET stock = $1 WHERE id = 3", written)
		p.showStock(p.driver, 3)
	}
	p.from.Race(p.ctx, func(n int) error { return p.setStock(p.driver, 2, n) }, func() (int, error) { return p.stock(p.driver, 2) })
}
