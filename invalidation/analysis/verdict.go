package analysis

import (
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strconv"
)

// Limits of the tags of one read. Beyond them a whole-table tag takes over.
const (
	guardValuesMax = 256 // values one occurrence of a table may be guarded by
	arrayValuesMax = 256 // elements of one bound array
	plainValueMax  = 64  // bytes of a value that stand in a tag as they are
)

// Verdict is the result of one analysis. It is immutable.
type Verdict struct {
	Cacheable bool
	Reason    Reason // empty when cacheable
	Detail    string // the function, table or construct the reason is about
	// Said is Postgres' message where it refused the statement. It may hold what stands
	// in the statement: it is for who wrote that, and for no log.
	Said string

	Tables     []string // schema.table of every watched table read, sorted
	Relations  []uint32 // their root OIDs, sorted
	Mentioned  []uint32 // OIDs of every relation in the tree, views and partitions too, sorted: a change of their definition changes the answer
	ParamTypes []uint32 // as the server resolved them
	// Exempt are the schema.table of the tables read whose row security does not
	// apply, sorted. If there are any, the verdict holds only for the request's role,
	// and for what Postgres plans after the analysis began.
	Exempt []string
	// Filtered are those whose row security applies, sorted: of which the same holds.
	Filtered []string
	// Settings are those of the application's own that the answer depends on, besides what
	// every answer does, in lower case and sorted: their values belong in its key.
	Settings []string
	Tags     []TagTemplate
	// Effect is what the execution changes; nil if it may be anything. One that is
	// cacheable changes nothing.
	Effect *Effect
	// Determined is set if a state of the database gives one set of rows, whatever the plan.
	Determined bool
	Wishes     []Wish // columns that, watched, would give precise tags where Tags has whole tables
	// Consent, unless nil, is the verdict of a statement to which nothing stands in the way
	// but the clock or tables that are not watched: it holds for whoever accepts that its
	// answer is out of date for a stated time. No table in it has row security. Its tags
	// are those of the watched tables, each as a whole.
	Consent *Verdict
	// Unwatched are the schema.table of the tables read that are not watched, sorted: of a
	// Consent, and of no other.
	Unwatched []string

	role       uint32 // the reader's, 0 if it is not known
	otherRoles bool   // the answer may depend on others
	template   Template
	shared     bool   // the statement could be made a template of
	variable   []bool // by ordinal of the template's literals
	clockParam []bool // by parameter: its text form could name the current time
	lookups    []lookup
	// boundObjects are the parameters that catalogs are restricted by.
	boundObjects []boundObject
	generation   *catalog
}

// Secured reports whether tables with row security are read, be it that it does not apply.
func (v *Verdict) Secured() bool { return len(v.Exempt)+len(v.Filtered) > 0 }

// TagTemplate says which tags one occurrence of a table contributes. With an
// empty Column that is the whole-table tag.
type TagTemplate struct {
	Root   uint32
	Column string
	Values []ValueSource
}

// ValueSource says where the value of a tag comes from.
type ValueSource struct {
	Origin Origin
	Index  int    // of the parameter, the literal or the lookup, from 0
	Type   uint32 // how to read it; for an array, the element's type
	Text   string // the analysed statement's own value: canonical, for Fixed and Literal; for Joined, the column looked up
	level  int    // of the lookup, for Joined; 0 for others
}

// Origin is a kind of source.
type Origin byte

// The kinds. An Array's elements are values each, and so are those that a lookup
// finds.
const (
	Fixed Origin = iota
	Literals
	Parameter
	Array
	Joined // found by a lookup before the load
)

// String shows a template as a person reads it: 16384/id=$1, 16384/status='paid'.
func (t TagTemplate) String() string {
	s := strconv.FormatUint(uint64(t.Root), 10)
	if t.Column == "" {
		return s
	}
	s += "/" + t.Column + "="
	for i, v := range t.Values {
		if i > 0 {
			s += "|"
		}
		switch v.Origin {
		case Parameter:
			s += "$" + strconv.Itoa(v.Index+1)
		case Array:
			s += "any($" + strconv.Itoa(v.Index+1) + ")"
		case Joined:
			s += v.Text
		default:
			s += "'" + v.Text + "'"
		}
	}
	return s
}

// With is the template with the texts of parameters in place of their numbers, as far as there
// are some: for a person to read.
func (t TagTemplate) With(parameters []string) TagTemplate {
	t.Values = slices.Clone(t.Values)
	for i, v := range t.Values {
		if (v.Origin == Parameter || v.Origin == Array) && v.Index < len(parameters) {
			t.Values[i] = ValueSource{Origin: Fixed, Text: parameters[v.Index]}
		}
	}
	return t
}

// VariableLiterals lists the ordinals of the template literals that may differ
// between statements that share this verdict. All others must be the same.
func (v *Verdict) VariableLiterals() []int {
	var out []int
	for i, is := range v.variable {
		if is {
			out = append(out, i)
		}
	}
	return out
}

// Covers tells whether the verdict holds for a statement of this template too.
func (v *Verdict) Covers(t Template) bool {
	if !v.shared || t.Key != v.template.Key || len(t.Literals) != len(v.template.Literals) {
		return false
	}
	for i, l := range t.Literals {
		if !v.variable[i] && l.Text != v.template.Literals[i].Text {
			return false
		}
	}
	return true
}

// HoldsFor tells whether the verdict, which may be a refusal, holds for a statement of
// this template too. A refusal does unless it may be the literals' fault.
func (v *Verdict) HoldsFor(t Template) bool {
	if v.Cacheable {
		return v.Covers(t)
	}
	return v.Reason != ReasonClockLiteral && v.Reason != ReasonSQLError
}

// AppendTags appends the tags of one execution, without duplicates. A value that
// cannot be read for certain costs precision, not success. ok is false when the
// execution must not be cached: the parameters do not fit the statement, or one
// names the current time.
func (v *Verdict) AppendTags(dst []string, p Params) (out []string, ok bool) {
	if !v.Cacheable || !v.fits(p) {
		return dst, false
	}
	from := len(dst)
	for i := range v.Tags {
		dst = v.Tags[i].append(dst, from, p)
	}
	return dst, true
}

func (v *Verdict) fits(p Params) bool {
	if len(p.Bound) != len(v.ParamTypes) {
		return false
	}
	if p.Literals != nil && len(p.Literals) != len(v.template.Literals) {
		return false
	}
	if p.Joined != nil && len(p.Joined) != len(v.lookups) {
		return false
	}
	for _, b := range v.boundObjects {
		if !b.holds(v, p) {
			return false
		}
	}
	for i, b := range p.Bound {
		if !v.clockParam[i] || b.Null || b.Binary {
			continue
		}
		if v.ParamTypes[i] == typeTimetz || hasClockWord(string(b.Data)) {
			return false
		}
	}
	return true
}

func (t *TagTemplate) append(dst []string, from int, p Params) []string {
	root := strconv.FormatUint(uint64(t.Root), 10)
	if t.Column == "" {
		return appendNew(dst, from, root)
	}
	mark := len(dst)
	for _, s := range t.Values {
		texts, ok := s.texts(p)
		if !ok {
			return appendNew(dst[:mark], from, root)
		}
		for _, text := range texts {
			dst = appendNew(dst, from, preciseTag(root, t.Column, text))
		}
	}
	return appendNew(dst, from, root+"/*")
}

func appendNew(dst []string, from int, tag string) []string {
	if slices.Contains(dst[from:], tag) {
		return dst
	}
	return append(dst, tag)
}

func preciseTag(root, column, value string) string {
	if len(value) > plainValueMax {
		sum := md5.Sum([]byte(value))
		value = "md5:" + hex.EncodeToString(sum[:])
	}
	return root + "/" + column + "=" + value
}

// texts returns the canonical texts of a source's values. There are none for
// NULL: nothing equals it.
func (s ValueSource) texts(p Params) ([]string, bool) {
	switch s.Origin {
	case Fixed:
		return []string{s.Text}, true
	case Literals:
		if p.Literals == nil {
			return []string{s.Text}, true
		}
		text, ok := CanonicalInput(s.Type, p.Literals[s.Index].Text)
		return []string{text}, ok
	case Joined:
		if p.Joined == nil || p.Joined[s.Index] == nil {
			return nil, false
		}
		return p.Joined[s.Index], true
	}
	v := p.Bound[s.Index]
	if v.Null {
		return nil, true
	}
	if s.Origin == Array {
		return arrayTexts(s.Type, v, arrayValuesMax)
	}
	text, ok := canonicalText(s.Type, v)
	return []string{text}, ok
}
