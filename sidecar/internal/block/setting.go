package block

import (
	"strings"
	"unicode/utf8"
)

// setting reads what follows SET LOCAL: a name, and one value that Postgres reads the same
// under any setting.
func (w *words) setting() Control {
	c := Control{Kind: SetLocal, Tag: "SET", Setting: w.settingName()}
	if rest := strings.TrimLeft(w.rest, Space); strings.HasPrefix(rest, "=") {
		w.rest = rest[1:]
	} else {
		w.expect("TO")
	}
	c.Value = w.value()
	w.failed = w.failed || c.Setting == "" || c.Value == "" || strings.EqualFold(c.Value, "DEFAULT")
	return c
}

// settingName reads a name of one or more parts, each of which may be quoted.
func (w *words) settingName() string {
	w.rest = strings.TrimLeft(w.rest, Space)
	var parts []string
	for {
		part := w.identifier()
		if part == "" {
			return ""
		}
		parts = append(parts, strings.ToLower(part))
		rest, more := strings.CutPrefix(w.rest, ".")
		if !more {
			return strings.Join(parts, ".")
		}
		w.rest = rest
	}
}

// identifier reads a name as it stands, empty if there is none.
func (w *words) identifier() string {
	if quoted, ok := strings.CutPrefix(w.rest, `"`); ok {
		name, rest, ok := strings.Cut(quoted, `"`)
		if !ok || !plainName(name, ".") || strings.HasPrefix(rest, `"`) {
			return ""
		}
		w.rest = rest
		return name
	}
	n := 0
	for n < len(w.rest) && IsWordByte(w.rest[n]) {
		n++
	}
	name := w.rest[:n]
	if !plainName(name, "") {
		return ""
	}
	w.rest = w.rest[n:]
	return name
}

// plainName reports whether a name consists of letters and digits, and of others, and
// begins with a letter.
func plainName(name, others string) bool {
	for i := range len(name) {
		b := name[i]
		if b >= 0x80 || b == '$' || !IsWordByte(b) && strings.IndexByte(others, b) < 0 {
			return false
		}
	}
	return name != "" && (name[0] < '0' || name[0] > '9') && name[0] != '.'
}

// value reads a literal without a backslash, a number or a word.
func (w *words) value() string {
	w.rest = strings.TrimLeft(w.rest, Space)
	n := 0
	if strings.HasPrefix(w.rest, "'") {
		n = literalLength(w.rest)
	} else {
		if strings.HasPrefix(w.rest, "-") {
			n++
		}
		for n < len(w.rest) && (IsWordByte(w.rest[n]) && w.rest[n] < 0x80 && w.rest[n] != '$' || w.rest[n] == '.') {
			n++
		}
	}
	value := w.rest[:n]
	w.rest = w.rest[n:]
	return value
}

// literalLength is the length of the literal that a text begins with, 0 if it is one whose
// end or whose bytes depend on a setting.
func literalLength(text string) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			return 0
		case text[i] != '\'':
		case i+1 < len(text) && text[i+1] == '\'':
			i++
		case utf8.ValidString(text[:i]):
			return i + 1
		default:
			return 0
		}
	}
	return 0
}
