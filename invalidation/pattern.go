package invalidation

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// columnsMax bounds the watched columns of a table that a pattern names.
const columnsMax = 32

// pattern says which tables to watch: "schema.table", each part with * and ?
// for any characters and any one character, optionally with columns in
// parentheses. Names are compared as Postgres stores them.
type pattern struct {
	text    string
	schema  *regexp.Regexp
	table   *regexp.Regexp
	columns []string // nil: choose
	literal bool     // names one table
	wild    bool     // stands for tables of any names
}

var patternForm = regexp.MustCompile(`^\s*([^.()\s]+)\.([^.()]+?)\s*(?:\(([^()]*)\))?\s*$`)

func parsePatterns(texts []string) ([]pattern, error) {
	if len(texts) == 0 {
		return nil, errors.New(`parse watch patterns: there are none; name the tables to watch, for example "public.*"`)
	}
	patterns := make([]pattern, len(texts))
	for i, text := range texts {
		p, err := parsePattern(text)
		if err != nil {
			return nil, err
		}
		patterns[i] = p
	}
	return patterns, nil
}

func parsePattern(text string) (pattern, error) {
	parts := patternForm.FindStringSubmatch(text)
	if parts == nil {
		return pattern{}, fmt.Errorf(`parse watch pattern %q: write schema.table, schema.* or schema.table(column, column)`, text)
	}
	p := pattern{text: text, schema: glob(parts[1]), table: glob(parts[2]), literal: !strings.ContainsAny(parts[1]+parts[2], "*?"), wild: strings.ContainsAny(parts[2], "*?")}
	if parts[3] == "" {
		return p, nil
	}
	for column := range strings.SplitSeq(parts[3], ",") {
		column = strings.TrimSpace(column)
		if column == "" || slices.Contains(p.columns, column) {
			return pattern{}, fmt.Errorf("parse watch pattern %q: an empty or repeated column name", text)
		}
		p.columns = append(p.columns, column)
	}
	if len(p.columns) > columnsMax {
		return pattern{}, fmt.Errorf("parse watch pattern %q: %d columns, at most %d can be watched", text, len(p.columns), columnsMax)
	}
	return p, nil
}

func glob(text string) *regexp.Regexp {
	return regexp.MustCompile("(?s)^" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(text)) + "$")
}

func (p pattern) matches(n relationName) bool {
	return p.schema.MatchString(n.Schema) && p.table.MatchString(n.Name)
}

// match finds the pattern that decides about a table: the last one that names
// its columns, else the last one that matches.
func match(patterns []pattern, n relationName) (pattern, bool) {
	var found pattern
	ok := false
	for _, p := range patterns {
		if p.matches(n) && (!ok || p.columns != nil || found.columns == nil) {
			found, ok = p, true
		}
	}
	return found, ok
}
