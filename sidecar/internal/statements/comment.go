package statements

import (
	"regexp"
	"strings"
	"time"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// directive is what a comment says to the sidecar: a word behind "freshet:", or, among
// what tools that tag statements write, behind "freshet=". A literal that holds such a
// comment counts too: to leave a statement to Postgres is never wrong.
var directive = regexp.MustCompile(`(?:/\*(?:[^*]|\*+[^*/])*?|--[^\n]*?)\bfreshet\s*[:=]\s*'?([^\s,*']*)`)

// SwitchedOff is the reason to leave a statement to Postgres that its comments give, empty
// if they say nothing.
func SwitchedOff(sql string) string {
	if !strings.Contains(sql, "freshet") {
		return ""
	}
	for _, said := range directive.FindAllStringSubmatch(sql, -1) {
		switch {
		case said[1] == "on":
		case said[1] == "off":
			return reasons.CommentOff
		case lifetime(said[1]) == 0:
			return reasons.Comment
		}
	}
	return ""
}

// Consent is for how long a statement's comments accept an answer that is out of date, if
// nothing stands in its way but the clock or tables that are not watched; 0 if they do not.
// Of several the shortest counts. What stands in a literal, where a user of the client's may
// have written it, accepts nothing, and neither does a text whose literals cannot be told
// from the rest.
func Consent(sql string, standardConforming bool) (shortest time.Duration) {
	if !strings.Contains(sql, "freshet") {
		return 0
	}
	template, ok := analysis.NewTemplate(sql, standardConforming)
	if !ok {
		return 0
	}
	for _, said := range directive.FindAllStringSubmatch(template.Key, -1) {
		if ttl := lifetime(said[1]); ttl > 0 && (shortest == 0 || ttl < shortest) {
			shortest = ttl
		}
	}
	return shortest
}

// lifetime reads ttl=30s, also as tools that tag statements write it, 0 if it is none.
func lifetime(said string) time.Duration {
	text, ok := strings.CutPrefix(strings.Replace(said, "%3D", "=", 1), "ttl=")
	if !ok {
		return 0
	}
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl < 0 {
		return 0
	}
	return ttl
}
