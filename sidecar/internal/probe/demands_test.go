package probe

import (
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

func TestParseDemands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		consistency, staleness, after, cache string
		level                                fence.Level
		bound                                time.Duration
		complains, off                       bool
	}{
		{level: fence.OwnWrites},
		{consistency: "session", level: fence.OwnWrites},
		{consistency: "Bounded", staleness: "250ms", level: fence.Bounded, bound: 250 * time.Millisecond},
		{consistency: "strong", staleness: "2000", level: fence.Strong, bound: 2 * time.Second},
		{consistency: "strict", complains: true},
		{staleness: "soon", complains: true},
		{staleness: "0", complains: true},
		{staleness: "-1s", complains: true},
		{after: "no token", complains: true},
		{cache: "ON", level: fence.OwnWrites},
		{cache: "off", level: fence.OwnWrites, off: true},
		{cache: "No", consistency: "strong", level: fence.Strong, off: true},
		{cache: "of", complains: true},
	} {
		d := parseDemands([]byte(c.consistency), []byte(c.staleness), []byte(c.after), []byte(c.cache))
		if c.complains != (d.Complaint != "") {
			t.Errorf("%+v: the complaint is %q", c, d.Complaint)
		}
		if !c.complains && (d.Level != c.level || d.Staleness != c.bound || d.Off != c.off || d.Token() != "") {
			t.Errorf("%+v: got %+v", c, d)
		}
	}
}
