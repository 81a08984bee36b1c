package analysis

import (
	"slices"
	"strconv"
	"strings"
)

// templateLiteralsMax bounds the literals of one template; a statement with
// more is analysed by its exact text.
const templateLiteralsMax = 256

// LiteralKind is the class of a literal token. Statements share a template only
// if the classes agree, because Postgres derives types from them.
type LiteralKind byte

// The classes. Everything else (numerics, bit strings, keywords) stays in the
// template's text.
const (
	LiteralInt4   LiteralKind = 'i' // an integer that fits in 32 bits
	LiteralInt8   LiteralKind = 'I' // an integer that needs 64 bits
	LiteralString LiteralKind = 's' // a plain 'string' without escapes
)

// Literal is one literal token.
type Literal struct {
	Kind   LiteralKind
	Text   string // digits, or the string's content with '' read as '
	Offset int    // byte offset of the token in the statement
	end    int    // offset behind it
}

// Template is a statement with its literals taken out. Statements with the same
// Key differ in nothing but the literals.
type Template struct {
	Key      string
	Literals []Literal
}

// NewTemplate takes the literals out of a statement. It reports false when the
// text holds anything it cannot be sure of (escape, bit, national, dollar-quoted
// or continued strings, unterminated tokens, too many literals): such a
// statement is analysed by its exact text.
func NewTemplate(sql string, standardConforming bool) (Template, bool) {
	s := scan(sql, standardConforming)
	if s.odd || len(s.literals) > templateLiteralsMax {
		return Template{}, false
	}
	var key strings.Builder
	key.Grow(len(sql) + 2*len(s.literals))
	from := 0
	for _, l := range s.literals {
		key.WriteString(sql[from:l.Offset])
		key.WriteByte(0)
		key.WriteByte(byte(l.Kind))
		from = l.end
	}
	key.WriteString(sql[from:])
	return Template{Key: key.String(), Literals: s.literals}, true
}

// Text is the statement with a ? for each literal.
func (t Template) Text() string {
	var text strings.Builder
	for from := 0; from < len(t.Key); {
		at := strings.IndexByte(t.Key[from:], 0)
		if at < 0 {
			text.WriteString(t.Key[from:])
			break
		}
		text.WriteString(t.Key[from : from+at])
		text.WriteByte('?')
		from += at + 2
	}
	return text.String()
}

// FirstKeyword returns the first word of a statement in upper case, past blanks,
// comments and opening parentheses; empty when the statement begins otherwise.
func FirstKeyword(sql string) string {
	l := lexer{text: sql}
	for {
		l.blanks()
		if l.at < len(sql) && sql[l.at] == '(' {
			l.at++
			continue
		}
		start := l.at
		l.word()
		return strings.ToUpper(sql[start:l.at])
	}
}

// Prescreen tells cheaply, without a server, that a statement cannot be
// cacheable: it does not begin like a read, or it is more than one. An empty
// reason means that it is worth an analysis.
func Prescreen(sql string, standardConforming bool) Reason {
	if !BeginsLikeRead(sql) {
		return ReasonNotSelect
	}
	if !strings.Contains(sql, ";") {
		return ""
	}
	if scan(sql, standardConforming).statements > 1 {
		return ReasonMultipleStatements
	}
	return ""
}

// BeginsLikeRead tells whether the first keyword is one that a statement which
// only reads may begin with.
func BeginsLikeRead(sql string) bool {
	switch FirstKeyword(sql) {
	case "SELECT", "WITH", "VALUES", "TABLE":
		return true
	default:
		return false
	}
}

// clockWords are read as the current time wherever a date or time is read.
var clockWords = []string{"now", "today", "tomorrow", "yesterday"}

// hasClockWord tells whether a text holds one of them anywhere, in any case:
// the server's date parser ends words at digits and punctuation, so word
// boundaries would let some through.
func hasClockWord(text string) bool {
	for i := range len(text) {
		switch text[i] | 0x20 {
		case 'n', 't', 'y':
			rest := text[i:]
			if slices.ContainsFunc(clockWords, func(w string) bool {
				return len(rest) >= len(w) && strings.EqualFold(rest[:len(w)], w)
			}) {
				return true
			}
		}
	}
	return false
}

type scanned struct {
	literals   []Literal
	statements int
	odd        bool // something no template can be made of
}

// scan cuts a statement into tokens the way the server's scanner does, as far
// as finding literals needs it.
func scan(sql string, standardConforming bool) scanned {
	l := lexer{text: sql, standardConforming: standardConforming}
	var s scanned
	inStatement, afterString := false, false
	for {
		l.blanks()
		if l.at >= len(sql) {
			s.odd = s.odd || l.odd
			return s
		}
		start := l.at
		if sql[start] == ';' {
			l.at++
			inStatement, afterString = false, false
			continue
		}
		if !inStatement {
			inStatement = true
			s.statements++
		}
		lit, ok := l.token()
		isString := sql[start] == '\''
		if isString && afterString {
			l.odd = true // a continued string: the server joins the two
		}
		afterString = isString
		if ok {
			lit.Offset, lit.end = start, l.at
			s.literals = append(s.literals, lit)
		}
	}
}

type lexer struct {
	text               string
	at                 int
	standardConforming bool
	odd                bool
}

// byte returns the byte n ahead, 0 past the end.
func (l *lexer) byte(n int) byte {
	if l.at+n < len(l.text) {
		return l.text[l.at+n]
	}
	return 0
}

// blanks skips white space and comments.
func (l *lexer) blanks() {
	for {
		switch c := l.byte(0); {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			l.at++
		case c == '-' && l.byte(1) == '-':
			for l.at < len(l.text) && l.text[l.at] != '\n' && l.text[l.at] != '\r' {
				l.at++
			}
		case c == '/' && l.byte(1) == '*':
			l.blockComment()
		default:
			return
		}
	}
}

// blockComment skips a comment, which may hold others.
func (l *lexer) blockComment() {
	depth := 0
	for l.at < len(l.text) {
		switch {
		case l.byte(0) == '/' && l.byte(1) == '*':
			depth++
			l.at += 2
		case l.byte(0) == '*' && l.byte(1) == '/':
			depth--
			l.at += 2
			if depth == 0 {
				return
			}
		default:
			l.at++
		}
	}
	l.odd = true
}

// token reads one token; ok when it is a literal a template can take out.
func (l *lexer) token() (lit Literal, ok bool) {
	switch c := l.byte(0); {
	case isWordStart(c):
		l.word()
		if l.byte(0) == '\'' || (l.byte(0) == '&' && (l.byte(1) == '\'' || l.byte(1) == '"')) {
			l.odd = l.odd || !l.typeNameBeforeString()
		}
		return Literal{}, false
	case isDigit(c), c == '.' && isDigit(l.byte(1)):
		return l.number()
	case c == '\'':
		return l.string()
	case c == '"':
		l.quoted('"')
		return Literal{}, false
	case c == '$':
		l.dollar()
		return Literal{}, false
	}
	l.at++
	return Literal{}, false
}

// typeNameBeforeString tells a type's name written hard against its string
// (date'2024-01-01') from a prefix that changes how the string is read (e'\x').
// The lexer stands after the word.
func (l *lexer) typeNameBeforeString() bool {
	return l.byte(0) == '\'' && l.at >= 2 && isWordPart(l.text[l.at-2])
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isWordStart(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80
}
func isWordPart(c byte) bool { return isWordStart(c) || isDigit(c) || c == '$' }

func (l *lexer) word() {
	if !isWordStart(l.byte(0)) {
		return
	}
	for isWordPart(l.byte(0)) {
		l.at++
	}
}

// number reads a number. Only plain integers are literals; every other form
// stays in the text, and a form older and newer servers read differently
// (1_000, 0x1F, 1abc) is odd.
func (l *lexer) number() (Literal, bool) {
	start := l.at
	for isDigit(l.byte(0)) {
		l.at++
	}
	digits := l.text[start:l.at]
	plain := len(digits) > 0
	if l.byte(0) == '.' && l.byte(1) != '.' {
		plain = false
		l.at++
		for isDigit(l.byte(0)) {
			l.at++
		}
	}
	if l.byte(0)|0x20 == 'e' {
		n := 1
		if l.byte(1) == '+' || l.byte(1) == '-' {
			n = 2
		}
		if isDigit(l.byte(n)) {
			plain = false
			l.at += n
			for isDigit(l.byte(0)) {
				l.at++
			}
		}
	}
	if isWordPart(l.byte(0)) {
		l.odd = true
		return Literal{}, false
	}
	if !plain {
		return Literal{}, false
	}
	v, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil:
		return Literal{}, false
	case v > 1<<31-1:
		return Literal{Kind: LiteralInt8, Text: digits}, true
	}
	return Literal{Kind: LiteralInt4, Text: digits}, true
}

// string reads a plain string; with escapes in it, it is odd.
func (l *lexer) string() (Literal, bool) {
	if l.at > 0 && isWordPart(l.text[l.at-1]) && !l.afterLongWord() || l.at > 1 && l.text[l.at-1] == '&' {
		l.escapedString()
		l.odd = true
		return Literal{}, false
	}
	start := l.at
	escapes := l.quoted('\'')
	if l.odd {
		return Literal{}, false
	}
	text := l.text[start+1 : l.at-1]
	if escapes {
		text = strings.ReplaceAll(text, "''", "'")
	}
	return Literal{Kind: LiteralString, Text: text}, true
}

// afterLongWord tells whether the word that ends hard before the string is
// longer than one letter, so that it is no prefix.
func (l *lexer) afterLongWord() bool {
	return l.at >= 2 && isWordPart(l.text[l.at-2])
}

// quoted skips a quoted token, doubled quotes included, and reports whether
// there were any.
func (l *lexer) quoted(quote byte) (doubled bool) {
	l.at++
	for l.at < len(l.text) {
		c := l.text[l.at]
		l.at++
		switch {
		case c == quote && l.byte(0) == quote:
			doubled = true
			l.at++
		case c == quote:
			return doubled
		case c == '\\' && quote == '\'' && !l.standardConforming:
			l.odd = true
			l.at++
		}
	}
	l.odd = true
	return doubled
}

// escapedString skips a string in which a backslash may hide a quote.
func (l *lexer) escapedString() {
	l.at++
	for l.at < len(l.text) {
		c := l.text[l.at]
		l.at++
		switch {
		case c == '\\':
			l.at++
		case c == '\'' && l.byte(0) == '\'':
			l.at++
		case c == '\'':
			return
		}
	}
}

// dollar skips a parameter, or a dollar-quoted string, which is odd.
func (l *lexer) dollar() {
	l.at++
	if isDigit(l.byte(0)) {
		for isDigit(l.byte(0)) {
			l.at++
		}
		return
	}
	start := l.at - 1
	n := 0
	for c := l.byte(n); c != '$' && isWordPart(c); c = l.byte(n) {
		n++
	}
	if l.byte(n) != '$' {
		return
	}
	l.odd = true
	l.at += n + 1
	tag := l.text[start:l.at]
	end := strings.Index(l.text[l.at:], tag)
	if end < 0 {
		l.at = len(l.text)
		return
	}
	l.at += end + len(tag)
}
