package wire

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

const (
	// lastFilesMax is how many file descriptors are kept.
	lastFilesMax = 4
	// lastFileWait bounds the wait for a client that failed to be accepted a moment ago: it may
	// have left.
	lastFileWait = 20 * time.Millisecond
	// lastFileRead bounds the wait for what such a client sends first. Closing a socket before
	// that is read could take the answer away.
	lastFileRead = 250 * time.Millisecond
)

// noFiles is what clients are told for whom there is no file descriptor.
const noFiles = "The sidecar has no file descriptors left, and needs two for each client: raise LimitNOFILE (ulimit -n)."

// lastFiles are file descriptors that are kept for clients who come when there are no others. One
// is given up to accept a client, who is told so, and taken again, unless a session or a follower
// was there first: hence several. Without them such clients would wait for an answer that
// nobody can give. They belong to the goroutine that accepts.
type lastFiles []*os.File

// hold takes those that are missing, as far as there are any.
func (f *lastFiles) hold() {
	for len(*f) < lastFilesMax {
		file, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		*f = append(*f, file)
	}
}

// giveUp lets n of them go, as far as there are so many.
func (f *lastFiles) giveUp(n int) {
	for range min(n, len(*f)) {
		last := len(*f) - 1
		_ = (*f)[last].Close() // nobody read it
		*f = (*f)[:last]
	}
}

// outOfFiles reports whether something failed for want of file descriptors.
func outOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// refuseNext accepts the client that just could not be, for as long as it takes to say why. It
// reports whether there was one.
func (s *Server) refuseNext(l net.Listener, last *lastFiles) bool {
	bounded, ok := l.(interface{ SetDeadline(time.Time) error })
	if !ok || len(*last) == 0 {
		return false
	}
	last.giveUp(1)
	defer last.hold()
	_ = bounded.SetDeadline(time.Now().Add(lastFileWait)) // one that cannot is closed
	client, err := l.Accept()
	_ = bounded.SetDeadline(time.Time{})
	if err != nil {
		return false
	}
	defer client.Close()
	s.counters.SessionsTotal.Add(1)
	s.counters.countRefused(&s.counters.RefusedByFiles)
	s.logger.Warn("refused a client: no file descriptors are left", "remedy", "raise LimitNOFILE (ulimit -n): each client takes two")
	_ = client.SetDeadline(time.Now().Add(lastFileRead))
	_, _ = client.Read(make([]byte, 1<<10)) // whatever it is, the answer is the same
	_, _ = client.Write(protocol.ErrorResponse("FATAL", "53300", "the cache's sidecar cannot take another client", noFiles))
	return true
}
