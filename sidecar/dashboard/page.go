package dashboard

import (
	"embed"
	"io/fs"
	"net/http"
)

// pageFiles hold, in page/built, the charts, if they were built before this program was:
// `make page` does. The page is complete without them.
//
//go:embed page
var pageFiles embed.FS

// contentSecurityPolicy lets the page load its own files and talk to its own
// address, and nothing else.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// chartsBuilt reports whether the charts were built in.
func chartsBuilt(files fs.FS) bool {
	_, err := fs.Stat(files, "page/built/uPlot.js")
	return err == nil
}

// pageHandler serves the page and the files that it consists of.
func pageHandler(files fs.FS) http.Handler {
	files, err := fs.Sub(files, "page")
	if err != nil {
		// fs.Sub refuses only a malformed path, and this one is a constant.
		panic(err)
	}
	return http.FileServerFS(files)
}

// withHeaders sets what every answer carries. Nothing is stored by browsers:
// numbers are of the moment, and after an upgrade the page must be the new one.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
