package main

import (
	"unicode"
	"unicode/utf8"
)

// key is one that was pressed: a character, or one of those below.
type key rune

// Keys that are no character of a text.
const (
	keyNone key = -iota - 1
	keyUp
	keyDown
	keyEnter
	keyEscape
	keyBackspace
	keyInterrupt
)

// escapes are the sequences that a terminal sends for keys of use here, behind the escape.
var escapes = map[string]key{"[A": keyUp, "OA": keyUp, "[B": keyDown, "OB": keyDown}

// readKeys reads what a terminal has sent, in one piece for each key as terminals do.
func readKeys(sent []byte) (keys []key) {
	for len(sent) > 0 {
		if sent[0] == 0x1b {
			k, n := readEscape(sent)
			keys, sent = append(keys, k), sent[n:]
			continue
		}
		r, n := utf8.DecodeRune(sent)
		sent = sent[n:]
		switch {
		case r == '\r' || r == '\n':
			keys = append(keys, keyEnter)
		case r == 0x7f || r == '\b':
			keys = append(keys, keyBackspace)
		case r == 3 || r == 4: // control and C, or D
			keys = append(keys, keyInterrupt)
		case unicode.IsPrint(r):
			keys = append(keys, key(r))
		}
	}
	return keys
}

// readEscape reads what begins with an escape: a sequence, or the key of that name alone.
func readEscape(sent []byte) (k key, length int) {
	if len(sent) == 1 || sent[1] != '[' && sent[1] != 'O' {
		return keyEscape, 1
	}
	for i := 2; i < len(sent); i++ {
		if sent[i] >= 0x40 && sent[i] <= 0x7e { // its last byte
			if k, known := escapes[string(sent[1:i+1])]; known {
				return k, i + 1
			}
			return keyNone, i + 1
		}
	}
	return keyNone, len(sent)
}
