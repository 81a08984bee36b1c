package dashboard

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// listener reads a stream of events.
type listener struct {
	t        *testing.T
	response *http.Response
	lines    *bufio.Scanner
}

// heard is one event.
type heard struct{ id, name, data string }

func listen(t *testing.T, s *Server, lastID string) *listener {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Address()+"/api/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	return &listener{t, response, lines}
}

// next waits for an event; name "" is that the stream ended.
func (l *listener) next() (h heard) {
	l.t.Helper()
	for l.lines.Scan() {
		name, value, _ := strings.Cut(l.lines.Text(), ": ")
		switch name {
		case "id":
			h.id = value
		case "event":
			h.name = value
		case "data":
			h.data = value
		case "":
			if h.name != "" {
				return h
			}
		}
	}
	return heard{}
}

// nextButTicks is next without the ticks: one comes each second, whatever a test does.
func (l *listener) nextButTicks() (h heard) {
	l.t.Helper()
	for h = l.next(); h.name == "tick"; h = l.next() {
		continue
	}
	return h
}

// A stream says everything once and then what changes, also what happened; a client that
// comes back goes on where it was.
func TestStreamGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	src, server := setup(t)
	first := listen(t, server, "")
	if got := first.response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}
	var snapshot Snapshot
	if h := first.next(); h.name != "snapshot" || json.Unmarshal([]byte(h.data), &snapshot) != nil {
		t.Fatalf("%+v is no snapshot", h)
	}
	if string(snapshot.Stats["version"]) != `"v1.2.3"` || snapshot.Stats["watched"] != nil || len(snapshot.Markers) == 0 || snapshot.Token == "" {
		t.Errorf("snapshot %+v", snapshot)
	}
	src.change(func(s *Stats) { s.Sessions = 77 })
	var tick heard
	for !strings.Contains(tick.data, `"sessions":77`) {
		if tick = first.next(); tick.name != "tick" || strings.Contains(tick.data, `"version"`) {
			t.Fatalf("%+v", tick)
		}
	}
	server.Mark("mark", "deployed")
	if h := first.nextButTicks(); h.name != "marker" || !strings.Contains(h.data, "deployed") {
		t.Errorf("%+v is no marker", h)
	}
	first.response.Body.Close()
	again := listen(t, server, tick.id)
	if h := again.nextButTicks(); h.name != "marker" || !strings.Contains(h.data, "deployed") {
		t.Errorf("a client that comes back is told %+v first", h)
	}
	// What another process said last means nothing here.
	if h := listen(t, server, "OTHER-3").next(); h.name != "snapshot" {
		t.Errorf("a client of another process is told %+v first", h)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	_, server := setup(t)
	for range streamsMax {
		if h := listen(t, server, "").next(); h.name != "snapshot" {
			t.Fatalf("%+v", h)
		}
	}
	if r := listen(t, server, "").response; r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %d", r.StatusCode)
	}
}

// Nothing is made for nobody: without a reader, and once the last is gone for long.
func TestNobodyIsToldNothing(t *testing.T) {
	t.Parallel()
	h := newHub("A")
	now := time.Now()
	if h.read(now) {
		t.Error("somebody reads")
	}
	reader, _, _, err := h.join("", func() map[string]json.RawMessage { return map[string]json.RawMessage{} })
	if err != nil || !h.read(now) {
		t.Errorf("nobody reads, error %v", err)
	}
	h.mark(Marker{})
	h.leave(reader)
	if !h.read(now.Add(streamAfter-time.Second)) || len(h.kept) != 1 || h.fields == nil {
		t.Errorf("a reader that has just left may come back, and %d frames are kept, want 1; fields %v", len(h.kept), h.fields)
	}
	if h.read(now.Add(streamAfter+time.Second)) || h.kept != nil || h.fields != nil {
		t.Errorf("frames are made or kept for nobody: %d, fields %v", len(h.kept), h.fields)
	}
}

// A reader that does not keep up is cut off, and holds up nobody.
func TestSlowReaderIsCutOff(t *testing.T) {
	t.Parallel()
	h := newHub("A")
	slow, _, _, err := h.join("", func() map[string]json.RawMessage { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for range framesWaiting + 1 {
		h.mark(Marker{})
	}
	n := 0
	for range slow {
		n++
	}
	if n != framesWaiting {
		t.Errorf("%d frames, then the end; want %d", n, framesWaiting)
	}
}
