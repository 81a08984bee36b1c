package pauses

import (
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
)

// Write prints the report for people.
func (r *Report) Write(to io.Writer) error {
	size := func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
	fmt.Fprintf(to, "%s kept of values, %s resident for them: %.2f bytes for each\n\n",
		size(r.Payload), size(r.Resident), float64(r.Resident)/float64(max(r.Payload, 1)))
	fmt.Fprint(to, "| sidecar | kept | resident | reads/s | p50 | p99 | p99.9 | longest | over 1 ms, of a million | processor µs, each |\n|---|---|---|---|---|---|---|---|---|---|\n")
	micro := func(d time.Duration) string { return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond)) }
	for _, s := range r.Sides {
		fmt.Fprintf(to, "| %s | %s | %s | %.0f | %s | %s | %s | %s | %.0f | %.1f |\n", s.Name, size(s.Kept), size(s.Resident),
			float64(s.Reads)/s.Took.Seconds(), micro(s.P50), micro(s.P99), micro(s.P999), micro(s.Longest), million(s.Long, s.Reads),
			float64(s.Computed)/float64(time.Microsecond)/float64(max(s.Reads, 1)))
	}
	_, err := fmt.Fprint(to, "\n| sidecar | collections of garbage | pauses | over 1 ms | none above | waits for a processor over 1 ms, of a million |\n|---|---|---|---|---|---|\n")
	for _, s := range r.Sides {
		_, err = fmt.Fprintf(to, "| %s | %d | %d | %d | %s | %.0f |\n", s.Name, s.Collections, s.Pauses, s.LongPauses, micro(s.PauseMost), million(s.LongWaits, s.Waits))
	}
	return err
}

func million(some, of int64) float64 { return 1e6 * float64(some) / float64(max(of, 1)) }
