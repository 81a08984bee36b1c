package dashboard

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync"
	"time"
)

const (
	// requestBytesMax bounds what is sent with an action.
	requestBytesMax = 128 << 10
	// explainsPerSecondMax bounds the statements that are explained.
	explainsPerSecondMax = 5
	// TokenHeader carries the token of the page, which its snapshot holds.
	TokenHeader = "X-Freshet-CSRF"
)

// ErrWrongRequest is part of an error that is about what was asked for.
var ErrWrongRequest = errors.New("wrong request")

// ErrTakesRestart is part of an error that is about options which do not change while the
// sidecar runs.
var ErrTakesRestart = errors.New("takes a restart")

// Reloaded names the options that changed.
type Reloaded struct {
	Changed []string `json:"changed"`
}

// ExplainRequest asks whether a statement would be cached.
type ExplainRequest struct {
	SQL string `json:"sql"`
	// Role is who sends it; empty is the sidecar's own.
	Role string `json:"role"`
	// Database is the one that it is sent to, as clients name it; empty is that of the page.
	Database string `json:"database"`
	// Parameters are values of $1, $2 and so on, as text: tags are told with them. The list may be
	// shorter than the statement's parameters are many.
	Parameters []string `json:"parameters"`
}

// Explanation says whether a statement is cached, and why.
type Explanation struct {
	Cacheable bool   `json:"cacheable"`
	Reason    string `json:"reason"`
	// Detail is what the reason is about, Said Postgres' message, Advice what to do.
	Detail string `json:"detail"`
	Said   string `json:"said"`
	Advice string `json:"advice"`
	// Tables are read; Tags end the answer when they change; Wishes are columns that,
	// watched, would end it less often.
	Tables []string `json:"tables"`
	Tags   []string `json:"tags"`
	Wishes []string `json:"wishes"`
}

// PurgeRequest asks for the end of answers, by one of Table, Shape, Role and All. Confirm repeats
// what is to be purged: the pattern, the id, the role's name, or "all".
type PurgeRequest struct {
	// Table is a pattern of watched tables, such as shop.orders or shop.*.
	Table string `json:"table"`
	// Shape is the id of a shape: what depends on the tables that it reads is purged.
	Shape string `json:"shape"`
	// Role is the name of one: what depends on the tables that it may read is purged.
	Role    string `json:"role"`
	All     bool   `json:"all"`
	Confirm string `json:"confirm"`
}

// Purged says what was purged.
type Purged struct {
	// Tables are their names; with All there are none.
	Tables []string `json:"tables"`
	All    bool     `json:"all"`
}

// BypassRequest asks that every statement goes to Postgres, or is served again.
type BypassRequest struct {
	On bool `json:"on"`
	// Database is the one whose clients are meant; empty is for all.
	Database string `json:"database"`
}

// MarkRequest asks for a marker, such as at a deployment.
type MarkRequest struct {
	Text string `json:"text"`
}

// purgeMarkedOnce is for how long the events of purges are not marked behind one that this page
// was asked for: this one is an event, too, or several.
const purgeMarkedOnce = 15 * time.Second

// purgedElsewhere reports whether an event of a purge that is received now is of none that this page
// was asked for.
func (s *Server) purgedElsewhere(now time.Time) bool {
	return now.Sub(time.Unix(0, s.purgeAsked.Load())) > purgeMarkedOnce
}

// Mark shows beside the traffic that something happened now.
func (s *Server) Mark(kind, text string) {
	m := newMarker(time.Now(), kind, text)
	s.markers.add(m)
	s.hub.mark(m)
}

func newToken() string { return rand.Text() }

// guarded lets only this page, and programs that have read it, ask for something: another
// site's page can neither read the token nor send a request as this one.
func (s *Server) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if why := s.refusal(r); why != "" {
			http.Error(w, why, http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, requestBytesMax)
		next(w, r)
	}
}

// refusal says why a request that would change something is not trusted.
func (s *Server) refusal(r *http.Request) string {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	switch {
	case err != nil || kind != "application/json":
		return "the request has to say Content-Type: application/json"
	case origin != "" && origin != "http://"+r.Host && origin != "https://"+r.Host:
		return "the request comes from another site's page"
	case site != "" && site != "same-origin" && site != "none":
		return "the request comes from another site's page"
	case subtle.ConstantTimeCompare([]byte(r.Header.Get(TokenHeader)), []byte(s.token)) != 1:
		return "the request has not the token of this page: load it again (" + TokenHeader + ", in /api/v1/snapshot)"
	}
	return ""
}

// readRequest reads what was sent, and answers if that is not possible.
func readRequest(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil && decoder.More() {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		http.Error(w, "read the request: "+err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// answerAction answers with what was done, or why it was not.
func answerAction(w http.ResponseWriter, value any, err error) {
	switch {
	case errors.Is(err, ErrTakesRestart):
		http.Error(w, err.Error(), http.StatusConflict)
	case errors.Is(err, ErrWrongRequest):
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadGateway)
	default:
		answerJSON(w, value)
	}
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	var wanted ExplainRequest
	if !readRequest(w, r, &wanted) {
		return
	}
	if !s.explains.allow(time.Now()) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, fmt.Sprintf("more than %d statements were to be explained within a second", explainsPerSecondMax), http.StatusTooManyRequests)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerMax)
	defer cancel()
	explain, known := s.explainers[wanted.Database]
	if wanted.Database == "" {
		explain, known = s.options.ExplainFunc, true
	}
	if !known {
		answerAction(w, nil, fmt.Errorf("%w: find database %s: this sidecar has none of this name", ErrWrongRequest, wanted.Database))
		return
	}
	explanation, err := explain(ctx, wanted)
	answerAction(w, explanation, err)
}

// what is what is to be purged, in one word. It reports false if that is nothing, or several.
func (r *PurgeRequest) what() (word string, one bool) {
	n := 0
	for _, w := range []string{r.Table, r.Shape, r.Role, map[bool]string{true: "all"}[r.All]} {
		if w != "" {
			word = w
			n++
		}
	}
	return word, n == 1
}

func (s *Server) purge(w http.ResponseWriter, r *http.Request) {
	var wanted PurgeRequest
	if !readRequest(w, r, &wanted) {
		return
	}
	word, one := wanted.what()
	if !one || wanted.Confirm != word {
		answerAction(w, nil, fmt.Errorf("%w: type what is to be purged once more: the table, the shape's id, the role, or all", ErrWrongRequest))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerMax)
	defer cancel()
	s.purgeAsked.Store(time.Now().UnixNano()) // before its event can be received
	purged, err := s.options.PurgeFunc(ctx, wanted)
	if err == nil {
		marked := word
		if wanted.Role != "" {
			marked = "role " + word
		}
		s.Mark("purge", "purge: "+marked)
		s.options.Logger.Info("purged from the page", "what", word)
	}
	answerAction(w, purged, err)
}

// reload reads the configuration again. What is asked with it is nothing.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerMax)
	defer cancel()
	reloaded, err := s.options.ReloadFunc(ctx)
	answerAction(w, reloaded, err)
}

func (s *Server) bypass(w http.ResponseWriter, r *http.Request) {
	var wanted BypassRequest
	if !readRequest(w, r, &wanted) {
		return
	}
	if err := s.options.SwitchFunc(wanted.Database, wanted.On); err != nil {
		answerAction(w, nil, err)
		return
	}
	word := "off"
	if wanted.On {
		word = "on"
	}
	if wanted.Database != "" {
		word += " for database " + wanted.Database
	}
	s.Mark("bypass", "bypass "+word)
	s.options.Logger.Warn("every statement goes to Postgres, or is served again", "bypass", word)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) mark(w http.ResponseWriter, r *http.Request) {
	var wanted MarkRequest
	if !readRequest(w, r, &wanted) {
		return
	}
	s.Mark("mark", wanted.Text)
	w.WriteHeader(http.StatusNoContent)
}

// perSecond counts what happens within a second, up to a number.
type perSecond struct {
	mu    sync.Mutex
	began time.Time
	n     int
}

func (p *perSecond) allow(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.began) >= time.Second {
		p.began, p.n = now, 0
	}
	p.n++
	return p.n <= explainsPerSecondMax
}
