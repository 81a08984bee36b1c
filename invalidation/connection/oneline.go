package connection

import "strings"

// OneLine returns err with its text in one line, and nil for nil. pgx gives each attempt
// to connect a line of its own, which logs, pages and systemd tear apart.
func OneLine(err error) error {
	if err == nil {
		return nil
	}
	return oneLine{err}
}

type oneLine struct{ error }

func (e oneLine) Error() string {
	lines := strings.FieldsFunc(e.error.Error(), func(r rune) bool { return r == '\n' || r == '\r' })
	text := ""
	for _, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case text == "" || strings.HasSuffix(text, ":"):
			text = strings.TrimSpace(text + " " + line)
		default:
			text += "; " + line
		}
	}
	return text
}

func (e oneLine) Unwrap() error { return e.error }
