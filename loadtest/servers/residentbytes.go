package servers

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ResidentBytes is the memory that the server's own process has, as the kernel counts it.
func (d *daemon) ResidentBytes() (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.server.running() {
		return 0, errors.New("read a server's memory: it does not run")
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.server.pid))
	if err != nil {
		return 0, fmt.Errorf("read a server's memory: %w", err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	line, _, _ := strings.Cut(rest, "kB")
	kib, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read a server's memory: %w", err)
	}
	return kib << 10, nil
}
