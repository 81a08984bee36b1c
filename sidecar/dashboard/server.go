package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Limits of the HTTP server. Requests and answers are small.
const (
	headerReadMax  = 5 * time.Second
	answerMax      = 10 * time.Second
	idleMax        = time.Minute
	headerBytesMax = 16 << 10
	drainMax       = time.Second
	scrapesAtOnce  = 4
	scrapeWaitMax  = 5 * time.Second
)

// Options configure a Server.
type Options struct {
	// Address is host:port to listen on. A port of 0 takes a free one. Required.
	Address string
	// Listener, unless nil, is used in place of one at Address.
	Listener net.Listener
	// Token, unless empty, has to be given by whoever asks for anything but /livez and
	// /readyz: as a bearer token, or as the password of any user. Without one, an address
	// that others can reach is refused, unless Insecure is set.
	Token    string
	Insecure bool
	// ReadOnly refuses whatever would change something, also to who has the token.
	ReadOnly bool
	// Profile serves net/http/pprof.
	Profile bool
	// StatsFunc reads the sidecar. It is called for every request and once a
	// second, concurrently, and must not wait. Required.
	StatsFunc func() Stats
	// TablesFunc lists all watched tables. nil lists those of StatsFunc.
	TablesFunc func() []Table
	// ShapesFunc lists statements that are cached, those first of which most was saved or
	// loaded, max at most, and behind them max of those that are not; all says how many are
	// cached. nil lists those of StatsFunc.
	ShapesFunc func(max int) (shapes []Shape, all int)
	// EndingsFunc says what has ended answers of a shape lately, the newest first. nil leaves that out.
	EndingsFunc func(shape string) []EndedBy
	// ExplainFunc and PurgeFunc do what the page's boxes ask for; nil leaves them out.
	ExplainFunc func(context.Context, ExplainRequest) (Explanation, error)
	PurgeFunc   func(context.Context, PurgeRequest) (Purged, error)
	// Databases are further ones, Database is the name of the first, whose StatsFunc and the
	// like are.
	Databases []Database
	Database  string
	// ReloadFunc reads the configuration again, and puts it in force. nil leaves it out.
	ReloadFunc func(context.Context) (Reloaded, error)
	// SwitchFunc, unless nil, switches the cache off for every client, or on again; for those of
	// one database, unless its name is empty.
	SwitchFunc func(database string, off bool) error
	// files are the page's; nil takes those that are built in.
	files fs.FS
	// library is set where a library's figures are shown: the page leaves out what only a
	// sidecar has.
	library bool
	// Logger takes what goes wrong inside the HTTP server. nil means
	// slog.Default.
	Logger *slog.Logger
}

// Server answers HTTP on the admin address.
type Server struct {
	options  Options
	listener net.Listener
	http     *http.Server
	history  *history
	// first is the reading from which the history counts. Begin sets it, sampleUntil reads it.
	first   *Stats
	markers markers
	recent  recent
	hub     *hub
	token   string // which only this page has
	// admission is that of Options.Token, until SetToken. It is never nil. Each request reads it.
	admission atomic.Pointer[admission]
	explains  perSecond
	// purgeAsked is when the page was last asked to purge, in nanoseconds since 1970. purge sets
	// it, purgedElsewhere reads it.
	purgeAsked atomic.Int64
	charts     bool // the charts were built in
	// databases are the pages of Options.Databases, by their names.
	databases map[string]*Server
	// explainers are the ExplainFuncs of all databases that have a name, this one's included; each
	// of their pages has them all.
	explainers map[string]func(context.Context, ExplainRequest) (Explanation, error)
}

// New listens on the address. An address in use is an error that says how to
// choose another one. The caller must Run or Close the Server.
func New(o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	listener, err := listenOn(o, "admin", "choose another one with --admin HOST:PORT, or turn the dashboard off with --admin off", "--admin takes HOST:PORT, such as 127.0.0.1:7070, or off")
	if err != nil {
		return nil, err
	}
	s := newServer(o)
	s.listener = listener
	if err := s.CheckToken(o.Token); err != nil {
		listener.Close()
		return nil, err
	}
	s.markers.add(newMarker(time.Now(), "start", "sidecar started"))
	s.http = newHTTP(s.handler(), o.Logger)
	return s, nil
}

// listenOn listens on Options.Address, unless there is Options.Listener. Errors name the address by
// its kind; elsewhere says what to do where another program has it, takes what an address is.
func listenOn(o Options, kind, elsewhere, takes string) (net.Listener, error) {
	if o.Listener != nil {
		return o.Listener, nil
	}
	listener, err := net.Listen("tcp", o.Address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s address %s: another program uses it; %s: %w", kind, o.Address, elsewhere, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s address %q: %s: %w", kind, o.Address, takes, err)
	}
	return listener, nil
}

// newServer returns a Server that does not listen.
func newServer(o Options) *Server {
	if o.TablesFunc == nil {
		o.TablesFunc = func() []Table { return o.StatsFunc().Watched }
	}
	if o.files == nil {
		o.files = pageFiles
	}
	s := &Server{options: o, history: newHistory(), hub: newHub(newToken()), token: newToken(), charts: chartsBuilt(o.files), databases: newDatabases(o)}
	s.SetToken(o.Token)
	s.shareExplainers()
	return s
}

// Address is where the server listens, with the port that it got.
func (s *Server) Address() string { return s.listener.Addr().String() }

// File is a copy of what is listened on, for a process that takes over. The caller closes
// it.
func (s *Server) File() (*os.File, error) { return listenerFile(s.listener) }

// Close stops listening without having run.
func (s *Server) Close() error { return s.listener.Close() }

// Begin takes the readings from which the histories count. It is to be called before anything is
// served of which they should tell, and before Run, which takes them itself otherwise:
//
//  1. a goroutine is to Run, and does not yet;
//  2. reads are answered, and no more come;
//  3. the first readings are taken, with those reads in them.
//
// No interval would have them, and the page would say that there were none. (TestHistoryBegins)
func (s *Server) Begin() {
	s.first = s.sample(nil, time.Now())
	for _, d := range s.databases {
		d.Begin()
	}
}

// Run answers requests and keeps the history until ctx ends. Requests under way
// then have a second to end.
func (s *Server) Run(ctx context.Context) error {
	if s.first == nil {
		s.Begin()
	}
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	sampling, stop := context.WithCancel(ctx)
	defer stop()
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		s.sampleDatabases(sampling)
	}()
	err := s.sampleUntil(ctx, served)
	stop()
	<-sampled
	s.hub.close()
	endHTTP(ctx, s.http)
	if err != nil {
		return err
	}
	<-served
	return nil
}

// sampleUntil keeps the history, which has begun, until ctx ends, or serving fails.
func (s *Server) sampleUntil(ctx context.Context, served <-chan error) error {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	before := s.first
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return fmt.Errorf("serve admin address %s: %w", s.Address(), err)
		case <-ticker.C:
		}
		before = s.sample(before, time.Now())
	}
}

// sample reads the sidecar, files what happened since the reading before, nil the first
// time, and tells those who look on.
func (s *Server) sample(before *Stats, now time.Time) *Stats {
	stats := s.stats()
	values := s.history.add(&stats, now)
	s.recent.add(&stats, now)
	if before != nil {
		for _, change := range changes(before, &stats) {
			if change[0] != "purge" || s.purgedElsewhere(now) {
				s.Mark(change[0], change[1])
			}
		}
	}
	if values != nil && s.hub.read(now) {
		sample := make(map[string]value, len(values))
		for i, line := range allSeries {
			sample[line.name] = value(values[i])
		}
		s.hub.tick(s.fields(stats), sample, float64(now.UnixMilli())/1000)
	}
	return &stats
}

// stats is one reading, complete: with the verdict of /readyz, every outcome,
// and lists that are empty rather than null.
func (s *Server) stats() Stats {
	stats := s.options.StatsFunc()
	stats.normalize()
	stats.JudgeReadiness()
	stats.ResidentBytes = residentBytes()
	stats.FollowerAgeP99Seconds = s.history.ageP99()
	return stats
}

// pages are what both a sidecar and a library have.
func (s *Server) pages() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /", pageHandler(s.options.files))
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("GET /livez", live)
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /api/v1/stats", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, s.stats()) })
	mux.HandleFunc("GET /api/v1/history", s.answerHistory)
	mux.HandleFunc("GET /api/v1/snapshot", s.snapshot)
	mux.HandleFunc("GET /api/v1/stream", s.stream)
	mux.HandleFunc("GET /api/v1/tables", s.tables)
	mux.HandleFunc("GET /api/v1/shapes", s.shapesHandler)
	mux.HandleFunc("GET /api/v1/shapes/recent", s.recentShapes)
	mux.HandleFunc("GET /api/v1/shapes/{id}", s.shapeHandler)
	mux.HandleFunc("POST /api/v1/mark", s.guarded(s.mark))
	if s.options.ExplainFunc != nil {
		mux.HandleFunc("POST /api/v1/explain", s.guarded(s.explain))
	}
	if s.options.PurgeFunc != nil {
		mux.HandleFunc("POST /api/v1/purge", s.guarded(s.purge))
	}
	if s.options.ReloadFunc != nil {
		mux.HandleFunc("POST /api/v1/reload", s.guarded(s.reload))
	}
	if s.options.SwitchFunc != nil {
		mux.HandleFunc("POST /api/v1/bypass", s.guarded(s.bypass))
	}
	return mux
}

func (s *Server) handler() http.Handler {
	mux := s.pages()
	s.handleDatabases(mux)
	mux.Handle("GET /metrics", s.metrics())
	if s.options.Profile {
		handleProfiles(mux)
	}
	handler := withHeaders(mux)
	if s.options.ReadOnly {
		handler = readOnly(handler)
	}
	handler = s.tokenOnly(handler)
	if isLoopback(s.listener) {
		handler = loopbackOnly(handler)
	}
	return handler
}

// ready answers /readyz, and in detail /readyz?verbose, as JSON for who accepts that.
// Of several databases it answers for all, or for the one of ?database=NAME.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if name := r.URL.Query().Get("database"); name != "" {
		s.databaseReady(w, r, name)
		return
	}
	s.answerReady(w, r, s.stats())
}

func (s *Server) answerReady(w http.ResponseWriter, r *http.Request, stats Stats) {
	all := len(s.databases) > 0 && !r.URL.Query().Has("database")
	ready := stats.Ready
	status, text := http.StatusOK, "ready"
	if !ready {
		text = "not ready: " + stats.NotReadyReason
	}
	if all {
		ready, text = allReady(stats.Databases)
	}
	if !ready {
		status = http.StatusServiceUnavailable
	}
	if r.URL.Query().Has("verbose") && strings.Contains(r.Header.Get("Accept"), "application/json") {
		body, err := json.MarshalIndent(map[string]any{"ready": ready, "checks": readiness(&stats)}, "", "  ")
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			status = http.StatusInternalServerError
		}
		w.WriteHeader(status)
		_, _ = w.Write(body) // the client may be gone
		return
	}
	if r.URL.Query().Has("verbose") {
		text += "\n" + verbose(&stats)
	}
	answerText(w, status, text)
}

// answerHistory answers for ?range=15m, which is the default, 2h or 24h.
func (s *Server) answerHistory(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("range")
	if name == "" {
		name = resolutions[0].name
	}
	columns, err := s.history.columns(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answerCompactJSON(w, columns)
}

func answerText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	// A client that left does not want the answer.
	_, _ = w.Write([]byte(text + "\n"))
}

// answerJSON is for people too.
func answerJSON(w http.ResponseWriter, value any) {
	body, err := json.MarshalIndent(value, "", "  ")
	writeJSON(w, body, err)
}

// answerCompactJSON is for what is long.
func answerCompactJSON(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	writeJSON(w, body, err)
}

func writeJSON(w http.ResponseWriter, body []byte, err error) {
	if err != nil {
		http.Error(w, "encode answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
}
