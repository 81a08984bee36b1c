package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/freshet/freshet/sidecar/internal/rules"
)

// tableRules and shapeRules are what a configuration says of single tables, and of single
// shapes of statements. As text they are YAML, of which JSON is a kind:
//
//	[{match: shop.sessions, cache: no}, {match: shop.prices, staleness: 500ms, ttl: 10m}]
//	[{id: 9f31c2aa, cache: no}, {match: "SELECT … FROM orders WHERE …", max-entry: 64KiB}]
type (
	tableRules []rules.Rule
	shapeRules []rules.Rule
)

// nested is an option whose value in a file is more than a list of plain values. It reads
// it from there, so that its errors name the line.
type nested interface {
	// readNode adds what a node of YAML says.
	readNode(node ast.Node, place func(ast.Node) string) error
	// text is the value as UnmarshalText reads it.
	text() string
}

func (r *tableRules) readNode(node ast.Node, place func(ast.Node) string) error {
	return readRules((*[]rules.Rule)(r), tableRuleKeys, node, place)
}

func (r *shapeRules) readNode(node ast.Node, place func(ast.Node) string) error {
	return readRules((*[]rules.Rule)(r), shapeRuleKeys, node, place)
}

// UnmarshalText adds the rules in text, so that a flag may be repeated.
func (r *tableRules) UnmarshalText(text []byte) error { return readNestedText(r, text) }

// UnmarshalText adds the rules in text, so that a flag may be repeated.
func (r *shapeRules) UnmarshalText(text []byte) error { return readNestedText(r, text) }

func (r *tableRules) text() string { return jsonText(r.spelled()) }
func (r *shapeRules) text() string { return jsonText(r.spelled()) }

func readNestedText(n nested, text []byte) error {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return fmt.Errorf("read rules: %w", err)
	}
	for _, document := range file.Docs {
		if err := n.readNode(document.Body, func(ast.Node) string { return "" }); err != nil {
			return err
		}
	}
	return nil
}

// ruleKeys are what a rule may say, and how it is read.
type ruleKeys map[string]func(r *rules.Rule, text string) error

var (
	tableRuleKeys = withTerms(ruleKeys{"match": readTablePattern})
	shapeRuleKeys = withTerms(ruleKeys{"match": readShapeText, "id": readShapeID})
)

// withTerms adds the keys that rules of both kinds have.
func withTerms(k ruleKeys) ruleKeys {
	k["cache"] = func(r *rules.Rule, text string) error {
		if !slices.Contains([]string{"no", "off", "false"}, text) {
			return fmt.Errorf("%q is none of its values: write no, or leave it out", text)
		}
		r.Never = true
		return nil
	}
	k["staleness"] = func(r *rules.Rule, text string) (err error) { return readTerm(&r.Staleness, text) }
	k["out-of-date"] = func(r *rules.Rule, text string) (err error) { return readTerm(&r.OutOfDate, text) }
	k["ttl"] = func(r *rules.Rule, text string) (err error) { return readTerm(&r.TTL, text) }
	k["max-entry"] = func(r *rules.Rule, text string) error {
		var size byteSize
		err := size.UnmarshalText([]byte(text))
		r.EntryMax = int(size)
		if err == nil && size < maxEntryMin {
			return fmt.Errorf("%s is too little: give at least %s", text, byteSize(maxEntryMin))
		}
		return err
	}
	return k
}

func readTerm(into *time.Duration, text string) (err error) {
	if *into, err = parseDuration(text); err == nil && *into <= 0 {
		return fmt.Errorf("%q is too short", text)
	}
	return err
}

func readTablePattern(r *rules.Rule, text string) error {
	if schema, table, ok := strings.Cut(text, "."); !ok || schema == "" || table == "" {
		return fmt.Errorf("%q is no table: write it with its schema, such as shop.orders or shop.*", text)
	}
	r.Table = text
	return nil
}

func readShapeText(r *rules.Rule, text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("it is empty: write the text of a statement, with ? for literals and … for what may be anything")
	}
	r.Text = text
	return nil
}

func readShapeID(r *rules.Rule, text string) error {
	if !rules.IsShapeID(text) {
		return fmt.Errorf("%q names no shape: write eight hexadecimal digits, as freshet top shows them", text)
	}
	r.ID = text
	return nil
}

// readRules adds the rules of a node, a list or one rule.
func readRules(into *[]rules.Rule, keys ruleKeys, node ast.Node, place func(ast.Node) string) error {
	var items []ast.Node
	switch n := node.(type) {
	case *ast.SequenceNode:
		items = n.Values
	case *ast.MappingNode, *ast.MappingValueNode:
		items = []ast.Node{n}
	case nil, *ast.NullNode:
	default:
		return fmt.Errorf("%sit is a list of rules: write such as [{match: shop.sessions, cache: no}]", place(node))
	}
	var problems []error
	for _, item := range items {
		rule, err := readRule(keys, item, place)
		*into = append(*into, rule)
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

func readRule(keys ruleKeys, node ast.Node, place func(ast.Node) string) (r rules.Rule, err error) {
	var pairs []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		return r, fmt.Errorf("%sa rule has keys: write such as {match: shop.sessions, cache: no}", place(node))
	}
	var problems []error
	for _, pair := range pairs {
		if err := keys.read(&r, pair); err != nil {
			problems = append(problems, fmt.Errorf("%s%w", place(pair.Key), err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return r, err
	}
	switch {
	case r.Table == "" && r.ID == "" && r.Text == "":
		return r, fmt.Errorf("%sthe rule says not what it is for: add match", place(node))
	case r.ID != "" && r.Text != "":
		return r, fmt.Errorf("%sthe rule has both id and match: leave one out", place(node))
	case r.Terms == rules.Terms{} && r.OutOfDate == 0:
		return r, fmt.Errorf("%sthe rule says nothing: add cache: no, staleness, ttl, max-entry or out-of-date", place(node))
	}
	return r, nil
}

// read takes in one key.
func (k ruleKeys) read(r *rules.Rule, pair *ast.MappingValueNode) error {
	key := pair.Key.GetToken().Value
	read, ok := k[key]
	if !ok {
		return unknownKey(key, slices.Sorted(maps.Keys(k)))
	}
	text, err := scalarText(pair.Value)
	if err == nil {
		err = read(r, text)
	}
	if err != nil {
		return fmt.Errorf("key %q: %w", key, err)
	}
	return nil
}

// spelledRule is a rule as a file has it.
type spelledRule struct {
	ID        string `json:"id,omitempty" yaml:"id,omitempty"`
	Match     string `json:"match,omitempty" yaml:"match,omitempty"`
	Cache     string `json:"cache,omitempty" yaml:"cache,omitempty"`
	Staleness string `json:"staleness,omitempty" yaml:"staleness,omitempty"`
	TTL       string `json:"ttl,omitempty" yaml:"ttl,omitempty"`
	MaxEntry  string `json:"max-entry,omitempty" yaml:"max-entry,omitempty"`
	OutOfDate string `json:"out-of-date,omitempty" yaml:"out-of-date,omitempty"`
}

func (r tableRules) spelled() []spelledRule { return spell(r) }
func (r shapeRules) spelled() []spelledRule { return spell(r) }

func spell(list []rules.Rule) []spelledRule {
	spelled := make([]spelledRule, len(list))
	for i, r := range list {
		s := spelledRule{ID: r.ID, Match: r.Table + r.Text}
		if r.Never {
			s.Cache = "no"
		}
		if r.Staleness > 0 {
			s.Staleness = r.Staleness.String()
		}
		if r.TTL > 0 {
			s.TTL = r.TTL.String()
		}
		if r.EntryMax > 0 {
			size, _ := byteSize(r.EntryMax).MarshalText() // it cannot fail
			s.MaxEntry = string(size)
		}
		if r.OutOfDate > 0 {
			s.OutOfDate = r.OutOfDate.String()
		}
		spelled[i] = s
	}
	return spelled
}

func jsonText(value any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // it holds nothing but text
	return strings.TrimSpace(text.String())
}

// rules are those of both kinds.
func (c *config) rules() []rules.Rule {
	return slices.Concat([]rules.Rule(c.Tables), []rules.Rule(c.Shapes))
}

// checkRules finds the rules that would make a promise weaker, and those that could never
// hold.
func (c *config) checkRules(wrong func(format string, values ...any)) {
	for _, r := range c.rules() {
		name := r.Table + r.ID + r.Text
		if r.Staleness > c.Staleness {
			wrong("the rule for %s has a staleness of %s, more than --staleness %s: a rule can only be stricter", name, r.Staleness, c.Staleness)
		}
		if r.Staleness > 0 && c.Poll > r.Staleness/2 {
			wrong("the rule for %s has a staleness of %s, less than twice --poll %s: freshness could not be proven between two looks; give for example --poll %s", name, r.Staleness, c.Poll, r.Staleness/4)
		}
		if r.TTL > c.TTL {
			wrong("the rule for %s has a ttl of %s, more than --ttl %s: a rule can only be stricter", name, r.TTL, c.TTL)
		}
		if r.OutOfDate > c.TTL {
			wrong("the rule for %s has an out-of-date of %s, more than --ttl %s, which no answer outlives", name, r.OutOfDate, c.TTL)
		}
		if r.EntryMax > int(c.MaxEntry) {
			wrong("the rule for %s has a max-entry of %s, more than --max-entry %s: a rule can only be stricter", name, byteSize(r.EntryMax), c.MaxEntry)
		}
	}
}
