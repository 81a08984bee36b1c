package cache_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
)

// Where the pool went, the DB goes.
func ExampleOpen() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Panic(err)
	}
	defer pool.Close()
	db, err := cache.Open(ctx, pool, cache.Options{Watch: []string{"public.*"}})
	if err != nil {
		log.Panic(err)
	}
	defer db.Close()

	var name string
	err = db.QueryRow(ctx, "SELECT name FROM products WHERE id = $1", 1).Scan(&name)
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(name)
}

// What a statement depends on, or why it is not kept.
func ExampleDB_Explain() {
	ctx := context.Background()
	db, done := open(ctx)
	defer done()

	explanation, err := db.Explain(ctx, "SELECT name FROM products WHERE id = $1")
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(explanation)
}

// open is the beginning of the examples that come later.
func open(ctx context.Context) (db *cache.DB, done func()) {
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Panic(err)
	}
	db, err = cache.Open(ctx, pool, cache.Options{Watch: []string{"public.*"}})
	if err != nil {
		log.Panic(err)
	}
	<-db.Ready()
	return db, func() { db.Close(); pool.Close() }
}

// A read that must show what anybody has written, and reads that may be a little older.
func ExampleWithLevel() {
	ctx := context.Background()
	db, done := open(ctx)
	defer done()

	_, err := db.Exec(ctx, "UPDATE products SET price = 12 WHERE id = 1")
	if err != nil {
		log.Panic(err)
	}

	strong := cache.WithLevel(ctx, cache.Strong)           // whatever anybody has written
	relaxed := cache.WithLevel(ctx, cache.Bounded)         // at most Options.Staleness old
	quick := cache.WithStaleness(ctx, 50*time.Millisecond) // at most 50 ms old

	var price int
	for _, ctx := range []context.Context{relaxed, quick, strong} {
		err = db.QueryRow(ctx, "SELECT price FROM products WHERE id = $1", 1).Scan(&price)
		if err != nil {
			log.Panic(err)
		}
	}
	fmt.Println(price)
}

// What one process wrote, another one shows to whom it is handed a token.
func ExampleWithToken() {
	ctx := context.Background()
	db, done := open(ctx)
	defer done()

	_, err := db.Exec(ctx, "UPDATE products SET price = 14 WHERE id = 1")
	if err != nil {
		log.Panic(err)
	}
	token, err := db.Token(ctx)
	if err != nil {
		log.Panic(err)
	}

	// In another process:
	ctx, err = cache.WithToken(ctx, token)
	if err != nil {
		log.Panic(err)
	}
	var price int
	err = db.QueryRow(ctx, "SELECT price FROM products WHERE id = $1", 1).Scan(&price)
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(price)
}

// GORM, bun, ent and sqlx are given a handle of database/sql.
func ExampleOpenSQL() {
	ctx := context.Background()
	db, done := open(ctx)
	defer done()

	handle := cache.OpenSQL(db) // gorm.Open(postgres.New(postgres.Config{Conn: handle}))
	defer handle.Close()
	var name string
	err := handle.QueryRowContext(ctx, "SELECT name FROM products WHERE id = $1", 2).Scan(&name)
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(name)
}

// sessions gives each request a session of its own, and each browser a cookie with a
// token: what it wrote, it reads next, whichever process answers.
func sessions(db *cache.DB, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := cache.WithSession(r.Context())
		if cookie, err := r.Cookie("freshet"); err == nil {
			token, _ := url.QueryUnescape(cookie.Value)
			if after, err := cache.WithToken(ctx, token); err == nil {
				ctx = after
			}
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w = &tokenWriter{ResponseWriter: w, db: db, ctx: ctx}
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// tokenWriter sets the cookie before the response begins.
type tokenWriter struct {
	http.ResponseWriter
	db    *cache.DB
	ctx   context.Context
	began bool
}

func (w *tokenWriter) WriteHeader(status int) {
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

func (w *tokenWriter) Write(body []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(body)
}

func (w *tokenWriter) begin() {
	if w.began {
		return
	}
	w.began = true
	if token, err := w.db.Token(w.ctx); err == nil {
		http.SetCookie(w.ResponseWriter, &http.Cookie{Name: "freshet", Value: url.QueryEscape(token), Path: "/", HttpOnly: true})
	}
}

// prices says what the tea costs, and changes that.
func prices(db *cache.DB) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /price", func(w http.ResponseWriter, r *http.Request) {
		var price string
		err := db.QueryRow(r.Context(), "SELECT price::text FROM products WHERE id = $1", 1).Scan(&price)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, price)
	})
	mux.HandleFunc("POST /price", func(w http.ResponseWriter, r *http.Request) {
		price, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = db.Exec(r.Context(), "UPDATE products SET price = $1::text::int WHERE id = 1", string(price))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
