package servers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// EnvDir names the directory to put servers in, instead of the system's
// temporary one. In memory (/dev/shm) they start and create databases faster.
const EnvDir = "FRESHET_SERVERS_DIR"

// memoryDir is swept too: servers may have been put there by EnvDir.
const memoryDir = "/dev/shm"

const (
	// runDirPrefix is followed by digits only. It is short because it is part of
	// every socket's path; the lock's name says whose directory it is.
	runDirPrefix    = "fs"
	lockName        = "freshet.lock"
	lockNamePending = "freshet.lock.new"
	// tempDirBytesMax is the longest temporary directory used: the path of a
	// socket below it must stay under the 104 bytes that macOS allows.
	tempDirBytesMax = 60
	// unlockedAgeMin is the age from which a run directory without a lock file is
	// litter: a living process adds the file within milliseconds.
	unlockedAgeMin = time.Hour
	// removeAttemptsMax bounds how often removal is tried while a dying server
	// still creates files.
	removeAttemptsMax = 20
)

// runDir is the directory of this process. A file in it is locked for as long
// as the process uses it; the kernel releases the lock when the process dies,
// which is how others know that they may remove the directory.
type runDir struct {
	path    string
	account account
	lock    *os.File
	// template is here because it lives and dies with the directory.
	template template

	// Below runs.mu.
	users    int // servers and test mains that need the directory
	children int // numbers the servers' directories
}

// runs holds the run directory of this process, nil while nobody needs it. It is
// global because the directory is the process's.
var runs struct {
	mu      sync.Mutex
	current *runDir
}

// acquireRunDir returns the process's run directory, which exists until each
// acquirer has called release. The first one removes what dead processes left.
func acquireRunDir() (*runDir, error) {
	runs.mu.Lock()
	defer runs.mu.Unlock()
	if runs.current == nil {
		who, err := serverAccount()
		if err != nil {
			return nil, err
		}
		base, err := baseDir()
		if err != nil {
			return nil, err
		}
		for _, dir := range slices.Compact([]string{base, memoryDir}) {
			sweep(dir, who)
		}
		created, err := createRunDir(base, who)
		if err != nil {
			return nil, err
		}
		runs.current = created
	}
	runs.current.users++
	return runs.current, nil
}

func (d *runDir) release() error {
	runs.mu.Lock()
	defer runs.mu.Unlock()
	d.users--
	if d.users > 0 {
		return nil
	}
	runs.current = nil
	d.template.disinherit()
	err := removeTree(d.path)
	return errors.Join(err, d.lock.Close())
}

// newServerDir creates an empty directory for one server.
func (d *runDir) newServerDir() (string, error) {
	runs.mu.Lock()
	d.children++
	path := filepath.Join(d.path, strconv.Itoa(d.children))
	runs.mu.Unlock()
	if err := os.Mkdir(path, 0o700); err != nil {
		return "", fmt.Errorf("create server directory: %w", err)
	}
	return path, d.account.own(path)
}

// baseDir is what EnvDir names, else the system's temporary directory, or /tmp
// where that is too long for a socket.
func baseDir() (string, error) {
	if dir := os.Getenv(EnvDir); dir != "" {
		if !filepath.IsAbs(dir) || len(dir) > tempDirBytesMax {
			return "", fmt.Errorf("place servers: %s=%s must be an absolute path of at most %d bytes, as the path of a socket is limited",
				EnvDir, dir, tempDirBytesMax)
		}
		return filepath.Clean(dir), nil
	}
	if dir := os.TempDir(); len(dir) <= tempDirBytesMax {
		return dir, nil
	}
	return "/tmp", nil
}

// createRunDir makes the directory. The lock file appears under its name only
// once it is locked, so that no sweep can take a new directory for a dead one.
func createRunDir(base string, who account) (*runDir, error) {
	path, err := os.MkdirTemp(base, runDirPrefix+"*")
	if err != nil {
		return nil, fmt.Errorf("create run directory: %w", err)
	}
	if err := who.own(path); err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	lock, err := lockedFile(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock run directory: %w", err), os.RemoveAll(path))
	}
	return &runDir{path: path, account: who, lock: lock}, nil
}

func lockedFile(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, lockNamePending), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if err := os.Rename(lock.Name(), filepath.Join(dir, lockName)); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// sweep removes the run directories of dead processes. It is best effort: what
// cannot be removed now, the next process tries again.
func sweep(base string, who account) {
	paths, _ := filepath.Glob(filepath.Join(base, runDirPrefix+"[0-9]*")) // the pattern is valid
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() {
			continue
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && who.owns(int(stat.Uid)) {
			sweepOne(path, info)
		}
	}
}

func sweepOne(path string, info os.FileInfo) {
	lockPath := filepath.Join(path, lockName)
	lock, err := os.OpenFile(lockPath, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		if onlyOurs(path) && time.Since(info.ModTime()) > unlockedAgeMin {
			_ = os.RemoveAll(path)
		}
		return
	}
	if err != nil {
		return
	}
	defer lock.Close()
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return // its process lives, or another one is sweeping it
	}
	// Another sweep may have removed the directory between our open and lock.
	held, errHeld := lock.Stat()
	named, errNamed := os.Stat(lockPath)
	if errHeld != nil || errNamed != nil || !os.SameFile(held, named) {
		return
	}
	sockets, _ := filepath.Glob(filepath.Join(path, "*", redisSocketName)) // the pattern is valid
	for _, socket := range sockets {
		shutDownOrphan(socket)
	}
	_ = removeTree(path)
}

// onlyOurs reports whether a directory without a lock holds nothing but what
// createRunDir makes before there is one: a foreign directory may bear a
// similar name.
func onlyOurs(path string) bool {
	entries, err := os.ReadDir(path)
	return err == nil && (len(entries) == 0 || len(entries) == 1 && entries[0].Name() == lockNamePending)
}

// removeTree removes a directory of servers that have ended or are just ending,
// and the shared memory they may have left.
func removeTree(path string) error {
	for _, pattern := range []string{"data", filepath.Join("*", "data")} {
		dirs, _ := filepath.Glob(filepath.Join(path, pattern)) // the pattern is valid
		for _, dir := range dirs {
			removeSharedMemory(dir)
		}
	}
	var err error
	for range removeAttemptsMax {
		if err = os.RemoveAll(path); err == nil {
			return nil
		}
		time.Sleep(pollInterval)
	}
	return fmt.Errorf("remove server files: %w", err)
}
