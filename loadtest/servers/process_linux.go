package servers

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// dieWithParent asks the kernel to kill the child when the forking thread ends.
func dieWithParent(attributes *syscall.SysProcAttr) {
	attributes.Pdeathsig = syscall.SIGKILL
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var children []int
	for _, entry := range entries {
		candidate, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if _, parent, ok := processState(candidate); ok && parent == pid {
			children = append(children, candidate)
		}
	}
	return children
}

// alive reports whether pid runs. A zombie does not: it waits for a parent that
// may never ask, and holds nothing.
func alive(pid int) bool {
	state, _, ok := processState(pid)
	return ok && state != 'Z' && state != 'X'
}

// processState reads the state letter and the parent from /proc.
func processState(pid int) (state byte, parent int, ok bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	// The program's name stands in parentheses and may contain anything.
	_, after, found := bytes.Cut(text[max(0, bytes.LastIndexByte(text, ')')):], []byte(") "))
	if !found {
		return 0, 0, false
	}
	_, err = fmt.Sscanf(string(after), "%c %d", &state, &parent)
	return state, parent, err == nil
}
