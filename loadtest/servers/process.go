package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// command is a program to run as a child that does not outlive this process.
type command struct {
	path    string
	args    []string
	dir     string // working directory; readable by the account
	logPath string // standard output and error are appended to it
	input   string // standard input; none if empty
	account account
}

// process is a started child. Its goroutine ends when the child has been
// reaped.
type process struct {
	pid    int
	handle *os.Process
	done   chan struct{} // closed when the child has been reaped
	err    error         // how it ended; read only after done
}

// ChildAttributes are those of a child that does not outlive this process, where the
// kernel can see to that: it ends the child when the thread ends that forked it.
// Ctrl-C in a terminal, which reaches the whole foreground group, does not reach the
// child: it must live for as long as its owner needs to finish.
func ChildAttributes() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(attributes)
	return attributes
}

// startProcess starts a child that the kernel kills when this process dies.
//
// The death signal belongs to the thread that forked: it is sent when that
// thread ends, even if the process lives on. So one goroutine keeps its thread
// from the fork until the child has been reaped.
func startProcess(c command) (*process, error) {
	log, err := os.OpenFile(c.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open server log: %w", err)
	}
	defer log.Close()

	cmd := exec.Command(c.path, c.args...)
	cmd.Dir = c.dir
	cmd.Env = serverEnvironment()
	cmd.Stdout, cmd.Stderr = log, log
	if c.input != "" {
		cmd.Stdin = strings.NewReader(c.input)
	}
	cmd.SysProcAttr = ChildAttributes()
	cmd.SysProcAttr.Credential = c.account.credential()

	p := &process{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.pid, p.handle = cmd.Process.Pid, cmd.Process
		started <- nil
		p.err = cmd.Wait()
	}()
	if err := <-started; err != nil {
		<-p.done
		if errors.Is(err, os.ErrPermission) {
			return nil, fmt.Errorf("start %s: %w; user %d, which runs the servers, must be able to reach and run it", c.path, err, c.account.user())
		}
		return nil, fmt.Errorf("start %s: %w", c.path, err)
	}
	return p, nil
}

// run starts the command and waits for its end; its error includes what it
// printed.
func (c command) run(ctx context.Context) error {
	p, err := startProcess(c)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		killTree(p)
		return fmt.Errorf("run %s: %w", c.path, ctx.Err())
	}
	if p.err != nil {
		return fmt.Errorf("run %s: %w; it said:\n%s", c.path, p.err, logTail(c.logPath, 10))
	}
	return nil
}

// serverEnvironment is ours without what would steer PostgreSQL: its own
// variables and the locale.
func serverEnvironment() []string {
	var kept []string
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "PG") || strings.HasPrefix(variable, "LC_") ||
			strings.HasPrefix(variable, "LANG") {
			continue
		}
		kept = append(kept, variable)
	}
	return append(kept, "LC_ALL=C")
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends sig; that the process has already ended is not an error.
func (p *process) signal(sig syscall.Signal) error {
	if err := p.handle.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to process %d: %w", sig, p.pid, err)
	}
	return nil
}

// ended waits for at most wait and reports whether the process has ended.
func (p *process) ended(wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return false
	}
}

// killTree kills a process with its children, and returns when all are gone.
// The parent is stopped first, so that no child is born between the listing and
// the killing.
func killTree(p *process) {
	if !p.running() {
		return
	}
	_ = p.signal(syscall.SIGSTOP) // can only fail if it has ended
	children := childrenOf(p.pid)
	_ = p.signal(syscall.SIGKILL)
	for _, child := range children {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	<-p.done
	deadline := time.Now().Add(closeWaitMax)
	for _, child := range children {
		for alive(child) && time.Now().Before(deadline) {
			time.Sleep(pollInterval)
		}
	}
}

// logTail returns the last lines of a log, at most n.
func logTail(path string, n int) string {
	file, err := os.Open(path)
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	defer file.Close()
	if size, err := file.Seek(0, io.SeekEnd); err == nil {
		_, _ = file.Seek(max(0, size-logTailBytesMax), io.SeekStart)
	}
	text, err := io.ReadAll(io.LimitReader(file, logTailBytesMax))
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
