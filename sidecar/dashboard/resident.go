package dashboard

import (
	"os"
	"strconv"
	"strings"
)

// residentBytes is what this process takes of the machine's memory, 0 where the kernel does
// not say so.
func residentBytes() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text)) // in pages: all that is mapped, what is resident, and more
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
