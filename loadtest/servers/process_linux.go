package servers

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
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

// ticksPerSecond is the unit of times in /proc, the same on every Linux that Go runs on.
const ticksPerSecond = 100

// processTime is what a process has computed for, and those of its children that have ended
// and were reaped: the fields utime, stime, cutime and cstime of /proc.
func processTime(pid int) time.Duration {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0 // it has ended
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const utime, cstime = 11, 14 // from the state on
	if len(fields) <= cstime {
		return 0
	}
	var ticks int64
	for _, field := range fields[utime : cstime+1] {
		n, _ := strconv.ParseInt(field, 10, 64) // the kernel writes numbers
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond
}

// ThreadTime is what a process of one thread has computed for, to the nanosecond: a session
// of Postgres is one. It is 0 where the process has ended or the kernel does not tell.
func ThreadTime(pid int) time.Duration {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/schedstat")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	nanoseconds, _ := strconv.ParseInt(first, 10, 64) // the kernel writes numbers
	return time.Duration(nanoseconds)
}
