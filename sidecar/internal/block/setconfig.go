package block

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// settingsMax bounds the calls of set_config in one statement.
const settingsMax = 64

// beginsLikeSetConfig tells SELECT set_config apart from other statements at once.
func beginsLikeSetConfig(text string) bool {
	w := words{rest: text}
	if !w.accept("SELECT") {
		return false
	}
	rest := strings.TrimLeft(w.rest, Space)
	for _, name := range [...]string{"set_config", "pg_catalog"} {
		if len(rest) > len(name) && strings.EqualFold(rest[:len(name)], name) {
			return true
		}
	}
	return false
}

// setConfigs reads what follows SELECT: set_config(name, value, true), or several of them,
// with literals or parameters.
func (w *words) setConfigs() Control {
	c := Control{Kind: SetLocal, Tag: "SELECT 1"}
	for !w.failed && len(c.Settings) < settingsMax {
		s, column := w.setConfig()
		c.Settings, c.Columns = append(c.Settings, s), append(c.Columns, column)
		c.Params = max(c.Params, s.NameParam, s.ValueParam)
		if !w.acceptByte(',') {
			return c
		}
	}
	return Control{}
}

// setConfig reads one call, and returns the name of its column.
func (w *words) setConfig() (s Setting, column string) {
	if w.accept("pg_catalog") {
		w.expectByte('.')
	}
	w.expect("set_config")
	w.expectByte('(')
	s.Name, s.NameParam = w.argument()
	if s.NameParam == 0 {
		w.failed = w.failed || !plainName(s.Name, ".")
		s.Name = strings.ToLower(s.Name)
	}
	w.expectByte(',')
	s.Value, s.ValueParam = w.argument()
	w.expectByte(',')
	w.expect("true")
	w.expectByte(')')
	column = "set_config"
	if w.accept("AS") {
		w.rest = strings.TrimLeft(w.rest, Space)
		if strings.HasPrefix(w.rest, `"`) {
			column = strings.Trim(w.quotedName(), `"`)
		} else {
			column = strings.ToLower(w.identifier())
		}
		w.failed = w.failed || column == "" || len(column) > savepointLengthMax
	}
	return s, column
}

// argument reads a literal, or the number of a parameter, each of which may be cast to text.
func (w *words) argument() (literal string, param int) {
	w.rest = strings.TrimLeft(w.rest, Space)
	switch {
	case strings.HasPrefix(w.rest, "'"):
		n := literalLength(w.rest)
		if n == 0 {
			w.failed = true
			return "", 0
		}
		literal, w.rest = unquote(w.rest[:n]), w.rest[n:]
	case strings.HasPrefix(w.rest, "$"):
		n := 1
		for n < len(w.rest) && '0' <= w.rest[n] && w.rest[n] <= '9' {
			n++
		}
		param, _ = strconv.Atoi(w.rest[1:n])
		w.failed = w.failed || param < 1 || param > 2*settingsMax || n < len(w.rest) && IsWordByte(w.rest[n])
		w.rest = w.rest[n:]
	default:
		w.failed = true
	}
	if strings.HasPrefix(w.rest, "::") {
		w.rest = w.rest[2:]
		w.expect("text")
	}
	return literal, param
}

func (w *words) acceptByte(b byte) bool {
	rest := strings.TrimLeft(w.rest, Space)
	if rest == "" || rest[0] != b {
		return false
	}
	w.rest = rest[1:]
	return true
}

func (w *words) expectByte(b byte) { w.failed = !w.acceptByte(b) || w.failed }

// usesAllParams reports whether each parameter up to the last stands somewhere: of one that
// does not, Postgres could not tell the type.
func (c *Control) usesAllParams() bool {
	for n := 1; n <= c.Params; n++ {
		used := false
		for _, s := range c.Settings {
			used = used || s.NameParam == n || s.ValueParam == n
		}
		if !used {
			return false
		}
	}
	return true
}

// Bind returns the statement with the values of its parameters, of which nil is NULL. It
// reports false if Postgres has to say what they mean.
func (c Control) Bind(values [][]byte) (bound Control, ok bool) {
	if len(values) != c.Params {
		return Control{}, false
	}
	if c.Params == 0 {
		return c, true
	}
	for _, value := range values {
		if value == nil || !utf8.Valid(value) || strings.IndexByte(string(value), 0) >= 0 {
			return Control{}, false
		}
	}
	settings := make([]Setting, len(c.Settings))
	for i, s := range c.Settings {
		if s.NameParam > 0 {
			if s.Name = string(values[s.NameParam-1]); !plainName(s.Name, ".") {
				return Control{}, false
			}
			s.Name = strings.ToLower(s.Name)
		}
		if s.ValueParam > 0 {
			s.Value = string(values[s.ValueParam-1])
		}
		s.NameParam, s.ValueParam = 0, 0
		settings[i] = s
	}
	c.Settings, c.Params = settings, 0
	return c, true
}

// SetConfigs is the statement that gives the transaction the settings, whatever the search
// path and whatever a backslash stands for.
func (c *Control) SetConfigs() string {
	var b strings.Builder
	for i, s := range c.Settings {
		b.WriteString([...]string{"SELECT ", ", "}[min(i, 1)])
		b.WriteString("pg_catalog.set_config(" + Quote(s.Name) + ", " + Quote(s.Value) + ", true)")
	}
	return b.String()
}

// Quote writes a literal that stands for a text under any setting.
func Quote(text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
