package analysis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// A version of PostgreSQL that was not tested can be tried: statements that need nothing but
// catalogs, which every server has, are analysed on it as if these were ordinary tables, and the
// trees and verdicts are held against those of a tested version. What is compared is a set of facts:
//
//   - of each kind of node, its fields, and the kinds of values that these have;
//   - of each statement, its tags or the reason why it is refused.
//
// knownFacts are those of the tested versions, written down by TestComparison -update.

//go:embed facts.txt
var knownFacts string

// Comparison is how a server differs from a tested version.
type Comparison struct {
	// Version is the server's, and Tested whether it was tested.
	Version string `json:"version"`
	Tested  bool   `json:"tested"`
	// With is the major version that the server is compared with: its own if that was tested, the
	// newest otherwise.
	With int `json:"with"`
	// Statements and Nodes are how many statements were tried and how many kinds of nodes were met.
	Statements int `json:"statements"`
	Nodes      int `json:"nodes"`
	// Trees say how kinds of nodes and their fields differ, sorted.
	Trees []string `json:"trees"`
	// Verdicts are those that differ.
	Verdicts []VerdictDifference `json:"verdicts"`
}

// VerdictDifference is a statement with its verdict on the server and on the version compared with.
type VerdictDifference struct {
	Statement string `json:"statement"`
	Here      string `json:"here"`
	There     string `json:"there"`
}

// Same reports whether nothing differs.
func (c *Comparison) Same() bool { return len(c.Trees)+len(c.Verdicts) == 0 }

// Compare tries the server, of whatever version. It needs a role that may connect, and nothing
// installed. Of the options, what says which tables are watched and which functions are declared
// is left out.
func Compare(ctx context.Context, o Options) (*Comparison, error) {
	o.Watch, o.Functions, o.AnyVersion = func() Watch { return comparedTables{} }, nil, true
	a, err := New(o)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	s, err := a.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer a.release(s)
	found, err := a.gatherFacts(ctx, s)
	if err != nil {
		return nil, err
	}
	_, newest := TestedVersions()
	c := &Comparison{Version: s.conn.PgConn().ParameterStatus("server_version"), With: newest, Statements: len(comparedStatements), Nodes: len(found.kinds)}
	if own := majorVersion(c.Version); supportedMajors[own] {
		c.Tested, c.With = true, own
	}
	known, err := factsOf(knownFacts, c.With)
	if err != nil {
		return nil, err
	}
	c.compare(found, known)
	return c, nil
}

// facts are what one version shows.
type facts struct {
	// kinds are the kinds of values by field and by kind of node.
	kinds map[string]map[string]string
	// verdicts are by statement, details, for people, too.
	verdicts, details map[string]string
}

func newFacts() *facts {
	return &facts{map[string]map[string]string{}, map[string]string{}, map[string]string{}}
}

// gatherFacts tries the statements.
func (a *Analyzer) gatherFacts(ctx context.Context, s *session) (*facts, error) {
	f, c := newFacts(), a.current.Load()
	estimated := false
	c.statistics = &estimated // tags are to follow the tree alone
	for _, sql := range comparedStatements {
		r := Request{SQL: sql, SearchPath: []string{"pg_catalog"}}
		query, description, err := a.query(ctx, s, &r)
		var v *Verdict
		if err == nil {
			f.addTree(query)
			v, err = a.judgeCompared(ctx, s, c, &r, query, description)
		}
		var no *refusal
		switch {
		case errors.As(err, &no):
			f.verdicts[sql], f.details[sql] = "no: "+string(no.reason), no.detail
		case err != nil:
			return nil, fmt.Errorf("try %s: %w", sql, err)
		default:
			f.verdicts[sql] = shownTags(v)
		}
	}
	return f, nil
}

// judgeCompared is examine for statements that take catalogs for tables.
func (a *Analyzer) judgeCompared(ctx context.Context, s *session, c *catalog, r *Request, query *node, description *pgconn.StatementDescription) (*Verdict, error) {
	if err := checkSelect(query); err != nil {
		return nil, err
	}
	parsed, err := a.read(ctx, s, c, r, query, description)
	if err != nil {
		return nil, err
	}
	parsed.compared = true
	return conclude(parsed)
}

// shownTags are the tags of a verdict, sorted.
func shownTags(v *Verdict) string {
	var tags []string
	for _, t := range v.Tags {
		tags = append(tags, t.String())
	}
	slices.Sort(tags)
	return strings.TrimSpace("cached " + strings.Join(tags, " "))
}

// addTree notes the nodes of a tree and what they hold.
func (f *facts) addTree(tree *node) {
	walk(tree, func(n *node) bool {
		fields := f.kinds[n.tag]
		if fields == nil {
			fields = map[string]string{}
			f.kinds[n.tag] = fields
		}
		for i := range n.fields {
			kind := kindOf(n.fields[i].value)
			if have := fields[n.fields[i].name]; !strings.Contains(have, kind) {
				fields[n.fields[i].name] = sortedLetters(have + kind)
			}
		}
		return true
	})
}

// kindOf is a letter for the kind of a value: an atom, bytes, a list, a node, or nothing.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "-"
	case *node:
		return "n"
	case list:
		return "l"
	case datum:
		return "b"
	}
	return "a"
}

func sortedLetters(text string) string {
	letters := []byte(text)
	slices.Sort(letters)
	return string(letters)
}

// kindNames name the letters for people.
var kindNames = map[rune]string{'-': "nothing", 'n': "a node", 'l': "a list", 'b': "bytes", 'a': "a value"}

func kindsForPeople(letters string) string {
	var names []string
	for _, letter := range letters {
		names = append(names, kindNames[letter])
	}
	return strings.Join(names, " or ")
}

// compare notes what differs.
func (c *Comparison) compare(found, known *facts) {
	c.Trees, c.Verdicts = []string{}, []VerdictDifference{}
	for _, tag := range slices.Sorted(maps.Keys(known.kinds)) {
		if found.kinds[tag] == nil {
			c.Trees = append(c.Trees, "node "+tag+" is missing")
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(found.kinds)) {
		c.compareNode(tag, found.kinds[tag], known.kinds[tag])
	}
	for _, sql := range comparedStatements {
		if here, there := found.verdicts[sql], known.verdicts[sql]; here != there {
			if detail := found.details[sql]; detail != "" {
				here += " (" + detail + ")"
			}
			c.Verdicts = append(c.Verdicts, VerdictDifference{sql, here, there})
		}
	}
}

func (c *Comparison) compareNode(tag string, found, known map[string]string) {
	if known == nil {
		c.Trees = append(c.Trees, "node "+tag+" is new")
		return
	}
	for _, field := range slices.Sorted(maps.Keys(known)) {
		if _, ok := found[field]; !ok {
			c.Trees = append(c.Trees, "field "+tag+"."+field+" is missing")
		}
	}
	for _, field := range slices.Sorted(maps.Keys(found)) {
		switch there, ok := known[field]; {
		case !ok:
			c.Trees = append(c.Trees, "field "+tag+"."+field+" is new")
		case there != found[field]:
			c.Trees = append(c.Trees, fmt.Sprintf("field %s.%s holds %s, and not %s", tag, field, kindsForPeople(found[field]), kindsForPeople(there)))
		}
	}
}

// factsOf reads those of one major version. A line of the text has the versions, separated by
// commas, and behind a space a node with its fields, or a verdict, " = " and its statement.
func factsOf(text string, major int) (*facts, error) {
	f := newFacts()
	for line := range strings.Lines(text) {
		versions, fact, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok {
			return nil, fmt.Errorf("read what is known of versions: %q", line)
		}
		if !slices.Contains(strings.Split(versions, ","), fmt.Sprint(major)) {
			continue
		}
		if verdict, sql, ok := strings.Cut(fact, " = "); ok && !strings.HasPrefix(fact, "{") {
			f.verdicts[sql] = verdict
			continue
		}
		words := strings.Fields(fact)
		fields := f.kinds[strings.TrimPrefix(words[0], "{")]
		if fields == nil {
			fields = map[string]string{}
			f.kinds[strings.TrimPrefix(words[0], "{")] = fields
		}
		for _, word := range words[1:] {
			name, kind, _ := strings.Cut(word, ":")
			fields[name] = kind
		}
	}
	return f, nil
}

// comparedTables are catalogs, taken for ordinary tables.
type comparedTables struct{}

// comparedColumns are columns of catalogs that every version has, taken for watched ones, by the
// OID of their catalog.
var comparedColumns = map[uint32]WatchedTable{
	1259: {Root: 1259, Name: "pg_class", Columns: []string{"relpages", "relnatts", "relisshared"}},
	1249: {Root: 1249, Name: "pg_attribute", Columns: []string{"attnum", "attlen"}},
	1255: {Root: 1255, Name: "pg_proc", Columns: []string{"pronargs", "prosrc"}},
	2609: {Root: 2609, Name: "pg_description", Columns: []string{"objsubid", "description"}},
	2611: {Root: 2611, Name: "pg_inherits", Columns: []string{"inhseqno"}},
}

// Table implements Watch.
func (comparedTables) Table(oid uint32) (WatchedTable, bool) {
	t, ok := comparedColumns[oid]
	return t, ok
}
