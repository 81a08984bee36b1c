package dashboard

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/sidecar/dashboard"
)

// Options say what a page shows besides what the DB knows. The zero value is good.
type Options struct {
	// Name is the program's, shown in the head of the page. Empty: that of its file.
	Name string
	// Redis is the DB's second tier, nil if it has none, or one of another kind.
	Redis *redis.Store
	// Times are what reads took, if its OnRead is the DB's. nil: the page shows none of that.
	Times *Times
	// Explain offers a box that says of a statement whether its answers are kept. Each
	// question has Postgres describe a statement of the visitor's; none is executed.
	Explain bool
	// Logger takes what goes wrong. nil means slog.Default.
	Logger *slog.Logger
}

// Page is an http.Handler. New makes one.
type Page struct{ embedded *dashboard.Embedded }

// New returns the page of db. It reads db once a second, and keeps a day of it in less than
// 400 KiB, until Close.
//
// What the page tells is not for everybody: statements without their values, names of
// tables. Serve it on an address of the operators', or behind what they log in with; its
// requests are GET, and one POST with Explain. To be served below "/":
//
//	mux.Handle("/freshet/", http.StripPrefix("/freshet", page))
func New(db *cache.DB, o Options) *Page {
	if o.Name == "" {
		o.Name = filepath.Base(os.Args[0])
	}
	r := newReader(db, o)
	page := dashboard.Options{StatsFunc: r.stats, TablesFunc: r.tables, Logger: o.Logger}
	if o.Explain {
		page.ExplainFunc = explain(db)
	}
	return &Page{dashboard.NewEmbedded(page)}
}

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.embedded.ServeHTTP(w, r) }

// Mark shows beside the traffic that something happened now, a deployment for instance.
func (p *Page) Mark(text string) { p.embedded.Mark(text) }

// Close ends what New began. To be called before http.Server.Shutdown, which waits for the
// streams that pages read.
func (p *Page) Close() { p.embedded.Close() }

// explain answers for the page's box.
func explain(db *cache.DB) func(context.Context, dashboard.ExplainRequest) (dashboard.Explanation, error) {
	return func(ctx context.Context, wanted dashboard.ExplainRequest) (dashboard.Explanation, error) {
		if wanted.Role != "" {
			return dashboard.Explanation{}, fmt.Errorf("%w: statements are those of the pool's role", dashboard.ErrWrongRequest)
		}
		e, err := db.Explain(ctx, wanted.SQL)
		return dashboard.Explanation{
			Cacheable: e.Reason == "", Reason: e.Reason, Detail: e.Detail, Advice: e.Advice,
			Tables: append([]string{}, e.Tables...), Tags: append([]string{}, e.Tags...), Wishes: []string{},
		}, err
	}
}
