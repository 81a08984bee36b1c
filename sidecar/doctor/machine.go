package doctor

import (
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// Machine is what a machine allows a process, and what time it is there.
type Machine struct {
	// Files is how many may be open.
	Files uint64
	// Memory is the limit of the container in bytes, 0 if there is none.
	Memory int64
	// Up is the time since the machine booted.
	Up time.Duration
	// Clock is the name of its clock source, empty if it is not known.
	Clock string
	// Now is the wall clock.
	Now func() time.Time
}

// ThisMachine asks this one. What it does not tell is left empty.
func ThisMachine() Machine {
	m := Machine{Files: math.MaxUint64, Up: fence.Now().Sub(0), Now: time.Now, Memory: memoryLimit()}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
		m.Files = uint64(files.Cur)
	}
	if text, err := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource"); err == nil {
		m.Clock = strings.TrimSpace(string(text))
	}
	return m
}

// memoryLimit reads the limit of the process' control group, of either version, 0 if
// there is none.
func memoryLimit() int64 {
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// Without a limit it is the word max, or a number that is none in earnest.
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n < math.MaxInt64/2 {
			return n
		}
	}
	return 0
}
