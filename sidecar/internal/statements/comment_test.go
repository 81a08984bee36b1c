package statements

import (
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/sidecar/internal/reasons"
)

func TestCommentsThatSwitchOff(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"SELECT 1":                                                 "",
		"SELECT 1 /* freshet: off */":                              reasons.CommentOff,
		"/* freshet: off */ SELECT 1":                              reasons.CommentOff,
		"SELECT /*freshet:off*/ 1":                                 reasons.CommentOff,
		"SELECT 1 -- freshet: off":                                 reasons.CommentOff,
		"SELECT 1 --freshet:off\n":                                 reasons.CommentOff,
		"SELECT 1 /*\n * by: a ** tool\n * freshet: off\n */":      reasons.CommentOff,
		"SELECT 1 /*route='%2Forders',freshet='off'*/":             reasons.CommentOff,
		"SELECT 1 /*freshet='off',route='%2Forders'*/":             reasons.CommentOff,
		"SELECT 1 /* freshet: on */":                               "",
		"SELECT 1 /* freshet: on */ /* freshet: off */":            reasons.CommentOff,
		"SELECT 1 /* freshet: of */":                               reasons.Comment,
		"SELECT 1 /* freshet: ttl=30s */":                          "",
		"SELECT 1 /* freshet: ttl=30 */":                           reasons.Comment,
		"SELECT 1 /* freshet: */":                                  reasons.Comment,
		"SELECT 1 /* not of freshet */":                            "",
		"SELECT 1 /* freshet.example: off */":                      "",
		"SELECT 1 /* by a tool */ FROM t WHERE a = 'freshet: off'": "",
		"SELECT 1 -- a tool\nFROM t WHERE a = 'freshet: off'":      "",
		"SELECT freshet FROM t":                                    "",
	} {
		if got := SwitchedOff(sql); got != want {
			t.Errorf("%q: %q, want %q", sql, got, want)
		}
	}
	// Its time grows with the text, not faster.
	if SwitchedOff("SELECT '"+strings.Repeat("/* freshet /*", 1<<16)+"'") != "" {
		t.Error("a long text of openings says something")
	}
}

// A comment accepts an answer that is out of date; a literal does not, whoever wrote it.
func TestCommentsThatAccept(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]time.Duration{
		"SELECT 1":                                              0,
		"SELECT 1 /* freshet: ttl=30s */":                       30 * time.Second,
		"/* freshet: ttl=1m */ SELECT 1":                        time.Minute,
		"SELECT 1 /*route='%2Forders',freshet='ttl%3D30s'*/":    30 * time.Second,
		"SELECT 1 /* freshet: ttl=30s */ /* freshet: ttl=1s */": time.Second,
		"SELECT 1 /* freshet: ttl=30 */":                        0,
		"SELECT 1 /* freshet: ttl=-1s */":                       0,
		"SELECT 1 /* freshet: off */":                           0,
		"SELECT 1 FROM t WHERE a = '/* freshet: ttl=1h */'":     0,
		"SELECT 1 FROM t WHERE a = '/* freshet: ttl=1h' -- */":  0,
		"SELECT 1 FROM t WHERE a = E'\\'/* freshet: ttl=1h */'": 0,
		"SELECT 1 FROM t WHERE a = $$/* freshet: ttl=1h */$$":   0,
		"SELECT 'it''s' /* don't; freshet: ttl=1s */ FROM t":    time.Second,
	} {
		if got := Consent(sql, true); got != want {
			t.Errorf("%q: %s, want %s", sql, got, want)
		}
	}
	if Consent(`SELECT '\' /* freshet: ttl=1h */'`, false) != 0 {
		t.Error("a literal in which a backslash escapes accepts something")
	}
}
