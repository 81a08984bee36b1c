package analysis

import "strings"

// copiedInto returns the table, as it is written, of a COPY from what the client sends,
// if the statement is that and no more. Whatever is written otherwise than drivers do is
// not recognized: a WHERE, a file, a program.
func copiedInto(sql string) (table string, ok bool) {
	c := copyReader{rest: sql}
	if !c.word("COPY") {
		return "", false
	}
	table = c.table()
	if c.sign('(') {
		c.list()
	}
	if table == "" || !c.word("FROM") || !c.word("STDIN") {
		return "", false
	}
	with := c.word("WITH")
	switch {
	case c.sign('('):
		c.options()
	case c.word("BINARY"), c.word("CSV"):
	case with:
		return "", false
	}
	c.rest = strings.TrimLeft(c.rest, " \t\r\n\f;")
	return table, !c.failed && c.rest == ""
}

// copyReader reads a COPY from its beginning. What it does not expect makes it fail.
type copyReader struct {
	rest   string
	failed bool
}

func (c *copyReader) blanks() { c.rest = strings.TrimLeft(c.rest, " \t\r\n\f") }

// word takes the next word if it is this one.
func (c *copyReader) word(want string) bool {
	c.blanks()
	n := len(want)
	if len(c.rest) < n || !strings.EqualFold(c.rest[:n], want) || len(c.rest) > n && isWordPart(c.rest[n]) {
		return false
	}
	c.rest = c.rest[n:]
	return true
}

func (c *copyReader) sign(want byte) bool {
	c.blanks()
	if c.rest == "" || c.rest[0] != want {
		return false
	}
	c.rest = c.rest[1:]
	return true
}

// table takes a name, and one behind a dot.
func (c *copyReader) table() string {
	c.blanks()
	name := c.identifier()
	for range 2 { // a database may be named too
		if name == "" || c.rest == "" || c.rest[0] != '.' {
			break
		}
		c.rest = c.rest[1:]
		part := c.identifier()
		if part == "" {
			return ""
		}
		name += "." + part
	}
	return name
}

// identifier takes a name, with its quotes if it has some; empty if there is none.
func (c *copyReader) identifier() string {
	end := 0
	if c.rest != "" && c.rest[0] == '"' {
		for end = 1; end < len(c.rest) && c.rest[end] != '"'; end++ {
		}
		end++ // a doubled quote ends it, and what follows is not expected
	} else if c.rest != "" && isWordStart(c.rest[0]) {
		for end < len(c.rest) && isWordPart(c.rest[end]) {
			end++
		}
	}
	if end > len(c.rest) {
		c.failed = true
		return ""
	}
	name := c.rest[:end]
	c.rest = c.rest[end:]
	return name
}

// list takes the names of columns, and the bracket behind them.
func (c *copyReader) list() {
	for {
		c.blanks()
		if c.identifier() == "" {
			c.failed = true
			return
		}
		switch {
		case c.sign(','):
		case c.sign(')'):
			return
		default:
			c.failed = true
			return
		}
	}
}

// options takes what is in brackets: words, and strings without escapes.
func (c *copyReader) options() {
	for c.rest != "" {
		switch b := c.rest[0]; {
		case b == ')':
			c.rest = c.rest[1:]
			return
		case b == '\'':
			end := strings.IndexByte(c.rest[1:], '\'')
			if end < 0 || strings.Contains(c.rest[1:end+1], `\`) {
				c.failed = true
				return
			}
			c.rest = c.rest[end+2:]
		case isWordPart(b), b == ' ', b == ',', b == '*', b == '\n', b == '\t', b == '\r':
			c.rest = c.rest[1:]
		default:
			c.failed = true
			return
		}
	}
	c.failed = true
}
