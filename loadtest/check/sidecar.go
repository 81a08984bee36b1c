package check

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
)

const (
	// readyWaitMax bounds the wait for the line that says ready.
	readyWaitMax = 30 * time.Second
	// endWaitMax bounds the wait for a polite end.
	endWaitMax = 15 * time.Second
	// lastWordsMax is how much of what a sidecar logged is kept, in bytes.
	lastWordsMax = 4 << 10
)

// sidecar is one freshet serve. Calls that start and end it wait for each other.
type sidecar struct {
	number      int
	program     string
	arguments   []string
	environment []string
	// died is told of an end that nobody asked for.
	died func(error)

	mu      sync.Mutex
	running *running // nil while it does not run
}

// running is one process of a sidecar.
type running struct {
	command *exec.Cmd
	words   lastWords
	ended   chan struct{} // closed when it has been reaped
	// asked is set before it is told to end.
	mu    sync.Mutex
	asked bool
}

// lastWords keeps the end of what a process logs.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	if extra := len(w.text) - lastWordsMax; extra > 0 {
		w.text = append(w.text[:0], w.text[extra:]...)
	}
	return len(p), nil
}

// String returns what is kept.
func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(bytes.TrimSpace(w.text))
}

// start starts the process and waits until it says that it is ready.
func (s *sidecar) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &running{command: exec.Command(s.program, s.arguments...), ended: make(chan struct{})}
	r.command.Env = append(os.Environ(), s.environment...)
	r.command.Stderr = &r.words
	r.command.SysProcAttr = servers.ChildAttributes()
	out, err := r.command.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start sidecar %d: %w", s.number, err)
	}
	started := make(chan error, 1)
	ready := make(chan error, 1)
	go func() {
		// The kernel ends the child when the thread that forked it ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := r.command.Start(); err != nil {
			close(r.ended)
			started <- err
			return
		}
		started <- nil
		lines := bufio.NewReader(out)
		ready <- awaitReadyLine(lines)
		_, _ = io.Copy(io.Discard, lines) // until it ends
		err := r.command.Wait()
		if !r.wasAsked() {
			s.died(fmt.Errorf("sidecar %d ended by itself: %v; its last words:\n%s", s.number, err, r.words.String()))
		}
		close(r.ended)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start sidecar %d: %w", s.number, err)
	}
	s.running = r
	patience := time.NewTimer(readyWaitMax)
	defer patience.Stop()
	select {
	case err = <-ready:
	case <-patience.C:
		err = errors.New("it is not ready in time")
	}
	if err != nil {
		return fmt.Errorf("start sidecar %d: %w; its last words:\n%s", s.number, err, r.words.String())
	}
	return nil
}

// awaitReadyLine reads until the line that says ready. One that says that a sidecar
// serves and does not follow yet may come before.
func awaitReadyLine(lines *bufio.Reader) error {
	for {
		line, err := lines.ReadString('\n')
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(line, "freshet: ready"):
			return nil
		case !strings.HasPrefix(line, "freshet: serving"):
			return fmt.Errorf("it said %q", line)
		}
	}
}

func (r *running) wasAsked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func (r *running) ask() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = true
}

// kill ends the process at once.
func (s *sidecar) kill() { s.end(syscall.SIGKILL) }

// stop ends it politely, and otherwise after a while.
func (s *sidecar) stop() { s.end(syscall.SIGTERM) }

func (s *sidecar) end(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.running
	if r == nil {
		return
	}
	s.running = nil
	r.ask()
	_ = r.command.Process.Signal(sig) // it may have ended
	_ = r.command.Process.Signal(syscall.SIGCONT)
	patience := time.NewTimer(endWaitMax)
	defer patience.Stop()
	select {
	case <-r.ended:
	case <-patience.C:
		_ = r.command.Process.Kill()
		<-r.ended
	}
}

// freeze stops the process until thaw.
func (s *sidecar) freeze() { s.signal(syscall.SIGSTOP) }

func (s *sidecar) thaw() { s.signal(syscall.SIGCONT) }

func (s *sidecar) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		_ = s.running.command.Process.Signal(sig) // that it has ended is told elsewhere
	}
}

// lastWords is the end of what the running process logged.
func (s *sidecar) lastWords() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return ""
	}
	return s.running.words.String()
}
