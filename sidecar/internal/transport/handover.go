package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"slices"
	"syscall"
	"time"
)

// A process that takes the place of another gets the very sockets that it listens on, so
// that nobody who connects is refused:
//
//  1. the old process listens beside its socket, for its own user alone;
//  2. the new one connects, and is sent the names and descriptors of what the old one
//     listens on, its lock among them, which both hold from then on;
//  3. when the new one accepts clients, it says so, and the old one stops accepting.
//
// Until 3 both may accept: whoever connects is served by one of them. A new process that
// dies before has changed nothing. If the old one is told to end between 2 and 3, its paths
// stay, since the new one listens there, or will (TestOldProcessEndsBeforeTheNewServes).
const (
	// nextSuffix ends the path of the socket beside.
	nextSuffix = ".next"
	// filesMax bounds the descriptors that are handed over.
	filesMax = 8
	// namesMax bounds the bytes of their names.
	namesMax = 4096
	// handoverMax bounds each step but the start of the new process.
	handoverMax = 5 * time.Second
	// offerPause is how long who wants a place waits before it asks again.
	offerPause = 20 * time.Millisecond
)

// saidReady is what the new process says at last.
var saidReady = []byte("ready")

// Offer waits for a process that takes this one's place.
type Offer struct {
	listener *net.UnixListener
	path     string
}

// NewOffer listens beside the socket at path, in place of whoever did before: the caller
// holds the socket's lock.
func NewOffer(path string) (*Offer, error) {
	beside := path + nextSuffix
	if err := CheckSocketPath(beside); err != nil {
		return nil, fmt.Errorf("offer to hand over: %w", err)
	}
	if err := removeStale(beside); err != nil {
		return nil, fmt.Errorf("offer to hand over: %w", err)
	}
	listener, err := listenClosed(beside)
	if err != nil {
		return nil, fmt.Errorf("offer to hand over: %w", err)
	}
	unix := listener.(*net.UnixListener) // of a path it is
	unix.SetUnlinkOnClose(false)
	return &Offer{listener: unix, path: beside}, nil
}

// Serve hands files over to whoever comes, until one of them has said that it serves:
// then it reports true, and the path is that one's. It reports false when ctx ends, and
// removes the path, unless somebody has the files, who may listen there by then. files are
// called for each, and closed; back is called when one is gone that has said nothing.
func (o *Offer) Serve(ctx context.Context, files func() (map[string]*os.File, error), back func()) (taken bool) {
	defer context.AfterFunc(ctx, func() { o.listener.Close() })()
	defer o.listener.Close()
	for {
		conn, err := o.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			_ = os.Remove(o.path) // a path that is left behind harms nobody
			return false
		}
		if err != nil {
			time.Sleep(20 * time.Millisecond) // such as for want of descriptors
			continue
		}
		if handOver(ctx, conn, files) == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		back()
	}
}

// handOver gives the files to one that came, and waits until it says that it serves.
func handOver(ctx context.Context, conn *net.UnixConn, files func() (map[string]*os.File, error)) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	// The path is open to nobody else; this is for those who forget that root may.
	if uid, err := PeerOf(conn); err != nil || uid != uint32(os.Geteuid()) && uid != 0 {
		return errors.New("hand over: asked by another user")
	}
	given, err := files()
	defer closeFiles(given)
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(given))
	descriptors := make([]int, len(names))
	for i, name := range names {
		if descriptors[i], err = descriptorOf(given[name]); err != nil {
			return err
		}
	}
	text, err := json.Marshal(names)
	if err != nil {
		return err
	}
	_ = conn.SetWriteDeadline(time.Now().Add(handoverMax)) // a dead peer shows below
	if _, _, err := conn.WriteMsgUnix(text, syscall.UnixRights(descriptors...), nil); err != nil {
		return fmt.Errorf("hand over: %w", err)
	}
	said := make([]byte, len(saidReady))
	if _, err := io.ReadFull(conn, said); err != nil || string(said) != string(saidReady) {
		return errors.New("hand over: the process that asked is gone")
	}
	return nil
}

// descriptorOf does not switch the file to waiting reads, as File.Fd may: the listener
// that it is a copy of would be switched with it.
func descriptorOf(f *os.File) (descriptor int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	return descriptor, raw.Control(func(fd uintptr) { descriptor = int(fd) })
}

func closeFiles(files map[string]*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// Taken is what another process has handed over.
type Taken struct {
	conn *net.UnixConn
	// Files by name. The caller closes them.
	Files map[string]*os.File
}

// TakeOver asks the sidecar that listens on the socket of dir and port for its place. If
// none listens there it returns nil and the socket's lock, with which none will. One that
// listens and does not offer its place yet is waited for, handoverMax at most:
//
//  1. a sidecar has the lock, and starts;
//  2. another one is started to take its place, and finds no offer;
//  3. the first one follows, and offers its place (TestTakeOverOfOneThatStarts).
func TakeOver(dir string, port int) (taken *Taken, lock *os.File, err error) {
	deadline := time.Now().Add(handoverMax)
	return takeOver(dir, port, func() bool {
		time.Sleep(offerPause)
		return time.Now().Before(deadline)
	})
}

// takeOver is TakeOver that calls wait before it asks again, and gives up when that
// returns false.
func takeOver(dir string, port int, wait func() bool) (*Taken, *os.File, error) {
	path, err := makePlace(dir, port)
	if err != nil {
		return nil, nil, err
	}
	for {
		taken, err := ask(path)
		if taken != nil || err != nil {
			return taken, nil, err
		}
		lock, err := lockBeside(path)
		if !errors.Is(err, errListens) {
			return nil, lock, err
		}
		if !wait() {
			return nil, nil, fmt.Errorf("take over %s: the sidecar that listens there has not offered its place within %v, so it starts or ends: try again, or end it", path, handoverMax)
		}
	}
}

// ask returns nil if nobody offers the place of who listens at path.
func ask(path string) (*Taken, error) {
	conn, err := net.DialTimeout("unix", path+nextSuffix, handoverMax)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask to take over: %w", err)
	}
	taken := &Taken{conn: conn.(*net.UnixConn)}
	taken.Files, err = receiveFiles(taken.conn)
	if err == nil {
		return taken, nil
	}
	taken.Close()
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return nil, nil // it ended, or gave its place to one that asked before
	}
	return nil, fmt.Errorf("take over: %w", err)
}

func receiveFiles(conn *net.UnixConn) (map[string]*os.File, error) {
	if err := conn.SetReadDeadline(time.Now().Add(handoverMax)); err != nil {
		return nil, err
	}
	text, rights := make([]byte, namesMax), make([]byte, syscall.CmsgSpace(4*filesMax))
	n, rightsLength, _, _, err := conn.ReadMsgUnix(text, rights)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("the process that listens there hands nothing over within %v: another one may have asked before, and does not serve yet; wait for that one, or end it", handoverMax)
	}
	if err != nil {
		return nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:rightsLength])
	if err != nil {
		return nil, err
	}
	var descriptors []int
	for _, m := range messages {
		some, err := syscall.ParseUnixRights(&m)
		if err != nil {
			return nil, err
		}
		descriptors = append(descriptors, some...)
	}
	files := map[string]*os.File{}
	var names []string
	if err := json.Unmarshal(text[:n], &names); err != nil || len(names) != len(descriptors) {
		for _, d := range descriptors {
			syscall.Close(d)
		}
		return nil, errors.New("the process that hands over is of another version")
	}
	for i, name := range names {
		syscall.CloseOnExec(descriptors[i])
		files[name] = os.NewFile(uintptr(descriptors[i]), name)
	}
	return files, nil
}

// Ready tells the other process that this one serves.
func (t *Taken) Ready() error {
	_ = t.conn.SetWriteDeadline(time.Now().Add(handoverMax)) // a dead peer shows below
	_, err := t.conn.Write(saidReady)
	return err
}

// Close lets go of the files and of the other process, which goes on if it was not told
// Ready.
func (t *Taken) Close() {
	closeFiles(t.Files)
	t.conn.Close()
}
