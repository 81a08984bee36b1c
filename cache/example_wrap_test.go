package cache_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache"
)

// Item is a row of public.products.
type Item struct {
	ID    int64
	Name  string
	Price int
}

var errNoItem = errors.New("no such item")

// Items is a repository, as a program may have it already; its db was a pool before.
type Items struct{ db *cache.DB }

// ByID loads one item.
func (r Items) ByID(ctx context.Context, id int64) (Item, error) {
	var item Item
	err := r.db.QueryRow(ctx, "SELECT id, name, price FROM products WHERE id = $1", id).
		Scan(&item.ID, &item.Name, &item.Price)
	if errors.Is(err, pgx.ErrNoRows) {
		err = errNoItem
	}
	return item, err
}

// ByIDs loads those of many items that there are.
func (r Items) ByIDs(ctx context.Context, ids []int64) ([]Item, error) {
	rows, err := r.db.Query(ctx, "SELECT id, name, price FROM products WHERE id = ANY($1)", ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Item])
}

// A method of a repository becomes a cached one, with the signature that it has.
func ExampleWrap_library() {
	ctx := context.Background()
	db, done := open(ctx)
	defer done()

	item := cache.Wrap(db, "item", Items{db}.ByID)

	for range 2 {
		found, err := item(ctx, 1) // the second time from memory
		if err != nil {
			log.Panic(err)
		}
		fmt.Println(found.Name, "costs", found.Price)
	}
	if _, err := db.Exec(ctx, "UPDATE products SET price = price + 1 WHERE id = 1"); err != nil {
		log.Panic(err)
	}
	found, err := item(ctx, 1)
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(found.Name, "costs", found.Price)
}

// Many keys are one question to memory, one to Redis, and one load of the rest.
func ExampleRepository_GetMany() {
	ctx := context.Background()
	db, done := open(ctx)
	defer done()

	items := cache.NewRepository(db, "item", Items{db}.ByID, cache.Policy[int64, Item]{
		NotFound: errNoItem,
		LoadMany: Items{db}.ByIDs,
		KeyOf:    func(item Item) int64 { return item.ID },
		// One load brings many values: this says which of its rows each depends on.
		DependsOn: func(id int64, _ Item) []cache.Dependency {
			return []cache.Dependency{cache.Row("public.products", "id", id)}
		},
	})

	found, err := items.GetMany(ctx, []int64{1, 2, 3})
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(len(found), "found")
}

// What was good once is better than nothing for some callers. They say so themselves.
func ExampleStaleError() {
	ctx := context.Background()
	db, done := open(ctx)
	defer done()

	item := cache.Wrap(db, "item", Items{db}.ByID, cache.Policy[int64, Item]{
		Grace:    time.Hour,              // what is older is not returned at all
		Patience: 500 * time.Millisecond, // how long a caller waits for a load first
	})

	found, err := item(ctx, 1)
	var stale *cache.StaleError
	if errors.As(err, &stale) {
		log.Printf("since %v: %v", stale.Since, stale.Cause)
		err = nil
	}
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(found.Name)
}

// Measure is a value that JSON does not keep: a whole number in Value comes back as another.
type Measure struct {
	Name  string
	Value any
}

// gobCodec encodes values by encoding/gob. One of msgpack or protobuf has the same two
// methods.
type gobCodec[V any] struct{}

func (gobCodec[V]) Append(dst []byte, v V) ([]byte, error) {
	b := bytes.NewBuffer(dst)
	err := gob.NewEncoder(b).Encode(v)
	return b.Bytes(), err
}

func (gobCodec[V]) Decode(src []byte) (v V, err error) {
	err = gob.NewDecoder(bytes.NewReader(src)).Decode(&v)
	return v, err
}

// Values that JSON does not keep go to Redis by a codec that does.
func ExampleCodec() {
	ctx := context.Background()
	db, done := open(ctx)
	defer done()
	<-db.Ready()

	load := func(ctx context.Context, id int64) (Measure, error) {
		var price int64
		err := db.QueryRow(ctx, "SELECT price FROM products WHERE id = $1", id).Scan(&price)
		return Measure{"price", price}, err
	}
	byGob := cache.Wrap(db, "measure", load, cache.Policy[int64, Measure]{Codec: gobCodec[Measure]{}})
	byJSON := cache.Wrap(db, "measure as JSON", load)

	for range 2 {
		m, err := byGob(ctx, 2)
		if err == nil {
			_, err = byJSON(ctx, 2)
		}
		if err != nil {
			log.Panic(err)
		}
		fmt.Printf("%s %T\n", m.Name, m.Value)
	}
	for _, name := range []string{"measure", "measure as JSON"} {
		fmt.Printf("%s is shared: %t\n", name, db.Stats().Functions[name].MemoryOnly == "")
	}
}

// Forecast is what another service says of a product.
type Forecast struct{ Sales int }

// What a function reads from another service ends with the rows that it is about, and does not
// wait for its turn among the loads that use the pool.
func ExamplePolicy_elsewhere() {
	ctx := context.Background()
	db, done := open(ctx)
	defer done()
	<-db.Ready()

	calls := 0
	ask := func(_ context.Context, id int64) (Forecast, error) {
		calls++ // of the service
		return Forecast{Sales: int(100 * id)}, nil
	}
	forecast := cache.Wrap(db, "forecast", ask, cache.Policy[int64, Forecast]{
		Elsewhere: true,
		DependsOn: func(id int64, _ Forecast) []cache.Dependency {
			return []cache.Dependency{cache.Row("public.products", "id", id)}
		},
		TTL: time.Hour, // what the service alone knows of
	})
	for range 2 {
		f, err := forecast(ctx, 1)
		if err != nil {
			log.Panic(err)
		}
		fmt.Println(f.Sales)
	}
	fmt.Println(calls, "call")
}
