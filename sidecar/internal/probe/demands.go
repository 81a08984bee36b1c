package probe

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// Demands are the consistency that a client asked for, with settings that
// Postgres keeps for it: SET, SET LOCAL, RESET, start-up options, ALTER ROLE and
// ROLLBACK mean what they always mean.
type Demands struct {
	Level     fence.Level
	Staleness time.Duration // 0: that of the sidecar
	After     *fence.Head   // nil: none
	// Off is set if the session is not to be served from the cache at all.
	Off bool
	// Complaint, unless empty, says which of the settings is not understood. The
	// session's reads then go to Postgres, which satisfies every demand.
	Complaint string
}

// Token is the text of After, empty if there is none.
func (d *Demands) Token() string {
	if d.After == nil {
		return ""
	}
	return d.After.String()
}

// The settings, in the order in which a probe reads them.
var demandSettings = []string{"freshet.consistency", "freshet.staleness", "freshet.after", "freshet.cache"}

// parseDemands reads their values; nil and empty mean the default.
func parseDemands(consistency, staleness, after, cache []byte) (d Demands) {
	switch strings.ToLower(string(cache)) {
	case "", "on", "true", "yes", "1":
	case "off", "false", "no", "0":
		d.Off = true
	default:
		d.Complaint = fmt.Sprintf("freshet.cache is %q: it can be on or off", cache)
		return d
	}
	switch strings.ToLower(string(consistency)) {
	case "", "session":
		d.Level = fence.OwnWrites
	case "bounded":
		d.Level = fence.Bounded
	case "strong":
		d.Level = fence.Strong
	default:
		d.Complaint = fmt.Sprintf("freshet.consistency is %q: it can be bounded, session or strong", consistency)
		return d
	}
	if len(staleness) > 0 {
		var err error
		if d.Staleness, err = parseStaleness(string(staleness)); err != nil {
			d.Complaint = fmt.Sprintf("freshet.staleness is %q: write a duration such as 250ms or 2s", staleness)
			return d
		}
	}
	if len(after) > 0 {
		var err error
		if d.After, err = fence.ParseHead(string(after)); err != nil {
			d.Complaint = "freshet.after is not a token: set it to what SHOW freshet.token printed"
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
