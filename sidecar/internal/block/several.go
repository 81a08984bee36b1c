package block

import "strings"

// severalMax bounds the statements that are read at the beginning of one text.
const severalMax = 8

// Several is a text of several statements that begins with such as can be held back.
type Several struct {
	// First are the statements that it begins with, and Texts what each is written as.
	First []Control
	Texts []string
	// Rest is what follows, at its place in the text: blanks stand for what comes before it.
	// It is empty if nothing follows.
	Rest string
}

// ParseSeveral takes apart a text that begins with a BEGIN, a savepoint or a setting of the
// transaction, and goes on: "BEGIN;SELECT 1". It reports false of any other.
func ParseSeveral(text string) (s Several, ok bool) {
	if !beginsLikeControl(text) {
		return s, false
	}
	rest := text
	for len(s.First) < severalMax {
		piece, behind, more := strings.Cut(rest, ";")
		c := ParseControl(piece)
		if c.Kind != Begin && c.Kind != Savepoint && c.Kind != SetLocal || c.Params > 0 {
			break
		}
		s.First, s.Texts = append(s.First, c), append(s.Texts, strings.Trim(piece, Space))
		if rest = behind; !more {
			break
		}
	}
	if strings.Trim(rest, Space+";") != "" {
		s.Rest = blanksFor(text[:len(text)-len(rest)]) + rest
	}
	return s, len(s.First) > 1 || len(s.First) == 1 && s.Rest != ""
}

// blanksFor are as many blanks as a text has characters, by which Postgres counts where in
// a text an error is.
func blanksFor(text string) string { return strings.Repeat(" ", len([]rune(text))) }
