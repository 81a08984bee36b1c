package dashboard

import (
	"crypto/sha256"
	"crypto/subtle"
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

// tokenOnly refuses who does not know the token. Probes of an orchestrator need none:
// they learn whether the sidecar is well, and nothing else.
func tokenOnly(token string, next http.Handler) http.Handler {
	wanted := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		probe := r.URL.Path == "/livez" || r.URL.Path == "/readyz" && !r.URL.Query().Has("verbose")
		given := sha256.Sum256([]byte(givenToken(r)))
		if !probe && subtle.ConstantTimeCompare(given[:], wanted[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="freshet", charset="UTF-8"`)
			http.Error(w, "This address wants its token: as a bearer token, or as the password of any user.", http.StatusUnauthorized)
			return
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
