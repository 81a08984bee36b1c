package transport

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/testkit"
)

const testPort = 6432

// A path of the greatest length can be listened on and connected to; a longer one
// is refused with what to do about it, and nothing is left behind.
func TestLengthOfTheSocketPath(t *testing.T) {
	t.Parallel()
	base := testkit.SocketDir(t)
	dir := func(pathBytes int) string {
		return filepath.Join(base, strings.Repeat("x", pathBytes-len(SocketPath(base, testPort))-len("/")))
	}
	longest, err := ListenUnix(dir(socketPathMax), testPort, SocketAccess{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer longest.Close()
	if len(longest.Path) != socketPathMax {
		t.Errorf("the path has %d bytes, want %d", len(longest.Path), socketPathMax)
	}
	conn, err := net.Dial("unix", longest.Path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()

	longer := dir(socketPathMax + 1)
	if s, err := ListenUnix(longer, testPort, SocketAccess{}, nil); err == nil {
		s.Close()
		t.Error("a path that is too long was taken")
	} else if !strings.Contains(err.Error(), "choose a shorter directory") {
		t.Errorf("the error does not say what to do: %v", err)
	}
	if _, err := os.Stat(longer); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory that was refused is there, or: %v", err)
	}
}

// A socket is open to whom its permissions name, from the first moment on, and a file
// of somebody's at its path is left alone.
func TestSocketAccess(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		access SocketAccess
		want   fs.FileMode
	}{{SocketAccess{}, 0o660}, {SocketAccess{Mode: 0o600}, 0o600}, {SocketAccess{Mode: 0o777, Group: strconv.Itoa(os.Getegid())}, 0o777}} {
		listening, err := ListenUnix(testkit.SocketDir(t), testPort, test.access, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer listening.Close()
		info, err := os.Stat(listening.Path)
		if err != nil || info.Mode().Perm() != test.want {
			t.Errorf("%+v: %v, %v", test.access, info.Mode(), err)
		}
	}
	if _, err := ListenUnix(testkit.SocketDir(t), testPort, SocketAccess{Group: "no such group"}, nil); err == nil || !strings.Contains(err.Error(), "no such group") {
		t.Errorf("a group that is not there: %v", err)
	}
	dir := testkit.SocketDir(t)
	path := SocketPath(dir, testPort)
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenUnix(dir, testPort, SocketAccess{}, nil); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file in its place: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("the file holds %q: %v", text, err)
	}
}
