package accesslog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// disk is what a test writes to.
type disk struct {
	mu     sync.Mutex
	text   bytes.Buffer
	closed bool
	// slow, unless nil, holds writes up until it is closed: running makes it for a disk that
	// stands; fails has writes fail.
	stands bool
	slow   chan struct{}
	fails  error
}

func (d *disk) Write(b []byte) (int, error) {
	if d.slow != nil {
		<-d.slow
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails != nil {
		return 0, d.fails
	}
	return d.text.Write(b)
}

func (d *disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}

func (d *disk) lines() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Count(d.text.String(), "\n")
}

// running runs a test with a log that writes to the disks, one after the other.
func running(t *testing.T, disks []*disk, test func(*testing.T, *Log)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opened := 0
		for _, d := range disks {
			if d.stands {
				d.slow = make(chan struct{}) // of this test's bubble
			}
		}
		l, err := New(func() (io.WriteCloser, error) { opened++; return disks[opened-1], nil }, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		test(t, l)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestLine(t *testing.T) {
	t.Parallel()
	r := Record{
		Shape: "9f31c2aa", Tables: []string{"public.a", `public."q`}, Role: "app\n\x00\x7f", Database: "sch\u00f6n \xff", PID: 7,
		Outcome: "bypass", Reason: "volatile", Took: 1234567 * time.Nanosecond, Age: time.Second, Kept: true,
		at: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
	}
	line := appendLine(nil, &r)
	var read map[string]any
	if err := json.Unmarshal(line, &read); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	text, _ := json.Marshal(read)
	const want = `{"age_ms":1000,"database":"schön �","duration_ms":1.235,"outcome":"bypass","pid":7,"reason":"volatile","role":"app\n\u0000` + "\x7f" + `","shape":"9f31c2aa","tables":["public.a","public.\"q"],"time":"2026-01-02T03:04:05.000006Z"}`
	if string(text) != want || bytes.Count(line, []byte("\n")) != 1 {
		t.Errorf("a record is written as\n%s, want\n%s", text, want)
	}
	if line := appendLine(nil, &Record{}); !json.Valid(line) {
		t.Errorf("an empty record is %s", line)
	}
}

func TestRecordsAreWritten(t *testing.T) {
	d := &disk{}
	running(t, []*disk{d}, func(t *testing.T, l *Log) {
		l.Note(Record{Outcome: "miss"})
		if time.Sleep(2 * every); d.lines() != 1 || l.Lines.Load() != 1 {
			t.Errorf("%d lines", d.lines())
		}
		for range 3 * batchMax {
			l.Note(Record{Outcome: "hit_l1"})
		}
	})
	if d.lines() != 3*batchMax+1 || !d.closed {
		t.Errorf("%d lines at the end; closed: %v", d.lines(), d.closed)
	}
}

// A disk that does not answer holds nobody up: what finds no place is dropped, and counted.
func TestSlowDisk(t *testing.T) {
	d := &disk{stands: true}
	running(t, []*disk{d}, func(t *testing.T, l *Log) {
		const notes = 2 * heldMax
		for range notes {
			l.Note(Record{Outcome: "hit_l1"})
			synctest.Wait() // the writer takes what it can
		}
		if dropped := l.Dropped.Load(); dropped != notes-heldMax-batchMax && dropped != notes-heldMax {
			t.Errorf("%d of %d were dropped", dropped, notes)
		}
		close(d.slow)
		if time.Sleep(2 * every); uint64(d.lines())+l.Dropped.Load() != notes || l.Lines.Load() != uint64(d.lines()) {
			t.Errorf("%d lines written, %d dropped", d.lines(), l.Dropped.Load())
		}
	})
}

// A disk that does not answer does not hold the sidecar's end up either.
func TestSlowDiskAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{slow: make(chan struct{})}
		l, err := New(func() (io.WriteCloser, error) { return d, nil }, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		l.Note(Record{})
		stop()
		began := time.Now()
		if err := l.Run(ctx); err != nil || time.Since(began) != lastMax {
			t.Errorf("it ends after %v with %v", time.Since(began), err)
		}
		close(d.slow)
	})
}

func TestFullDisk(t *testing.T) {
	d := &disk{fails: errors.New("no space left on device")}
	running(t, []*disk{d}, func(t *testing.T, l *Log) {
		l.Note(Record{})
		if time.Sleep(2 * every); l.Dropped.Load() != 1 || l.Lines.Load() != 0 {
			t.Errorf("%d dropped, %d written", l.Dropped.Load(), l.Lines.Load())
		}
	})
}

// A file that was renamed is left behind, as with logrotate.
func TestReopen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	l, err := New(File(path), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.Note(Record{Outcome: "first"})
	w := &writer{log: l}
	w.batch()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Note(Record{Outcome: "second"})
	w.batch()
	for range 2 { // the second before the writer has taken the first
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	l.Note(Record{Outcome: "third"})
	w.batch()
	w.close()
	for name, want := range map[string][]string{path + ".1": {"first", "second"}, path: {"third"}} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, outcome := range want {
			if !strings.Contains(string(text), outcome) || strings.Count(string(text), "\n") != len(want) {
				t.Errorf("%s holds %s", name, text)
			}
		}
	}
	gone, err := New(File(filepath.Join(t.TempDir(), "none", "access.log")), slog.New(slog.DiscardHandler))
	if err == nil || gone != nil {
		t.Error("a file in a directory that is not there was opened")
	}
}

func TestNoteAllocatesNothing(t *testing.T) {
	l, err := New(func() (io.WriteCloser, error) { return &disk{}, nil }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := Record{Shape: "9f31c2aa", Tables: []string{"public.a"}, Role: "app"}
	if n := testing.AllocsPerRun(2*heldMax, func() { l.Note(r) }); n != 0 {
		t.Errorf("to note a record allocates %v times", n)
	}
}
