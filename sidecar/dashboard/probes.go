package dashboard

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Probes answers /livez, /readyz and /metrics on an address of their own and asks for no
// token: an orchestrator and Prometheus reach it where nobody is to reach the page. It tells
// no name of a table, a role or a statement.
type Probes struct {
	listener net.Listener
	http     *http.Server
}

// NewProbes listens on Options.Address, or uses Options.Listener. Of the other Options it
// reads StatsFunc, Databases, Database and Logger. The caller must Run or Close it.
func NewProbes(o Options) (*Probes, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	listener, err := listenOn(o, "metrics", "choose another one with --metrics HOST:PORT", "--metrics takes HOST:PORT, such as 127.0.0.1:7071")
	if err != nil {
		return nil, err
	}
	p := &Probes{listener: listener}
	p.http = newHTTP(p.handler(newServer(o)), o.Logger)
	return p, nil
}

// handler answers with what of knows.
func (p *Probes) handler(of *Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", live)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		query.Del("verbose") // it names tables
		r.URL.RawQuery = query.Encode()
		of.ready(w, r)
	})
	mux.Handle("GET /metrics", of.metrics())
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "This address has /livez, /readyz and /metrics alone: the page and its API are on the admin address (--admin).", http.StatusNotFound)
	})
	handler := withHeaders(mux)
	if isLoopback(p.listener) {
		handler = loopbackOnly(handler)
	}
	return handler
}

// metrics answers /metrics, of all databases, as OpenMetrics to who asks for that.
func (s *Server) metrics() http.Handler {
	return promhttp.HandlerFor(NewRegistry(s.options), promhttp.HandlerOpts{
		MaxRequestsInFlight: scrapesAtOnce,
		Timeout:             scrapeWaitMax,
		EnableOpenMetrics:   true,
	})
}

// Address is where it listens, with the port that it got.
func (p *Probes) Address() string { return p.listener.Addr().String() }

// File is a copy of what is listened on, for a process that takes over. The caller closes
// it.
func (p *Probes) File() (*os.File, error) { return listenerFile(p.listener) }

// Close stops listening without having run.
func (p *Probes) Close() error { return p.listener.Close() }

// Run answers until ctx ends. Requests under way then have a second to end.
func (p *Probes) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- p.http.Serve(p.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve metrics address %s: %w", p.Address(), err)
	case <-ctx.Done():
	}
	endHTTP(ctx, p.http)
	<-served
	return nil
}

// listenerFile is a copy of a TCP socket that is listened on.
func listenerFile(listener net.Listener) (*os.File, error) {
	l, ok := listener.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("hand over %s: %T is no TCP socket", listener.Addr(), listener)
	}
	return l.File()
}

// newHTTP returns a server with the limits of all.
func newHTTP(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerReadMax,
		WriteTimeout:      answerMax,
		IdleTimeout:       idleMax,
		MaxHeaderBytes:    headerBytesMax,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// endHTTP lets requests end within drainMax, and cuts off the others: an answer is not worth
// waiting for.
func endHTTP(ctx context.Context, server *http.Server) {
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainMax)
	defer cancel()
	if server.Shutdown(drain) != nil {
		_ = server.Close()
	}
}

func live(w http.ResponseWriter, _ *http.Request) { answerText(w, http.StatusOK, "live") }
