package wire

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// demands are the consistency that a client asked for, with settings that
// Postgres keeps for it: SET, SET LOCAL, RESET, start-up options, ALTER ROLE and
// ROLLBACK mean what they always mean.
type demands struct {
	level     fence.Level
	staleness time.Duration // 0: that of the sidecar
	after     *fence.Head   // nil: none
	// complaint, unless empty, says which of the settings is not understood. The
	// session's reads then go to Postgres, which satisfies every demand.
	complaint string
}

// token is the text of after, empty if there is none.
func (d *demands) token() string {
	if d.after == nil {
		return ""
	}
	return d.after.String()
}

// The settings, in the order in which a probe reads them.
var demandSettings = []string{"freshet.consistency", "freshet.staleness", "freshet.after"}

// parseDemands reads their values; nil and empty mean the default.
func parseDemands(consistency, staleness, after []byte) (d demands) {
	switch strings.ToLower(string(consistency)) {
	case "", "session":
		d.level = fence.OwnWrites
	case "bounded":
		d.level = fence.Bounded
	case "strong":
		d.level = fence.Strong
	default:
		d.complaint = fmt.Sprintf("freshet.consistency is %q: it can be bounded, session or strong", consistency)
		return d
	}
	if len(staleness) > 0 {
		var err error
		if d.staleness, err = parseStaleness(string(staleness)); err != nil {
			d.complaint = fmt.Sprintf("freshet.staleness is %q: write a duration such as 250ms or 2s", staleness)
			return d
		}
	}
	if len(after) > 0 {
		var err error
		if d.after, err = fence.ParseHead(string(after)); err != nil {
			d.complaint = "freshet.after is not a token: set it to what SHOW freshet.token printed"
		}
	}
	return d
}

// parseStaleness reads a duration with a unit, or a number of milliseconds.
func parseStaleness(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if n, plain := strconv.Atoi(text); plain == nil {
		d, err = time.Duration(n)*time.Millisecond, nil
	}
	if err == nil && d <= 0 {
		err = strconv.ErrRange
	}
	return d, err
}
