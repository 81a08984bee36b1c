//go:build !linux

package servers

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// dieWithParent does nothing: there is no death signal here. A PostgreSQL server
// whose directory was swept ends by itself within a minute, and the sweep tells
// Redis to end.
func dieWithParent(*syscall.SysProcAttr) {}

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) []int {
	output, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil
	}
	var children []int
	for lines := bufio.NewScanner(bytes.NewReader(output)); lines.Scan(); {
		var child, parent int
		if _, err := fmt.Sscan(lines.Text(), &child, &parent); err == nil && parent == pid {
			children = append(children, child)
		}
	}
	return children
}

// alive reports whether pid exists.
func alive(pid int) bool {
	return syscall.Kill(pid, 0) != syscall.ESRCH
}

// processTime is not known here.
func processTime(int) time.Duration { return 0 }

// ThreadTime is not known here.
func ThreadTime(int) time.Duration { return 0 }
