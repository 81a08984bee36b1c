package main

import (
	"errors"
	"strings"
)

// watchList holds watch patterns. As text they are separated by commas outside
// of parentheses, since a pattern may name columns: public.users(id, email).
type watchList []string

// UnmarshalText adds the patterns in text, so that a flag may be repeated.
func (w *watchList) UnmarshalText(text []byte) error {
	rest := string(text)
	for rest != "" {
		var pattern string
		pattern, rest = cutPattern(rest)
		if pattern = strings.TrimSpace(pattern); pattern == "" {
			return errors.New("a pattern is empty: write schema.table, such as public.* or public.users(id, email), separated by commas")
		}
		*w = append(*w, pattern)
	}
	return nil
}

// cutPattern returns what stands before the first comma outside of parentheses,
// and what stands behind it.
func cutPattern(text string) (pattern, rest string) {
	depth := 0
	for i, c := range text {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}
