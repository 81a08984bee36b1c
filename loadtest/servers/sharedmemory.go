package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// removeSharedMemory removes the System V segment that a killed PostgreSQL could
// not remove. The server notes it in its pid file, which a clean end removes.
// Segment numbers are used again, so the creator must be that server.
func removeSharedMemory(dataDir string) {
	text, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil {
		return
	}
	notes := parsePIDFile(string(text))
	if notes.pid == 0 {
		return
	}
	var segment unix.SysvShmDesc
	if _, err := unix.SysvShmCtl(notes.segment, unix.IPC_STAT, &segment); err != nil {
		return
	}
	if int(segment.Cpid) == notes.pid {
		// Processes still attached keep it until they end.
		_, _ = unix.SysvShmCtl(notes.segment, unix.IPC_RMID, nil)
	}
}

// pidFile is what the harness reads in postmaster.pid.
type pidFile struct {
	pid     int
	segment int  // System V shared memory identifier
	ready   bool // accepts connections
}

// parsePIDFile reads as many of the file's eight lines as are written yet.
func parsePIDFile(text string) pidFile {
	var notes pidFile
	lines := strings.Split(text, "\n")
	notes.pid, _ = strconv.Atoi(strings.TrimSpace(lines[0])) // 0 while it is being written
	if len(lines) > 6 {
		var key int
		_, _ = fmt.Sscan(lines[6], &key, &notes.segment) // 0 while it is being written
	}
	if len(lines) > 7 {
		notes.ready = strings.TrimSpace(lines[7]) == "ready"
	}
	return notes
}
