package probe

import (
	"slices"
	"strings"

	"github.com/freshet/freshet/sidecar/internal/block"
)

// KeptBy reports whether what Postgres keeps of a text when it parses and plans it may
// depend on a setting of that moment (parseTimeSettings). It looks at the text alone, and
// says so in doubt. Parameters, numbers and words such as 'active' keep nothing.
func KeptBy(sql string) bool {
	t := tokens{rest: sql}
	before := "" // the token before
	text, printed := false, false
	for {
		token := t.next()
		switch {
		case t.doubtful, keepsToken(before, token):
			return true
		case token == "":
			return text && printed // a value whose text is folded into the plan
		}
		word := strings.ToLower(token)
		text = text || token == "||" || (before == ":" || before == "as") && slices.Contains(textTypes, word) ||
			token == "(" && slices.Contains(textTypes, before)
		printed = printed || slices.Contains(wordsPrinted, word) || containsAny(word, typesPrinted)
		before = word
	}
}

// keepsToken reports whether a token behind another may be read by a setting.
func keepsToken(before, token string) bool {
	switch {
	case before == "null" && (token == "=" || token == ")"):
		return true // transform_null_equals
	case token == "":
		return false
	case token[0] == '\'':
		return !plainLiteral(token)
	case token[0] == '"':
		return len(token) > identifierLengthMax+len(`""`)
	case !block.IsWordByte(token[0]):
		return false
	case strings.EqualFold(token, "null"):
		return before == "=" || before == "("
	default:
		return len(token) > identifierLengthMax || containsAny(strings.ToLower(token), wordsRead)
	}
}

// identifierLengthMax is the longest name, in bytes, that Postgres does not cut off
// with a notice.
const identifierLengthMax = 63

var (
	// wordsRead are in the names of types and functions whose constants are read, or
	// folded, by a setting.
	wordsRead = []string{"xml", "money", "quote_ident"}
	// textTypes, and the operator ||, make a text of a constant when it is planned.
	textTypes = []string{"text", "varchar", "char", "character", "bpchar", "name", "citext"}
	// typesPrinted are in the names of types whose text depends on a setting, and
	// wordsPrinted are such and functions that give them.
	typesPrinted = []string{"float", "interval", "justify", "bytea"}
	wordsPrinted = []string{
		"double", "real", "decode", "sha224", "sha256", "sha384", "sha512", "convert_to", "pi", "degrees", "radians",
		"sqrt", "cbrt", "exp", "ln", "log", "log10", "pow", "power", "erf", "erfc", "gamma", "lgamma",
		"sin", "sind", "sinh", "asin", "asind", "asinh", "cos", "cosd", "cosh", "acos", "acosd", "acosh",
		"tan", "tand", "tanh", "atan", "atand", "atanh", "atan2", "atan2d", "cot", "cotd",
	}
)

func containsAny(word string, parts []string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(word, part) })
}

// plainLiteral reports whether no setting changes how a literal, quotes included, is
// read, whatever its type turns out to be: dates, times, intervals and amounts of
// money have a digit, arrays, rows and ranges a bracket, and in it a word.
func plainLiteral(literal string) bool {
	words, brackets := false, false
	for i := range len(literal) {
		switch b := literal[i]; {
		case 'a' <= b|0x20 && b|0x20 <= 'z':
			words = true
		case strings.IndexByte("[]{}()", b) >= 0:
			brackets = true
		case strings.IndexByte(" '_-.,:;/@#%&*+!?=~|", b) < 0:
			return false
		}
	}
	return !(words && brackets)
}

// tokens cuts a text into names, numbers, literals and operators. It is doubtful about
// what depends on a setting itself: escapes, other alphabets, unusual quotes.
type tokens struct {
	rest     string
	doubtful bool
}

// next returns the next token past blanks and comments, empty at the end.
func (t *tokens) next() string {
	t.skipBlanks()
	if t.rest == "" || t.doubtful {
		return t.take(0)
	}
	switch first := t.rest[0]; {
	case first == '\'' || first == '"':
		return t.quoted(first)
	case first == '$' && len(t.rest) > 1 && !('0' <= t.rest[1] && t.rest[1] <= '9'),
		first >= 0x80, first == '\\':
		t.doubtful = true
		return t.take(1)
	case block.IsWordByte(first):
		n := 1
		for n < len(t.rest) && block.IsWordByte(t.rest[n]) {
			n++
		}
		word := t.take(n)
		t.doubtful = strings.IndexFunc(word, func(r rune) bool { return r >= 0x80 }) >= 0 ||
			strings.EqualFold(word, "u") && strings.HasPrefix(t.rest, "&")
		return word
	case strings.HasPrefix(t.rest, "||"):
		return t.take(2)
	default:
		return t.take(1)
	}
}

func (t *tokens) take(n int) string {
	token := t.rest[:n]
	t.rest = t.rest[n:]
	return token
}

func (t *tokens) skipBlanks() {
	for {
		t.rest = strings.TrimLeft(t.rest, block.Space+"\v")
		switch {
		case strings.HasPrefix(t.rest, "--"):
			t.take(max(strings.IndexAny(t.rest, "\r\n"), 0))
			if strings.HasPrefix(t.rest, "--") { // the last line
				t.rest = ""
			}
		case strings.HasPrefix(t.rest, "/*"):
			comment, rest, ended := strings.Cut(t.rest[2:], "*/")
			t.rest = rest
			t.doubtful = t.doubtful || !ended || strings.Contains(comment, "/*") // one within another
			if t.doubtful {
				return
			}
		default:
			return
		}
	}
}

// quoted takes a literal or a quoted name. A doubled quote stands for one.
func (t *tokens) quoted(quote byte) string {
	for i := 1; i < len(t.rest); i++ {
		switch b := t.rest[i]; {
		case b == '\\' || b >= 0x80:
			t.doubtful = true
			return t.take(i)
		case b != quote:
		case i+1 < len(t.rest) && t.rest[i+1] == quote:
			i++
		default:
			return t.take(i + 1)
		}
	}
	t.doubtful = true // it has no end
	return t.take(len(t.rest))
}
