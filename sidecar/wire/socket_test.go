package wire

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A path of the greatest length can be listened on and connected to; a longer one
// is refused with what to do about it, and nothing is left behind.
func TestLengthOfTheSocketPath(t *testing.T) {
	t.Parallel()
	base := socketDir(t)
	dir := func(pathBytes int) string {
		return filepath.Join(base, strings.Repeat("x", pathBytes-len(SocketPath(base, testPort))-len("/")))
	}
	longest, err := listenUnix(dir(socketPathMax), testPort, socketAccess{})
	if err != nil {
		t.Fatal(err)
	}
	defer longest.close()
	if len(longest.path) != socketPathMax {
		t.Errorf("the path has %d bytes, want %d", len(longest.path), socketPathMax)
	}
	conn, err := net.Dial("unix", longest.path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()

	longer := dir(socketPathMax + 1)
	if s, err := listenUnix(longer, testPort, socketAccess{}); err == nil {
		s.close()
		t.Error("a path that is too long was taken")
	} else if !strings.Contains(err.Error(), "choose a shorter directory") {
		t.Errorf("the error does not say what to do: %v", err)
	}
	if _, err := os.Stat(longer); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory that was refused is there, or: %v", err)
	}
}
