package servers

import "time"

// ProcessorTime is what the server's processes have computed for since they began, those
// included that have ended. It is in steps of the kernel's clock, often 10 ms, and 0 where
// the system does not tell it as Linux does.
func (d *daemon) ProcessorTime() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.server.running() {
		return 0
	}
	return treeTime(d.server.pid)
}

// ProcessorTimeOf is what a process, and those that it has started, have computed for, as
// ProcessorTime tells it.
func ProcessorTimeOf(pid int) time.Duration { return treeTime(pid) }

// treeTime is of a process and those that it has started.
func treeTime(pid int) time.Duration {
	total := processTime(pid)
	for _, child := range childrenOf(pid) {
		total += processTime(child)
	}
	return total
}
