package dashboard

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
)

// isLoopback reports whether only this machine can reach a listener.
func isLoopback(l net.Listener) bool {
	address, ok := l.Addr().(*net.TCPAddr)
	return !ok || address.IP.IsLoopback()
}

// CheckToken reports whether SetToken may be called with a token: without one, an address that
// others can reach is served to nobody, unless Options.Insecure is set.
func (s *Server) CheckToken(token string) error {
	if token == "" && !s.options.Insecure && !isLoopback(s.listener) {
		return fmt.Errorf("listen on admin address %s: others can reach it: name a file with a token in --admin-token-file, or say --admin-insecure where the network keeps strangers away", s.listener.Addr())
	}
	return nil
}

// admission is what has to be given by who asks. It does not change.
type admission struct {
	token string // "": none
	// over ends, by end, when another token takes the place of this one.
	over context.Context
	end  context.CancelFunc
}

// SetToken changes Options.Token for requests that begin from now on; "" is for none. What
// others are being told by the token before ends:
//
//  1. a page asks for the stream, with the token that is asked for, and is let in;
//  2. SetToken takes another one;
//  3. the stream of 1 begins, and would go on for as long as its reader likes.
//
// So who is let in reads for as long as the token holds that let it in. Forced by
// TestStreamsEndWithTheirToken.
func (s *Server) SetToken(token string) {
	if before := s.admission.Load(); before == nil || before.token != token {
		next := &admission{token: token}
		next.over, next.end = context.WithCancel(context.Background())
		s.admission.Store(next)
		if before != nil {
			before.end()
		}
	}
}

// tokenOnly refuses who does not know the token, if there is one. Probes of an orchestrator
// need none: they learn whether the sidecar is well, and nothing else.
func (s *Server) tokenOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := s.admission.Load()
		wanted := sha256.Sum256([]byte(at.token))
		probe := r.URL.Path == "/livez" || r.URL.Path == "/readyz" && !r.URL.Query().Has("verbose")
		given := sha256.Sum256([]byte(givenToken(r)))
		if at.token != "" && !probe && subtle.ConstantTimeCompare(given[:], wanted[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="freshet", charset="UTF-8"`)
			http.Error(w, "This address wants its token: as a bearer token, or as the password of any user.", http.StatusUnauthorized)
			return
		}
		if r.Method == http.MethodGet {
			ctx, end := context.WithCancel(r.Context())
			defer end()
			defer context.AfterFunc(at.over, end)()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

// readOnly refuses every request that could change something.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "This address is read-only (--admin-readonly): nothing is changed here. Use freshet purge on the machine, SIGHUP to read the configuration again, or SET freshet.cache = 'off'.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// givenToken is what a program sends as a bearer token and a browser as a password.
func givenToken(r *http.Request) string {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return token
	}
	_, password, _ := r.BasicAuth()
	return password
}

func handleProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
