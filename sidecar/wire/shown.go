package wire

import (
	"bytes"

	"github.com/freshet/freshet/sidecar/internal/statements"
)

// shown is what a message may ask for that only the sidecar knows: a bit for the token
// and one for each of reportNames.
type shown uint16

const showsToken shown = 1

// reportNames are the reports that a client may ask for: SHOW freshet.stats, or
// current_setting('freshet.stats').
var reportNames = []string{"stats", "bypasses", "tables", "version", "queries", "fleet", "sessions", "report", "databases"}

// reportMax bounds a report, in bytes: it is part of what a session holds.
const reportMax = 256 << 10

// shownBy returns what a message may ask for.
func shownBy(message []byte) (asked shown) {
	if !statements.SpeaksOfUs(message) {
		return 0
	}
	if mentionsToken(message) {
		asked = showsToken
	}
	text := bytes.ToLower(message)
	for i, name := range reportNames {
		if bytes.Contains(text, []byte("freshet."+name)) {
			asked |= showsToken << (i + 1)
		}
	}
	return asked
}

// provideReports puts the reports that are asked for into settings of their names, of
// which Postgres answers in whatever protocol and form the client asks. The quotes mean
// the same whatever the client has set.
func (a *asking) provideReports(asked shown) error {
	for i, name := range reportNames {
		if asked&(showsToken<<(i+1)) == 0 || a.db.reportFunc == nil {
			continue
		}
		report := a.db.reportFunc(name)
		if len(report) > reportMax || bytes.Contains([]byte(report), []byte("$freshet$")) {
			report = "unavailable"
		}
		a.db.counters.UpstreamProbes.Add(1)
		if err := a.ask("SET freshet." + name + " = $freshet$" + report + "$freshet$"); err != nil {
			return err
		}
	}
	return nil
}
