// Package rules holds what an operator says of single tables and shapes of statements:
// that their answers are never kept, or under terms that are stricter than the sidecar's
// own; or that they may be out of date, where nothing could end them. It is pure: it reads no configuration and asks nobody.
//
// A Set does not change. Its methods may be called by any number of goroutines.
package rules

import (
	"slices"
	"strings"
	"time"
)

// Rule says what holds for the statements that it matches: those that read a table, or
// those of a shape. One of Table, ID and Text is set.
type Rule struct {
	// Table is a table with its schema, or a pattern of such: shop.orders, shop.*.
	Table string
	// ID is the name of a shape: see ShapeID.
	ID string
	// Text is the text of a shape, with … for what may be anything.
	Text string
	// OutOfDate, unless 0, accepts answers that are out of date for so long, where nothing
	// stands in the way of fresh ones but the clock or tables that are not watched.
	OutOfDate time.Duration
	// Distrusted says that the rule is none of the configuration: verification has found an
	// answer of the shape to be stale. Never is set too.
	Distrusted bool
	// Terms are what holds.
	Terms
}

// Terms are what holds for a statement. A zero field says nothing.
type Terms struct {
	// Never says that no answer is kept.
	Never bool
	// Staleness is the bound for these answers.
	Staleness time.Duration
	// TTL is the longest life of these answers.
	TTL time.Duration
	// EntryMax is the largest of these answers that is kept, in bytes.
	EntryMax int
}

// And are the stricter ones of both, one by one.
func (t Terms) And(u Terms) Terms {
	return Terms{
		Never:     t.Never || u.Never,
		Staleness: stricter(t.Staleness, u.Staleness),
		TTL:       stricter(t.TTL, u.TTL),
		EntryMax:  stricter(t.EntryMax, u.EntryMax),
	}
}

// stricter is the lower of two bounds, of which 0 is none.
func stricter[T int | time.Duration](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Set are the rules in force. A nil Set has none.
type Set struct{ rules []Rule }

// NewSet returns the rules as a set, nil if there are none.
func NewSet(rules []Rule) *Set {
	if len(rules) == 0 {
		return nil
	}
	return &Set{rules: slices.Clone(rules)}
}

// Staleness is the strictest that a rule says, 0 if none does.
func (s *Set) Staleness() (strictest time.Duration) {
	if s == nil {
		return 0
	}
	for i := range s.rules {
		strictest = stricter(strictest, s.rules[i].Staleness)
	}
	return strictest
}

// Judged are the terms for the statements of one shape, and whose word they are.
type Judged struct {
	Terms
	// OutOfDate is for how long the answers may be out of date, 0 if not at all: a rule for the
	// shape says so, or for each table that it reads one.
	OutOfDate time.Duration
	// Distrusted is set if one of the rules is.
	Distrusted bool
	// ID names the shape, and Tables are what it reads.
	ID     string
	Tables []string
	set    *Set
}

// Of reports whether the terms are those of a set.
func (j *Judged) Of(s *Set) bool { return j != nil && j.set == s }

// For returns the terms of a shape: its text, without a value in it, and the tables, with
// their schemas, that it reads. Where several rules match, the strictest of each term holds.
func (s *Set) For(text string, tables []string) *Judged {
	j := &Judged{ID: ShapeID(text), Tables: tables, set: s}
	if s == nil {
		return j
	}
	spaced := collapse(text)
	accepted := len(tables) > 0 && !slices.ContainsFunc(tables, func(table string) bool { return !s.acceptsFor(table) })
	for i := range s.rules {
		r := &s.rules[i]
		if r.matches(j.ID, spaced, tables) {
			j.Terms = j.And(r.Terms)
			j.Distrusted = j.Distrusted || r.Distrusted
			j.OutOfDate = stricter(j.OutOfDate, r.OutOfDate)
			accepted = accepted || r.Table == "" && r.OutOfDate > 0
		}
	}
	if !accepted {
		j.OutOfDate = 0
	}
	return j
}

// acceptsFor reports whether a rule accepts answers that are out of date of a table.
func (s *Set) acceptsFor(table string) bool {
	return slices.ContainsFunc(s.rules, func(r Rule) bool {
		return r.Table != "" && r.OutOfDate > 0 && r.matches("", "", []string{table})
	})
}

// Accepts reports whether any rule accepts answers that are out of date.
func (s *Set) Accepts() bool {
	return s != nil && slices.ContainsFunc(s.rules, func(r Rule) bool { return r.OutOfDate > 0 })
}

func (r *Rule) matches(id, text string, tables []string) bool {
	switch {
	case r.Table != "":
		pattern := strings.ReplaceAll(r.Table, "*", ellipsis)
		return slices.ContainsFunc(tables, func(table string) bool { return like(pattern, table) })
	case r.ID != "":
		return strings.EqualFold(r.ID, id)
	default:
		return r.Text != "" && like(collapse(r.Text), text)
	}
}

// ellipsis stands for any text in Rule.Text.
const ellipsis = "…"

// like reports whether text is what pattern says, with anything in place of each ellipsis.
func like(pattern, text string) bool {
	pieces := strings.Split(strings.ReplaceAll(pattern, "...", ellipsis), ellipsis)
	if len(pieces) == 1 {
		return pattern == text
	}
	rest, begins := strings.CutPrefix(text, pieces[0])
	if !begins {
		return false
	}
	last := len(pieces) - 1
	for _, piece := range pieces[1:last] {
		_, after, found := strings.Cut(rest, piece)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, pieces[last])
}

// collapse makes each run of white space one blank.
func collapse(text string) string { return strings.Join(strings.Fields(text), " ") }
