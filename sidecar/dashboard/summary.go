package dashboard

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
)

// summaryHere is where the page without JavaScript says how things are.
const summaryHere = "<!-- summary -->"

// summary is what somebody reads whose browser runs no scripts. It is escaped as HTML is.
var summaryTemplate = template.Must(template.New("summary").Parse(`<p><b>{{if .Ready}}Ready.{{else}}Not ready: {{.NotReadyReason}}.{{end}}</b> This is how things were when the page was asked for; JavaScript shows them live.</p>
<ul>{{range .Lines}}<li>{{.}}</li>{{end}}</ul>
<table class="numbers"><caption class="unseen">In short</caption><tbody>{{range .Figures}}<tr><th scope="row">{{.Name}}</th><td>{{.Value}}</td></tr>{{end}}</tbody></table>`))

// figure is one number of the summary.
type figure struct{ Name, Value string }

// figures are the numbers that are read first.
func figures(s *Stats) []figure {
	hits, reads := s.Reads()
	ratio := "no read yet"
	if reads > 0 {
		ratio = fmt.Sprintf("%.1f%% of %d reads", 100*float64(hits)/float64(reads), reads)
	}
	all := []figure{
		{"From the cache, since the start", ratio},
		{"Saved of Postgres' time", fmt.Sprintf("%.1f s", s.SavedSeconds)},
		{"Proven stale", fmt.Sprintf("%d of %d verified", s.Verify.Results["stale"], s.Verify.Results["same"]+s.Verify.Results["stale"])},
		{"Clients", fmt.Sprint(s.Sessions)},
		{"Tables watched", fmt.Sprint(s.WatchedTables)},
		{"In memory", fmt.Sprintf("%d entries, %.1f of %.0f MiB", s.L1.Items, float64(s.L1.Bytes)/(1<<20), float64(s.L1.LimitBytes)/(1<<20))},
	}
	if len(s.Fleet) > 0 {
		all = append(all, figure{"Sidecars that share Redis", fmt.Sprint(len(s.Fleet))})
	}
	return all
}

// index serves the page itself, with the summary in it.
func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	page, err := fs.ReadFile(s.options.files, "page/index.html")
	if err != nil {
		http.Error(w, "read the page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	stats := s.stats()
	lines := strings.Split(verbose(&stats), "\n")
	if stats.SwitchedOff {
		lines = append([]string{"[problem] switched off: every statement goes to Postgres; freshet bypass off ends that"}, lines...)
	}
	var summary bytes.Buffer
	err = summaryTemplate.Execute(&summary, struct {
		*Stats
		Lines   []string
		Figures []figure
	}{&stats, lines, figures(&stats)})
	if err != nil {
		s.options.Logger.Warn("cannot sum up for who runs no scripts", "error", err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(bytes.Replace(page, []byte(summaryHere), summary.Bytes(), 1)) // the client may be gone
}
