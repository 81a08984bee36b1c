package doctor

import (
	"math"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

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

// memoryLimit is that of the process' control group, 0 if there is none.
func memoryLimit() int64 {
	limit, err := memlimit.FromCgroup()
	if err != nil || limit > math.MaxInt64/2 {
		return 0
	}
	return int64(limit)
}
