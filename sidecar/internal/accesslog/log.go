// Package accesslog writes a line for each statement that clients run: who read what, how it
// was answered and how old the answer was. No value of a statement is in it.
//
// It guarantees that nobody who notes a record waits for a disk: records are gathered in a
// bounded buffer, and those that find it full are dropped and counted. To note one allocates
// nothing. The methods of a Log may be called concurrently.
package accesslog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// heldMax is how many records are gathered.
	heldMax = 8192
	// batchMax is how many are written at once.
	batchMax = 256
	// every is how long a record waits at most until it is written, where the disk is not
	// slow.
	every = 100 * time.Millisecond
	// lastMax bounds the wait for the last records when the log ends.
	lastMax = 2 * time.Second
)

// Record is what is written of one statement. It holds texts of others, which do not change.
type Record struct {
	// Shape names the statement's shape, Tables are the watched tables that it reads; both
	// are empty where that is not known.
	Shape  string
	Tables []string
	// Role and Database are those that the client connected with, PID is Postgres' process
	// for it.
	Role, Database string
	PID            uint32
	// Outcome is how it was answered, Reason why from Postgres, if it was passed through.
	Outcome, Reason string
	// Took is the time until the answer was given, 0 where nobody measures that.
	Took time.Duration
	// Age is that of an answer from the cache, and is written if Kept is set.
	Age  time.Duration
	Kept bool

	// at is set by Note.
	at time.Time
}

// OpenFunc opens what is written to.
type OpenFunc func() (io.WriteCloser, error)

// Log gathers records and writes them. New makes one.
type Log struct {
	open   OpenFunc
	logger *slog.Logger
	// wake has the writer come before its time.
	wake chan struct{}
	// Lines counts what was written, Dropped what was not.
	Lines, Dropped atomic.Uint64

	mu    sync.Mutex
	held  []Record // a ring of heldMax
	first int
	n     int
	// next, unless nil, is what is written to from the next batch on. Reopen sets it, the
	// writer takes it.
	next io.WriteCloser
}

// New opens what is written to. Nothing is written until the log runs. logger is told of
// what cannot be written; nil means silence.
func New(open OpenFunc, logger *slog.Logger) (*Log, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	to, err := open()
	if err != nil {
		return nil, fmt.Errorf("open the access log: %w", err)
	}
	return &Log{open: open, logger: logger, wake: make(chan struct{}, 1), held: make([]Record, heldMax), next: to}, nil
}

// Reopen opens anew what is written to, as when a file was renamed to begin another one.
// Where that fails, what was open is written to as before.
func (l *Log) Reopen() error {
	to, err := l.open()
	if err != nil {
		return fmt.Errorf("open the access log: %w", err)
	}
	l.mu.Lock()
	untaken := l.next
	l.next = to
	l.mu.Unlock()
	if untaken != nil {
		_ = untaken.Close() // nothing was written to it
	}
	return nil
}

// Note has a record written. It waits for nobody.
func (l *Log) Note(r Record) {
	r.at = time.Now()
	l.mu.Lock()
	if l.n == len(l.held) {
		l.mu.Unlock()
		l.Dropped.Add(1)
		return
	}
	l.held[(l.first+l.n)%len(l.held)] = r
	l.n++
	many := l.n == batchMax
	l.mu.Unlock()
	if many {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// Run writes until ctx ends, and then, for a bounded time, what is left.
func (l *Log) Run(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.write(ctx)
	}()
	<-ctx.Done()
	select {
	case <-ended:
	case <-time.After(lastMax):
		l.logger.Warn("the access log is not written to its end: the disk is too slow")
	}
	return nil
}

// write writes until ctx ends and nothing is left.
func (l *Log) write(ctx context.Context) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	w := &writer{log: l}
	defer w.close()
	for last := false; !last; {
		select {
		case <-ctx.Done():
			last = true
		case <-l.wake:
		case <-ticker.C:
		}
		for w.batch() {
		}
	}
}

// take moves records into dst, and returns what is to be written to from now on, nil if that
// is what it was.
func (l *Log) take(dst []Record) (taken []Record, next io.WriteCloser) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next, l.next = l.next, nil
	for l.n > 0 && len(dst) < cap(dst) {
		dst = append(dst, l.held[l.first])
		l.held[l.first] = Record{}
		l.first = (l.first + 1) % len(l.held)
		l.n--
	}
	return dst, next
}

// writer is what the goroutine has that writes.
type writer struct {
	log     *Log
	to      io.WriteCloser
	records [batchMax]Record
	text    []byte
}

// batch writes some records, and reports whether there may be more.
func (w *writer) batch() bool {
	records, next := w.log.take(w.records[:0])
	if next != nil {
		w.close()
		w.to = next
	}
	if len(records) == 0 {
		return false
	}
	w.text = w.text[:0]
	for i := range records {
		w.text = appendLine(w.text, &records[i])
	}
	if _, err := w.to.Write(w.text); err != nil {
		w.log.Dropped.Add(uint64(len(records)))
		w.log.logger.Error("cannot write the access log", "error", err)
		return true
	}
	w.log.Lines.Add(uint64(len(records)))
	return true
}

func (w *writer) close() {
	if w.to == nil {
		return
	}
	if err := w.to.Close(); err != nil {
		w.log.logger.Error("cannot close the access log", "error", err)
	}
}
