package dashboard

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Embedded is the page of a program that has a server of its own, and serves what the
// library counts there. It has neither metrics nor the checks that depend on an address:
// who may see it is decided by who serves it.
type Embedded struct {
	server *Server
	pages  http.Handler
	end    context.CancelFunc
	ended  chan struct{}
}

// NewEmbedded returns the page of what o.StatsFunc reads, and keeps its history until
// Close: of all that happens once it has returned. What has to do with an address or a
// token in o is ignored.
func NewEmbedded(o Options) *Embedded {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.library = true
	s := newServer(o)
	s.markers.add(newMarker(time.Now(), "start", "page opened"))
	s.Begin()
	ctx, end := context.WithCancel(context.Background())
	e := &Embedded{server: s, pages: withHeaders(s.pages()), end: end, ended: make(chan struct{})}
	go func() {
		defer close(e.ended)
		_ = s.sampleUntil(ctx, nil) // which only serving could fail
	}()
	return e
}

// ServeHTTP answers for the page and all that it asks for, below "/": http.StripPrefix
// takes away where it stands. The page's address must end with a slash.
func (e *Embedded) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.pages.ServeHTTP(w, r) }

// Mark shows beside the traffic that something happened now.
func (e *Embedded) Mark(text string) { e.server.Mark("mark", text) }

// Close ends the streams, so that their server can shut down, and the history.
func (e *Embedded) Close() {
	e.end()
	<-e.ended
	e.server.hub.close()
}
