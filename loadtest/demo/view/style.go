package view

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// style is how a piece of text looks where there are colours.
type style string

const (
	plain style = ""
	bold  style = "1"
	dim   style = "2"
	good  style = "1;32"
	bad   style = "1;31"
	warm  style = "36"
)

// line is text in pieces.
type line []piece

type piece struct {
	text  string
	style style
}

// add returns a line with one more piece; l itself stays as it is.
func (l line) add(s style, format string, args ...any) line {
	return append(l[:len(l):len(l)], piece{fmt.Sprintf(format, args...), s})
}

// column fills the line with blanks up to the column, at least with one.
func (l line) column(at int) line {
	return l.add(plain, "%s", strings.Repeat(" ", max(1, at-l.width())))
}

func (l line) width() (n int) {
	for _, p := range l {
		n += utf8.RuneCountInString(p.text)
	}
	return n
}

// text is the line without colours.
func (l line) text() string {
	var b strings.Builder
	for _, p := range l {
		b.WriteString(p.text)
	}
	return strings.TrimRight(b.String(), " ")
}

// coloured is the line in colours, cut to a width.
func (l line) coloured(width int) string {
	var b strings.Builder
	for _, p := range l {
		text := p.text
		if n := utf8.RuneCountInString(text); n > width {
			text = string([]rune(text)[:width])
		}
		width -= utf8.RuneCountInString(text)
		if p.style == plain || text == "" {
			b.WriteString(text)
		} else {
			b.WriteString("\x1b[" + string(p.style) + "m" + text + "\x1b[0m")
		}
	}
	return b.String()
}

// unknown stands for a figure that is not known.
const unknown = "-"

// number writes digits in groups of three.
func number(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + " " + digits[i:]
	}
	return digits
}

func percent(part, whole uint64) string {
	if whole == 0 {
		return unknown
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}

// duration writes milliseconds with three digits that mean something, from a
// second on seconds.
func duration(d time.Duration) string {
	ms := d.Seconds() * 1000
	switch {
	case ms < 1:
		return fmt.Sprintf("%.3f ms", ms)
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// bar fills its width in proportion, in eighths of a character.
func bar(part, whole uint64, width int) string {
	if whole == 0 {
		return strings.Repeat("░", width)
	}
	eighths := int(part * uint64(width) * 8 / whole)
	filled := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		filled += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return filled + strings.Repeat("░", width-utf8.RuneCountInString(filled))
}
