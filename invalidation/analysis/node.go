package analysis

import (
	"strconv"
	"strings"
)

// Limits of one tree. Beyond them a statement is too_complex.
const (
	treeBytesMax = 4 << 20
	treeDepthMax = 400
	// identifierRunMax is the longest run without a space that the server prints
	// without ever breaking it: it wraps its dump at 78 columns, and breaks
	// inside a token only when the line holds no space. Such a break cannot be
	// undone with certainty, and could split an escape from what it escapes.
	identifierRunMax = 76
)

// node is one {TAG :field value …} of a dump of the server's query tree. A
// value is a *node, a list, an atom (an unread token), a datum, or nil for <>.
type node struct {
	tag    string
	fields []field
}

type field struct {
	name  string
	value any
}

type (
	atom  string
	list  []any
	datum []byte
)

// sameNode maps the names older versions print to the ones newer versions do.
var sameNode = map[string]string{
	"RTE":        "RANGETBLENTRY",
	"ARRAY":      "ARRAYEXPR",
	"CASE":       "CASEEXPR",
	"WHEN":       "CASEWHEN",
	"COALESCE":   "COALESCEEXPR",
	"MINMAX":     "MINMAXEXPR",
	"ROW":        "ROWEXPR",
	"ROWCOMPARE": "ROWCOMPAREEXPR",
	"COLLATE":    "COLLATEEXPR",
}

// field returns the value of a field. A field that is missing means that this
// server prints trees we do not understand, and is refused: its zero value would
// mean something (rtekind 0 is a table).
func (n *node) field(name string) any {
	for i := range n.fields {
		if n.fields[i].name == name {
			return n.fields[i].value
		}
	}
	panic(refuse(ReasonUnknownNode, n.tag+" without "+name))
}

// optional is field for those that only some entries or versions have.
func (n *node) optional(name string) any {
	for i := range n.fields {
		if n.fields[i].name == name {
			return n.fields[i].value
		}
	}
	return nil
}

// child is field for a node that must be there.
func (n *node) child(name string) *node {
	if v, ok := n.field(name).(*node); ok {
		return v
	}
	panic(refuse(ReasonUnknownNode, n.tag+"."+name))
}

func (n *node) list(name string) list {
	switch v := n.field(name).(type) {
	case nil:
		return nil
	case list:
		return v
	}
	panic(refuse(ReasonUnknownNode, n.tag+"."+name))
}

// nodes is list for a list that holds nothing but nodes.
func (n *node) nodes(name string) []*node {
	l := n.list(name)
	out := make([]*node, len(l))
	for i, v := range l {
		c, ok := v.(*node)
		if !ok {
			panic(refuse(ReasonUnknownNode, n.tag+"."+name))
		}
		out[i] = c
	}
	return out
}

func (n *node) atom(name string) string {
	v, ok := n.field(name).(atom)
	if !ok {
		panic(refuse(ReasonUnknownNode, n.tag+"."+name))
	}
	return string(v)
}

func (n *node) int(name string) int {
	i, err := strconv.Atoi(n.atom(name))
	if err != nil {
		panic(refuse(ReasonUnknownNode, n.tag+"."+name))
	}
	return i
}

func (n *node) oid(name string) uint32 {
	i, err := strconv.ParseUint(n.atom(name), 10, 32)
	if err != nil {
		panic(refuse(ReasonUnknownNode, n.tag+"."+name))
	}
	return uint32(i)
}

// oids reads a list of OIDs, which begins with a letter: (o 100 0).
func (n *node) oids(name string) []uint32 {
	l := n.list(name)
	if len(l) == 0 {
		return nil
	}
	if l[0] != atom("o") {
		panic(refuse(ReasonUnknownNode, n.tag+"."+name))
	}
	out := make([]uint32, 0, len(l)-1)
	for _, v := range l[1:] {
		a, _ := v.(atom)
		i, err := strconv.ParseUint(string(a), 10, 32)
		if err != nil {
			panic(refuse(ReasonUnknownNode, n.tag+"."+name))
		}
		out = append(out, uint32(i))
	}
	return out
}

func (n *node) bool(name string) bool {
	switch n.atom(name) {
	case "true":
		return true
	case "false":
		return false
	}
	panic(refuse(ReasonUnknownNode, n.tag+"."+name))
}

// name reads an identifier. The server's line wrapping makes a space and a line
// break in it indistinguishable, so both read as a space: compare names only
// where a collision is refused.
func (n *node) name(name string) string { return unescape(n.atom(name)) }

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		if s[i] == '\n' {
			b.WriteByte(' ')
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// walk visits a value and everything below it, parents first, in the order of
// the dump. It does not descend where visit returns false.
func walk(v any, visit func(*node) bool) {
	switch v := v.(type) {
	case *node:
		if visit(v) {
			for i := range v.fields {
				walk(v.fields[i].value, visit)
			}
		}
	case list:
		for _, e := range v {
			walk(e, visit)
		}
	}
}

// readTree reads one dump. The error is a refusal.
func readTree(text string) (v any, err error) {
	if len(text) > treeBytesMax {
		return nil, refuse(ReasonTooComplex, "query tree of more than "+strconv.Itoa(treeBytesMax)+" bytes")
	}
	if tornIdentifier(text) {
		return nil, refuse(ReasonUnknownNode, "identifier too long to read back")
	}
	defer catch(&err)
	r := &reader{text: text}
	v = r.value(0)
	if r.peek() != "" {
		r.fail("text after the tree")
	}
	return v, nil
}

// catch turns a panicking refusal into an error and lets real panics pass.
func catch(err *error) {
	switch e := recover().(type) {
	case nil:
	case *refusal:
		*err = e
	default:
		panic(e)
	}
}

// tornIdentifier tells whether a token is so long that the server may have
// broken it. An escaped line break does not end a run: it may have been part of
// the token.
func tornIdentifier(text string) bool {
	run := 0
	for i := 0; i < len(text); i++ {
		if text[i] == ' ' || (text[i] == '\n' && (i == 0 || text[i-1] != '\\')) {
			run = 0
			continue
		}
		if run++; run > identifierRunMax {
			return true
		}
	}
	return false
}

type reader struct {
	text string
	at   int
}

func (r *reader) fail(what string) {
	panic(refuse(ReasonUnknownNode, what))
}

// token returns the next token: one of ( ) { }, or everything up to the next
// unescaped blank or bracket. Escapes are kept, so that an identifier that looks
// like a token never equals it. Empty at the end.
func (r *reader) token() string {
	for r.at < len(r.text) && isBlank(r.text[r.at]) {
		r.at++
	}
	start := r.at
	for r.at < len(r.text) {
		c := r.text[r.at]
		if isBlank(c) {
			break
		}
		if isBracket(c) {
			if r.at == start {
				r.at++
			}
			break
		}
		if c == '\\' && r.at+1 < len(r.text) {
			r.at++
		}
		r.at++
	}
	return r.text[start:r.at]
}

func isBlank(c byte) bool   { return c == ' ' || c == '\n' || c == '\t' }
func isBracket(c byte) bool { return c == '(' || c == ')' || c == '{' || c == '}' }

func (r *reader) peek() string {
	at := r.at
	t := r.token()
	r.at = at
	return t
}

func (r *reader) value(depth int) any {
	if depth > treeDepthMax {
		panic(refuse(ReasonTooComplex, "query tree nested deeper than "+strconv.Itoa(treeDepthMax)))
	}
	switch t := r.token(); t {
	case "", ")", "}":
		r.fail("broken query tree")
		return nil
	case "<>":
		return nil
	case "(":
		return r.list(depth)
	case "{":
		return r.node(depth)
	default:
		return atom(t)
	}
}

func (r *reader) list(depth int) list {
	l := list{}
	for r.peek() != ")" {
		l = append(l, r.value(depth+1))
	}
	r.token()
	return l
}

func (r *reader) node(depth int) *node {
	n := &node{tag: r.token()}
	if same := sameNode[n.tag]; same != "" {
		n.tag = same
	}
	for {
		name := r.token()
		if name == "}" {
			return n
		}
		if len(name) < 2 || name[0] != ':' {
			r.fail("field expected in " + n.tag)
		}
		v := r.value(depth + 1)
		if r.peek() == "[" {
			v = r.datum()
		}
		n.fields = append(n.fields, field{name[1:], v})
	}
}

// datum reads the bytes of "4 [ 7 0 0 0 0 0 0 0 ]", printed as signed chars.
func (r *reader) datum() datum {
	r.token()
	var d datum
	for {
		t := r.token()
		if t == "]" {
			return d
		}
		b, err := strconv.Atoi(t)
		if err != nil || b < -128 || b > 255 {
			r.fail("broken datum")
		}
		d = append(d, byte(b))
	}
}
