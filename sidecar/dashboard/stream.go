package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// streamsMax bounds the streams at once; another is refused, and its page asks
	// again and again instead.
	streamsMax = 20
	// framesKept is how many frames a page may have missed while it reconnects.
	framesKept = 60
	// framesWaiting is how many frames a slow reader may be behind before it is cut off.
	framesWaiting = 8
	// streamAfter is how long frames are made after the last reader has left: it may only
	// be reconnecting.
	streamAfter = 15 * time.Second
	// writeFrameMax bounds the time that a frame takes.
	writeFrameMax = 5 * time.Second
	// retryMillis is after how long a browser reconnects.
	retryMillis = 1000
)

// frame is one event of the stream.
type frame struct {
	number uint64
	name   string
	data   []byte
}

// hub hands frames to the streams. Nothing is made while nobody reads.
type hub struct {
	// life tells the processes apart whose frames have the same numbers.
	life string

	mu      sync.Mutex
	readers map[chan frame]bool
	last    time.Time // when there was a reader
	number  uint64
	kept    []frame // oldest first, without a gap
	fields  map[string]json.RawMessage
	closed  bool
}

func newHub(life string) *hub { return &hub{life: life, readers: map[chan frame]bool{}} }

// read reports whether frames are to be made at now.
func (h *hub) read(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.readers) > 0 {
		h.last = now
	}
	if !h.last.IsZero() && now.Sub(h.last) < streamAfter {
		return true
	}
	h.kept, h.fields = nil, nil
	return false
}

// tick publishes what has changed since the last one.
func (h *hub) tick(fields map[string]json.RawMessage, sample map[string]value, at float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := make(map[string]json.RawMessage)
	for name, text := range fields {
		if !bytes.Equal(h.fields[name], text) {
			changed[name] = text
		}
	}
	h.fields = fields
	h.publishLocked("tick", map[string]any{"at": at, "stats": changed, "sample": sample})
}

func (h *hub) mark(m Marker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.publishLocked("marker", m)
}

func (h *hub) publishLocked(name string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		return // there is no such value in what is published
	}
	h.number++
	next := frame{h.number, name, text}
	if len(h.kept) == framesKept {
		h.kept = append(h.kept[:0], h.kept[1:]...)
	}
	h.kept = append(h.kept, next)
	for reader := range h.readers {
		select {
		case reader <- next:
		default:
			// It reconnects, and goes on where it was.
			delete(h.readers, reader)
			close(reader)
		}
	}
}

// join returns where frames come from, and those that were missed since lastID. snapshot
// is set if they are not known: everything has to be said first. It is made of base,
// which is called if nothing was published yet.
func (h *hub) join(lastID string, base func() map[string]json.RawMessage) (reader chan frame, missed []frame, snapshot map[string]json.RawMessage, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.readers) >= streamsMax {
		return nil, nil, nil, fmt.Errorf("there are %d streams already", len(h.readers))
	}
	reader = make(chan frame, framesWaiting)
	h.readers[reader] = true
	if missed, ok := h.sinceLocked(lastID); ok {
		return reader, missed, nil, nil
	}
	// What is said must be what the next changes are compared with.
	if h.fields == nil {
		h.fields = base()
	}
	return reader, nil, h.fields, nil
}

// sinceLocked returns the frames after the one that a client saw last.
func (h *hub) sinceLocked(lastID string) (missed []frame, ok bool) {
	text, ok := strings.CutPrefix(lastID, h.life+"-")
	if !ok {
		return nil, false
	}
	seen, err := strconv.ParseUint(text, 10, 64)
	if err != nil || seen > h.number || len(h.kept) == 0 || seen+1 < h.kept[0].number {
		return nil, false
	}
	return append([]frame{}, h.kept[len(h.kept)-int(h.number-seen):]...), true
}

func (h *hub) leave(reader chan frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers, reader)
}

// close ends all streams.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for reader := range h.readers {
		delete(h.readers, reader)
		close(reader)
	}
}

// stream answers GET /api/v1/stream: a snapshot, and then what changes. A tick a second
// keeps connections alive.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	reader, missed, fields, err := s.hub.join(r.Header.Get("Last-Event-ID"), func() map[string]json.RawMessage { return s.fields(s.stats()) })
	if err != nil {
		w.Header().Set("Retry-After", "5")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer s.hub.leave(reader)
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	send := func(f frame) bool {
		_ = control.SetWriteDeadline(time.Now().Add(writeFrameMax))
		id := ""
		if f.number > 0 {
			id = fmt.Sprintf("id: %s-%d\n", s.hub.life, f.number)
		}
		_, err := fmt.Fprintf(w, "%sevent: %s\ndata: %s\n\n", id, f.name, f.data)
		return err == nil && control.Flush() == nil
	}
	if _, err := fmt.Fprintf(w, "retry: %d\n\n", retryMillis); err != nil {
		return
	}
	if fields != nil {
		text, err := json.Marshal(s.snapshotOf(fields))
		if err != nil || !send(frame{name: "snapshot", data: text}) {
			return
		}
	}
	for _, f := range missed {
		if !send(f) {
			return
		}
	}
	for {
		select {
		case f, ok := <-reader:
			if !ok || !send(f) {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
