package dashboard

import (
	"encoding/json"
	"net/http"
)

// Snapshot is the JSON form of GET /api/v1/snapshot: all that the page shows but the
// history and the list of tables.
type Snapshot struct {
	// Stats is as GET /api/v1/stats has it, without the lists of tables.
	Stats map[string]json.RawMessage `json:"stats"`
	// Markers are what happened lately.
	Markers []Marker `json:"markers"`
	// Natural are the reasons of bypasses about which nothing is to be done.
	Natural []string `json:"natural"`
	// Charts is set if the charts were built in.
	Charts bool `json:"charts"`
	// Library is set if what is shown is a library in a program of its own: there is no
	// socket, nothing is verified, and what has no figures is left out.
	Library bool `json:"library"`
	// Can says what may be asked for, Token what has to be sent with it.
	Can   Can    `json:"can"`
	Token string `json:"token"`
	// ReadOnly is set if every action is refused here.
	ReadOnly bool `json:"read_only"`
}

// Can says which actions there are.
type Can struct {
	Explain bool `json:"explain"`
	Purge   bool `json:"purge"`
}

// fields are the parts of a reading, and what the page says first of it, to be compared with those
// of the next one. The list of tables is asked for apart.
func (s *Server) fields(stats Stats) map[string]json.RawMessage {
	stats.Watched = nil
	text, err := json.Marshal(struct {
		Stats
		Shown shown `json:"shown"`
	}{stats, stats.shownOn(s.options.library)})
	if err != nil {
		s.options.Logger.Warn("cannot encode the statistics", "error", err)
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		s.options.Logger.Warn("cannot take the statistics apart", "error", err)
	}
	delete(fields, "watched")
	return fields
}

func (s *Server) snapshotOf(fields map[string]json.RawMessage) Snapshot {
	return Snapshot{
		Stats: fields, Markers: s.markers.all(), Natural: natural, Charts: s.charts, Library: s.options.library,
		Can: Can{Explain: s.options.ExplainFunc != nil && !s.options.ReadOnly, Purge: s.options.PurgeFunc != nil && !s.options.ReadOnly}, Token: s.token, ReadOnly: s.options.ReadOnly,
	}
}

func (s *Server) snapshot(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, s.snapshotOf(s.fields(s.stats())))
}
