package block

import (
	"strings"
	"unicode/utf8"
)

// Setting is one that a transaction is given.
type Setting struct {
	// Name is in lower case. While it is a parameter's, NameParam is its number, counted from
	// 1, and Name is empty.
	Name      string
	NameParam int
	// Value is the text that the setting becomes, ValueParam as NameParam is. Of a list, it is
	// what is written.
	Value      string
	ValueParam int
	// Written is set if Value is a word of SQL, which may be a reserved one, or a list.
	Written bool
}

// setting reads what follows SET LOCAL: a name, and one value that Postgres reads the same
// under any setting, or the list of a search path.
func (w *words) setting() Control {
	name := w.settingName()
	if !w.acceptByte('=') && !w.accept("TO") && name != "role" {
		w.failed = true
	}
	w.failed = w.failed || name == ""
	return w.setLocal(name)
}

// setLocal reads the value of a setting.
func (w *words) setLocal(name string) Control {
	var s Setting
	if name == "role" || name == "search_path" {
		s = Setting{Value: w.list(name == "search_path"), Written: true}
	} else {
		s.Value, s.Written = w.text()
	}
	s.Name = name
	return Control{Kind: SetLocal, Tag: "SET", Settings: []Setting{s}}
}

// list reads one value, or several if that is allowed, each of which may be a quoted name.
func (w *words) list(several bool) string {
	w.rest = strings.TrimLeft(w.rest, Space)
	from := w.rest
	for {
		w.rest = strings.TrimLeft(w.rest, Space)
		one := ""
		if strings.HasPrefix(w.rest, `"`) {
			one = w.quotedName()
		} else {
			one = w.value()
		}
		if one == "" || strings.EqualFold(one, "DEFAULT") {
			w.failed = true
			return ""
		}
		rest := strings.TrimLeft(w.rest, Space)
		if !several || !strings.HasPrefix(rest, ",") {
			return from[:len(from)-len(w.rest)]
		}
		w.rest = rest[1:]
	}
}

// quotedName takes a quoted name as it is written, empty if it is an unusual one.
func (w *words) quotedName() string {
	name, rest, ok := strings.Cut(w.rest[1:], `"`)
	if !ok || name == "" || len(name) > savepointLengthMax || strings.HasPrefix(rest, `"`) || !utf8.ValidString(name) {
		return ""
	}
	quoted := w.rest[:len(name)+2]
	w.rest = rest
	return quoted
}

// text reads a value, and returns what the setting becomes; written is set if that was a
// word.
func (w *words) text() (text string, written bool) {
	value := w.value()
	switch {
	case strings.HasPrefix(value, "'"):
		return unquote(value), false
	case plainNumber(value):
		return value, false
	case plainName(value, "") && !strings.EqualFold(value, "DEFAULT"):
		return strings.ToLower(value), true
	}
	w.failed = true
	return "", false
}

// unquote is what a literal stands for, in which no backslash is.
func unquote(literal string) string {
	return strings.ReplaceAll(literal[1:len(literal)-1], "''", "'")
}

// plainNumber reports whether a number becomes a text as it is written.
func plainNumber(text string) bool {
	whole, fraction, pointed := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	return digits(whole) && (whole == "0" || whole[0] != '0') && (!pointed || digits(fraction)) && text != "-0"
}

func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
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
