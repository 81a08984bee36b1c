package main

import (
	"errors"
	"log/slog"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryShare is how much of the container's memory Go's runtime is told to use: it
// collects garbage sooner rather than be killed.
const memoryShare = 0.9

// boundMemory sets GOMEMLIMIT from a limit, that of the control group, unless the environment
// has it or there is none.
func boundMemory(logger *slog.Logger, limit memlimit.Provider) {
	_, err := memlimit.Set(memlimit.WithRatio(memoryShare), memlimit.WithProvider(limit))
	if err != nil && !errors.Is(err, memlimit.ErrNoLimit) && !errors.Is(err, memlimit.ErrNoCgroup) && !errors.Is(err, memlimit.ErrCgroupsNotSupported) {
		logger.Warn("the memory limit of the container is not known", "error", err)
	}
}
