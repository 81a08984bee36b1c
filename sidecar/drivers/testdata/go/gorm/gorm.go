// Package gorm is a shop's chores with GORM. Where to connect is in the environment.
package gorm

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"github.com/freshet/freshet/sidecar/drivers/testdata/go/source"
	"github.com/freshet/freshet/sidecar/drivers/testdata/go/version"
)

// Setting, Item and Sale are the shop's tables.
type (
	Setting struct {
		Name  string `gorm:"primaryKey"`
		Value string
	}
	Item struct {
		ID      int
		Name    string
		Price   string
		Stock   int
		Tags    pq.StringArray `gorm:"type:text[]"`
		Details *string        `gorm:"type:jsonb"`
		Photo   []byte
		Hue     *string
		Weight  *float64
		Changed *time.Time
		Active  *bool
		Sales   []Sale `gorm:"foreignKey:ItemID"`
	}
	Sale struct {
		ID     int64 `gorm:"->;primaryKey"`
		ItemID int   `gorm:"column:item"`
		Amount int
		Item   *Item `gorm:"foreignKey:ItemID"`
	}
)

func (Setting) TableName() string { return "setting" }
func (Item) TableName() string    { return "item" }
func (Sale) TableName() string    { return "sale" }

// Run does the chores.
func Run() {
	version.Print("gorm.io/gorm", "github.com/jackc/pgx/v5")
	dialector := postgres.Open("")
	if source.Chosen() {
		from = source.Open(context.Background())
		defer from.Close()
		handle := from.SQL()
		defer handle.Close()
		dialector = postgres.New(postgres.Config{Conn: handle})
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		log.Fatal(err)
	}
	for _, chore := range []func(*gorm.DB){repeatedReads, types, relations, ownWrites, transactions, failures, strangers, repeatedReads} {
		chore(db)
	}
}

// from is what the program reads, nil if that is its driver's own connections.
var from *source.Source

// strangers reads what others write.
func strangers(db *gorm.DB) {
	if from == nil {
		return
	}
	for written := range 10 {
		from.Stranger(context.Background(), "UPDATE item SET stock = $1 WHERE id = 3", written)
		stock(db, 3)
	}
	from.Race(context.Background(), func(n int) error {
		return db.Transaction(func(tx *gorm.DB) error { return tx.Model(&Item{ID: 2}).Update("stock", n).Error })
	}, func() (int, error) {
		var item Item
		err := db.Select("stock").Take(&item, 2).Error
		return item.Stock, err
	})
}

// show prints what was read, or the error.
func show(result *gorm.DB, values ...any) {
	var refused *pgconn.PgError
	switch {
	case errors.As(result.Error, &refused):
		fmt.Println("error", refused.Code, refused.Message, refused.ConstraintName)
	case result.Error != nil:
		fmt.Println("error", result.Error)
	default:
		fmt.Println(append(values, result.RowsAffected)...)
	}
}

func repeatedReads(db *gorm.DB) {
	prepared := db.Session(&gorm.Session{PrepareStmt: true})
	for range 10 {
		for _, name := range []string{"currency", "motto"} {
			var setting Setting
			show(db.First(&setting, "name = ?", name), setting)
		}
		var all []Setting
		show(db.Order("name").Find(&all), all)
		var values []string
		show(prepared.Model(&Setting{}).Where("name IN ?", []string{"vat", "motto"}).Order("name").Pluck("value", &values), values)
		var value string
		show(db.Raw("SELECT value FROM setting WHERE name = ?", "vat").Scan(&value), value)
	}
}

func (i Item) show() {
	fmt.Printf("%d %q %s %d %q %v %x %v %v %v %v %v\n", i.ID, i.Name, i.Price, i.Stock, i.Tags,
		text(i.Details), i.Photo, text(i.Hue), text(i.Weight), text(i.Changed), text(i.Active), len(i.Sales))
}

func text[T any](value *T) string {
	if value == nil {
		return "NULL"
	}
	return fmt.Sprint(*value)
}

// types leaves out one item: Go's times have no infinity.
func types(db *gorm.DB) {
	for range 3 {
		var items []Item
		show(db.Where("id <> ?", 2).Order("id").Find(&items))
		for _, item := range items {
			item.show()
		}
		var names []string
		show(db.Model(&Item{}).Where(&Item{Name: "anchor"}).Where("price < ?", "99.5").Pluck("name", &names), names)
		show(db.Model(&Item{}).Where("details @> ?", `{"a": [1]}`).Where("photo = ?", []byte{0, 255, 16}).Pluck("name", &names), names)
		show(db.Model(&Item{}).Where("changed > ?", time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).Pluck("name", &names), names)
		show(db.First(&Item{}, 99))
		var n int64
		show(db.Model(&Item{}).Count(&n), n)
	}
}

func relations(db *gorm.DB) {
	for range 3 {
		var items []Item
		show(db.Preload("Sales").Select("id", "name", "stock").Order("id").Find(&items))
		for _, item := range items {
			item.show()
		}
		var sales []Sale
		show(db.Joins("Item", db.Select("id", "name")).Order("sale.id").Find(&sales))
		for _, sale := range sales {
			fmt.Println(sale.ID, sale.Amount, sale.Item.Name)
		}
	}
}

func stock(db *gorm.DB, id int) {
	var item Item
	show(db.Select("stock").Take(&item, id), item.Stock)
}

// ownWrites reads on the connection that wrote, which the pool would not promise.
func ownWrites(db *gorm.DB) {
	err := db.Connection(func(db *gorm.DB) error {
		for written := range 20 {
			show(db.Model(&Item{ID: 3}).Update("stock", written))
			stock(db, 3)
			stock(db, 3)
		}
		sales := []Sale{{ItemID: 1, Amount: 5}, {ItemID: 2, Amount: 6}}
		show(db.Create(&sales), sales[0].ID, sales[1].ID)
		show(db.Clauses(clause.OnConflict{DoNothing: true}).Create(&Setting{Name: "vat", Value: "20"}))
		show(db.Where("amount = ?", 6).Delete(&Sale{}))
		var amounts []int
		show(db.Model(&Sale{}).Order("id").Pluck("amount", &amounts), amounts)
		return nil
	})
	if err != nil {
		fmt.Println("error", err)
	}
}

var errChangedMyMind = errors.New("changed my mind")

func transactions(db *gorm.DB) {
	for _, end := range []error{nil, errChangedMyMind} {
		err := db.Transaction(func(tx *gorm.DB) error {
			show(tx.Model(&Item{ID: 1}).Update("stock", gorm.Expr("stock + ?", 100)))
			stock(tx, 1)
			_ = tx.Transaction(func(inner *gorm.DB) error { // its error is shown
				failed := inner.Model(&Item{ID: 1}).Update("stock", -1)
				show(failed)
				return failed.Error
			})
			stock(tx, 1)
			return end
		})
		fmt.Println("ended", err)
		stock(db, 1)
	}
}

func failures(db *gorm.DB) {
	show(db.Create(&Sale{ItemID: 99, Amount: 1}))
	for _, statement := range []string{"SELECT nothing FROM item", "SELEC 1", "SELECT 1 / (stock - stock) FROM item"} {
		show(db.Exec(statement))
		stock(db, 1)
	}
}
