package statements

import (
	"regexp"
	"strings"

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
		switch said[1] {
		case "on":
		case "off":
			return reasons.CommentOff
		default:
			return reasons.Comment
		}
	}
	return ""
}
