package transport

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// socketPathMax is the longest path of a Unix socket, in bytes. macOS takes no
// more. Linux, and libpq there, take 107, but a directory that works on one machine
// should work on the next.
const socketPathMax = 103

// SocketPrefix begins the name of a socket that clients of Postgres find; the port follows.
const SocketPrefix = ".s.PGSQL."

// SocketPath is where clients of a directory and port connect, by libpq's rule.
func SocketPath(dir string, port int) string {
	return filepath.Join(dir, SocketPrefix+strconv.Itoa(port))
}

// CheckSocketPath returns an error, which says what to do, if no socket can have
// the path because it is too long.
func CheckSocketPath(path string) error {
	if len(path) > socketPathMax {
		return fmt.Errorf("%s has %d bytes, and the path of a Unix socket may have %d; choose a shorter directory", path, len(path), socketPathMax)
	}
	return nil
}

// Socket is a Unix socket that one process at a time can listen on.
type Socket struct {
	Path     string
	Listener net.Listener
	lock     *os.File
	// ours is set if this process has made the path, or Own was called: then the path goes
	// with it.
	ours bool
}

// SocketAccess says who may connect to a socket.
type SocketAccess struct {
	// Mode are the socket's permissions. 0 means socketModeDefault.
	Mode fs.FileMode
	// group owns the socket, by name or number. Empty means the process' own.
	Group string
}

// socketModeDefault lets the sidecar's user and group connect. More is asked for:
// what Postgres demands of a client may be less than it would be without a sidecar.
const socketModeDefault fs.FileMode = 0o660

// apply gives a socket the permissions.
func (a SocketAccess) apply(path string) error {
	if a.Group != "" {
		gid, err := groupNumber(a.Group)
		if err != nil {
			return err
		}
		if err := os.Chown(path, -1, gid); err != nil {
			return fmt.Errorf("give the socket to the group %s: %w; run as a member of it", a.Group, err)
		}
	}
	mode := a.Mode
	if mode == 0 {
		mode = socketModeDefault
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("set socket permissions: %w", err)
	}
	return nil
}

// CheckGroup returns nil if a socket could be given to the group, as far as its name
// tells. Empty is the process' own.
func CheckGroup(group string) error {
	if group == "" {
		return nil
	}
	_, err := groupNumber(group)
	return err
}

// groupNumber finds a group by its name, or else takes it for a number.
func groupNumber(group string) (int, error) {
	if found, err := user.LookupGroup(group); err == nil {
		group = found.Gid
	}
	gid, err := strconv.ParseUint(group, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("find the group %q: there is none of this name", group)
	}
	return int(gid), nil
}

// ListenUnix listens on dir/.s.PGSQL.port. The lock beside it, and not the
// socket file, which a killed process leaves behind, tells whether another
// process listens. It takes the lock unless the caller has it.
func ListenUnix(dir string, port int, access SocketAccess, lock *os.File) (*Socket, error) {
	path, err := makePlace(dir, port)
	if err != nil {
		return nil, err
	}
	if lock == nil {
		if lock, err = lockBeside(path); err != nil {
			return nil, err
		}
	}
	if other, err := net.Dial("unix", path); err == nil {
		other.Close()
		lock.Close()
		return nil, fmt.Errorf("listen on %s: another server listens there, perhaps Postgres itself: choose another --port or --socket-dir", path)
	}
	if err := removeStale(path); err != nil {
		lock.Close()
		return nil, err
	}
	listener, err := listenClosed(path)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := access.apply(path); err != nil {
		listener.Close()
		lock.Close()
		return nil, err
	}
	return &Socket{Path: path, Listener: listener, lock: lock, ours: true}, nil
}

// makePlace returns the socket's path in dir, and makes dir.
func makePlace(dir string, port int) (path string, err error) {
	if port < 1 || port > 65535 {
		return "", fmt.Errorf("listen: port %d is not between 1 and 65535", port)
	}
	path = SocketPath(dir, port)
	if err := CheckSocketPath(path); err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	if err := os.MkdirAll(dir, 0o770); err != nil {
		return "", fmt.Errorf("make socket directory: %w", err)
	}
	return path, nil
}

// errListens is what is wrong where another sidecar has the socket's lock.
var errListens = errors.New("another sidecar listens there: stop it, take its place with --take-over, or choose another --port or --socket-dir")

// lockBeside takes the lock of the socket at path. Its error is errListens if a sidecar
// has it.
func lockBeside(path string) (*os.File, error) {
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open socket lock: %w; choose a --socket-dir that this process may write to, and that no other user has used", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("listen on %s: %w", path, errListens)
		}
		return nil, fmt.Errorf("lock socket: %w", err)
	}
	return lock, nil
}

// copyFile is another descriptor of the same open file, and of its locks.
func copyFile(f *os.File) (*os.File, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	descriptor, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(descriptor)
	return os.NewFile(uintptr(descriptor), f.Name()), nil
}

// listenClosed listens on a socket that nobody else can connect to yet: it must not
// be open to more than it will be, not even for a moment.
func listenClosed(path string) (net.Listener, error) {
	umask.Lock()
	defer umask.Unlock()
	defer syscall.Umask(syscall.Umask(0o077))
	return net.Listen("unix", path)
}

// umask guards the process' mask for new files, which all its threads share.
var umask sync.Mutex

// removeStale removes the socket that a dead process left. Anything else at its path
// is somebody's file.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("listen on %s: a file that is no socket is there: move it away, or choose another --port or --socket-dir", path)
	case err == nil:
		err = os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("remove the socket that a dead process left: %w", err)
	}
	return nil
}

// Close removes the socket, then lets go of the lock, which stays as a file:
// removing it would let two processes lock two files of one name.
func (s *Socket) Close() {
	s.Listener.Close()
	s.lock.Close()
}
