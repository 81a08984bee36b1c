package footprint

import (
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
)

// clientsReckoned is for how many idle clients their memory is told.
const clientsReckoned = 10_000

// Write prints the report for people.
func (r *Report) Write(to io.Writer) error {
	size := func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
	per := func(n, by int64) float64 { return float64(n) / float64(max(by, 1)) }
	_, err := fmt.Fprintf(to, `| what | measured |
|---|---|
| resident when nothing was served | %s |
| %d answers of %d bytes: taken for each, by the sidecar's account | %.0f bytes, %.1f per byte |
| the same, by the kernel's | %.0f bytes, %.1f per byte |
| highest while %d answers of %s came and went, %d of them ended by a write | %s, %.2f of the limit of %s |
| an idle client, of %d | %s; %d would take %s |
`,
		size(r.Begun),
		r.SmallKept, r.SmallPayload/max(r.SmallKept, 1), per(r.SmallCounted, r.SmallKept), per(r.SmallCounted, r.SmallPayload),
		per(r.SmallResident, r.SmallKept), per(r.SmallResident, r.SmallPayload),
		r.ChurnReads, size(largeBytes), r.ChurnWrites, size(r.ChurnHighest), per(r.ChurnHighest, r.Limit), size(r.Limit),
		r.Clients, size(r.ClientResident/max(r.Clients, 1)), clientsReckoned, size(r.ClientResident/max(r.Clients, 1)*clientsReckoned))
	return err
}
