package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// socketPathMax is the longest path of a Unix socket, in bytes. macOS takes no
// more. Linux, and libpq there, take 107, but a directory that works on one machine
// should work on the next.
const socketPathMax = 103

// SocketPath is where clients of a directory and port connect, by libpq's rule.
func SocketPath(dir string, port int) string {
	return filepath.Join(dir, fmt.Sprintf(".s.PGSQL.%d", port))
}

// CheckSocketPath returns an error, which says what to do, if no socket can have
// the path because it is too long.
func CheckSocketPath(path string) error {
	if len(path) > socketPathMax {
		return fmt.Errorf("%s has %d bytes, and the path of a Unix socket may have %d; choose a shorter directory", path, len(path), socketPathMax)
	}
	return nil
}

// socket is a Unix socket that one process at a time can listen on.
type socket struct {
	path     string
	listener net.Listener
	lock     *os.File
}

// listenUnix listens on dir/.s.PGSQL.port. The lock beside it, and not the
// socket file, which a killed process leaves behind, tells whether another
// process listens.
func listenUnix(dir string, port int) (*socket, error) {
	if port < 1 || port > 65535 {
		return nil, fmt.Errorf("listen: port %d is not between 1 and 65535", port)
	}
	path := SocketPath(dir, port)
	if err := CheckSocketPath(path); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.MkdirAll(dir, 0o770); err != nil {
		return nil, fmt.Errorf("make socket directory: %w", err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open socket lock: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("listen on %s: another sidecar listens there: stop it, or choose another --port or --socket-dir", path)
		}
		return nil, fmt.Errorf("lock socket: %w", err)
	}
	if other, err := net.Dial("unix", path); err == nil {
		other.Close()
		lock.Close()
		return nil, fmt.Errorf("listen on %s: another server listens there, perhaps Postgres itself: choose another --port or --socket-dir", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		lock.Close()
		return nil, fmt.Errorf("remove the socket that a dead process left: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	// Like Postgres' own default: who may connect is decided by authentication.
	if err := os.Chmod(path, 0o777); err != nil {
		listener.Close()
		lock.Close()
		return nil, fmt.Errorf("set socket permissions: %w", err)
	}
	return &socket{path: path, listener: listener, lock: lock}, nil
}

// close removes the socket, then lets go of the lock, which stays as a file:
// removing it would let two processes lock two files of one name.
func (s *socket) close() {
	s.listener.Close()
	s.lock.Close()
}
