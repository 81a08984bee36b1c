package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Database is a further database of the sidecar. It has a page of its own with all that
// belongs to one, below /databases/NAME/, and in metrics the label database.
type Database struct {
	Name string
	// These are for it what those of Options are for the first one.
	StatsFunc   func() Stats
	TablesFunc  func() []Table
	ShapesFunc  func(max int) ([]Shape, int)
	EndingsFunc func(shape string) []EndedBy
	ExplainFunc func(context.Context, ExplainRequest) (Explanation, error)
	PurgeFunc   func(context.Context, PurgeRequest) (Purged, error)
}

// DatabaseState says in short how one of the sidecar's databases is.
type DatabaseState struct {
	// Name is what clients ask for. The first is the plain upstream's.
	Name string `json:"name"`
	// NotReady says why its clients are answered by Postgres alone; empty if they are not.
	NotReady string `json:"not_ready"`
	Sessions int64  `json:"sessions"`
	// Hits and Reads are as Stats.Reads counts them.
	Hits  uint64 `json:"hits"`
	Reads uint64 `json:"reads"`
	// FollowerAgeSeconds is as in Stats.
	FollowerAgeSeconds *float64 `json:"follower_age_seconds"`
	WatchedTables      int      `json:"watched_tables"`
}

// newDatabases makes the pages of the further databases.
func newDatabases(o Options) map[string]*Server {
	all := map[string]*Server{}
	for _, d := range o.Databases {
		all[d.Name] = newServer(Options{
			StatsFunc: d.StatsFunc, TablesFunc: d.TablesFunc, ShapesFunc: d.ShapesFunc, EndingsFunc: d.EndingsFunc, ExplainFunc: d.ExplainFunc, PurgeFunc: d.PurgeFunc, ReloadFunc: o.ReloadFunc, ReadOnly: o.ReadOnly, files: o.files, Logger: o.Logger,
		})
	}
	return all
}

// shareExplainers lets each database's page ask about statements of the others.
func (s *Server) shareExplainers() {
	s.explainers = map[string]func(context.Context, ExplainRequest) (Explanation, error){}
	if s.options.ExplainFunc != nil {
		s.explainers[s.options.Database] = s.options.ExplainFunc
	}
	for name, d := range s.databases {
		if d.options.ExplainFunc != nil {
			s.explainers[name] = d.options.ExplainFunc
		}
		d.explainers = s.explainers
	}
}

// sampleDatabases keeps their histories until ctx ends.
func (s *Server) sampleDatabases(ctx context.Context) {
	var all sync.WaitGroup
	for _, d := range s.databases {
		all.Go(func() {
			_ = d.sampleUntil(ctx, nil) // which only serving could fail
			d.hub.close()
		})
	}
	all.Wait()
}

// handleDatabases serves the pages of the further databases.
func (s *Server) handleDatabases(mux *http.ServeMux) {
	pages := map[string]http.Handler{}
	for name, d := range s.databases {
		pages[name] = d.pages()
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.PathValue("database")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.PathValue("rest") == "metrics" { // which are of all databases
			http.Redirect(w, r, "../../metrics", http.StatusFound)
			return
		}
		inside := r.Clone(r.Context())
		inside.URL = &url.URL{Path: "/" + r.PathValue("rest"), RawQuery: r.URL.RawQuery}
		page.ServeHTTP(w, inside)
	}
	mux.HandleFunc("GET /databases/{database}/{rest...}", handler)
	mux.HandleFunc("POST /databases/{database}/{rest...}", handler)
}

// databaseReady answers /readyz?database=NAME.
func (s *Server) databaseReady(w http.ResponseWriter, r *http.Request, name string) {
	stats := s.stats()
	of := s
	if name != stats.Database {
		of = s.databases[name]
	}
	if of == nil {
		http.Error(w, "no database has that name here", http.StatusNotFound)
		return
	}
	of.answerReady(w, r, of.stats())
}

// allReady is what /readyz says of several databases: a sidecar is of use as long as one of
// them is ready, and one that is away must not keep the clients of others off.
func allReady(all []DatabaseState) (ready bool, text string) {
	var away []string
	for _, d := range all {
		if d.NotReady != "" {
			away = append(away, fmt.Sprintf("database %s: %s", d.Name, d.NotReady))
		}
	}
	ready = len(away) < len(all)
	switch {
	case len(away) == 0:
		return true, "ready"
	case ready:
		return true, fmt.Sprintf("ready, but for %d of %d: %s", len(away), len(all), strings.Join(away, "; "))
	default:
		return false, "not ready: " + strings.Join(away, "; ")
	}
}
