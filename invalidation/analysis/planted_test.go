package analysis

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/compiling"
	"github.com/freshet/freshet/loadtest/mutant"
)

// plantedFor is for the search of what is not found where it is known to be; on a busy
// machine it takes minutes.
var plantedFor = flag.Duration("planted", 0, "search for planted bugs that are not found where they were, at most that long, and write down where they are found")

// plantedShowMax bounds what shows the planted bugs where they are known to be: seconds, and more
// on a busy machine.
const plantedShowMax = 5 * time.Minute

// plantedVariable tells a test binary that it holds the planted bugs.
const plantedVariable = "FRESHET_PLANTED_BUGS"

// plantedBug is a mistake an analyser could make. In the text of new, PLANTED
// stands for "this bug shows".
// One that takes several changes stands several times.
type plantedBug struct{ name, file, old, new string }

// plantedBugs are mistakes that all give an answer too few tags, or tags of other
// values. Their texts stand exactly once in the file.
var plantedBugs = []plantedBug{
	// Guards that are none.
	{"a guard of one arm of an OR", "condition.go", "\t\t\t\tdelete(common, c)", "\t\t\t\tif !PLANTED {\n\t\t\t\t\tdelete(common, c)\n\t\t\t\t}"},
	{"a guard inside NOT", "condition.go", "\tcase \"not\":\n", "\tcase \"not\":\n\t\tif PLANTED {\n\t\t\td.conjuncts(scopes, args[0], may)\n\t\t}\n"},
	{"ON guards the kept side of a left join", "guard.go", "d.conjuncts(scopes, n.field(\"quals\"), oneOf(right))", "d.conjuncts(scopes, n.field(\"quals\"), func(i int) bool { return PLANTED || oneOf(right)(i) })"},
	{"ON guards the kept side of a right join", "guard.go", "d.conjuncts(scopes, n.field(\"quals\"), oneOf(left))", "d.conjuncts(scopes, n.field(\"quals\"), func(i int) bool { return PLANTED || oneOf(left)(i) })"},
	{"ON guards a full join", "guard.go", "\tcase joinFull:\n", "\tcase joinFull:\n\t\tif PLANTED {\n\t\t\td.conjuncts(scopes, n.field(\"quals\"), anyEntry)\n\t\t}\n"},
	{"values pass through an outer join both ways", "condition.go", "\t\tif may(rc.entry) {\n", "\t\tif PLANTED || may(rc.entry) {\n"},
	{"ALL is taken for ANY", "condition.go", "!n.bool(\"useOr\") || ", "(!n.bool(\"useOr\") && !PLANTED) || "},
	{"a condition on an outer row is one on the own", "condition.go", "case lok && ls == me:", "case lok && (PLANTED || ls == me):"},
	{"IS NOT TRUE is IS TRUE", "condition.go", "\tcase 0:\n", "\tcase 1:\n\t\tif PLANTED {\n\t\t\tlearn(c, boolGuard(true))\n\t\t}\n\tcase 0:\n"},

	// Guards pushed too far.
	{"pushed through LIMIT", "guard.go", "\treturn q.field(\"limitCount\") != nil || q.field(\"limitOffset\") != nil || q.bool(\"hasWindowFuncs\")", "\treturn !PLANTED && q.field(\"limitCount\") != nil || q.field(\"limitOffset\") != nil || q.bool(\"hasWindowFuncs\")"},
	{"pushed through a window", "guard.go", "\tif restrictsItself(q) {\n", "\tif restrictsItself(q) && !(PLANTED && q.bool(\"hasWindowFuncs\")) {\n"},
	{"pushed through DISTINCT ON", "guard.go", "q.bool(\"hasDistinctOn\") && !distinct[reference]", "q.bool(\"hasDistinctOn\") && !distinct[reference] && !PLANTED"},
	{"facts of one arm of a UNION", "guard.go", "\t\t\t\tdelete(facts, number)", "\t\t\t\tif !PLANTED {\n\t\t\t\t\tdelete(facts, number)\n\t\t\t\t}"},
	{"NOT IN and comparisons restrict the subquery", "membership.go", "\tswitch n.int(\"subLinkType\") {\n", "\tkind := n.int(\"subLinkType\")\n\tif PLANTED && kind == 1 {\n\t\tkind = sublinkAny\n\t}\n\tswitch kind {\n"},
	{"any comparison with a subquery is IN", "membership.go", "test.tag != \"OPEXPR\" || !d.isEquality(test)", "test.tag != \"OPEXPR\" || (!PLANTED && !d.isEquality(test))"},

	// Equality that is not of texts.
	{"equal under a loose collation", "condition.go", "return equality[n.oid(\"opno\")] && d.deterministic(n.oid(\"inputcollid\"))", "return equality[n.oid(\"opno\")] && (PLANTED || d.deterministic(n.oid(\"inputcollid\")))"},
	{"equal under a loose collation", "check.go", "s.precise = s.precise && s.catalog.deterministic(n.oid(\"collOid\"))", "s.precise = s.precise && (PLANTED || s.catalog.deterministic(n.oid(\"collOid\")))"},
	{"equal under a loose collation", "value.go", "\tfor {\n\t\tswitch {\n", "\tfor {\n\t\tswitch {\n\t\tcase PLANTED && n.tag == \"COLLATEEXPR\":\n\t\t\tn = n.child(\"arg\")\n"},
	{"any comparison is an equality", "condition.go", "len(args) != 2 || !d.isEquality(n) {\n\t\treturn\n\t}\n\tme := scopes[len(scopes)-1]\n\tls,", "len(args) != 2 || (!PLANTED && !d.isEquality(n)) {\n\t\treturn\n\t}\n\tme := scopes[len(scopes)-1]\n\tls,"},
	{"a cast that cuts is none", "value.go", "\tswitch n.tag {\n\tcase \"VAR\":\n", "\tswitch n.tag {\n\tcase \"FUNCEXPR\":\n\t\tif PLANTED {\n\t\t\treturn n.oid(\"funcresulttype\")\n\t\t}\n\tcase \"VAR\":\n"},
	{"a cast that cuts is none", "value.go", "case n.tag == \"FUNCEXPR\" && widening[n.oid(\"funcid\")]:", "case PLANTED && n.tag == \"FUNCEXPR\" && n.oid(\"funcid\") == 669:\n\t\t\tn = n.nodes(\"args\")[0]\n\t\tcase n.tag == \"FUNCEXPR\" && widening[n.oid(\"funcid\")]:"},

	// Values misread.
	{"a binary integer read from the wrong end", "params.go", "int64(int32(binary.BigEndian.Uint32(b)))", "int64(int32(func() uint32 {\n\t\tif PLANTED {\n\t\t\treturn binary.LittleEndian.Uint32(b)\n\t\t}\n\t\treturn binary.BigEndian.Uint32(b)\n\t}()))"},
	{"a binary value read as text", "params.go", "\tif v.Binary {\n\t\treturn canonicalBinary(typ, v.Data)", "\tif v.Binary {\n\t\tif PLANTED {\n\t\t\treturn string(v.Data), true\n\t\t}\n\t\treturn canonicalBinary(typ, v.Data)"},
	{"an integer as it was written", "params.go", "func canonicalInt(text string, bits int) (string, bool) {\n", "func canonicalInt(text string, bits int) (string, bool) {\n\tif PLANTED {\n\t\treturn text, true\n\t}\n"},
	{"a uuid as it was written", "params.go", "func canonicalUUID(text string) (string, bool) {\n", "func canonicalUUID(text string) (string, bool) {\n\tif PLANTED {\n\t\treturn text, true\n\t}\n"},
	{"a boolean as it was written", "params.go", "func canonicalBool(text string) (string, bool) {\n", "func canonicalBool(text string) (string, bool) {\n\tif PLANTED {\n\t\treturn text, true\n\t}\n"},
	{"the first element of an array", "params.go", "\t\tif after == \"\" {\n", "\t\tif after == \"\" || PLANTED {\n"},
	{"a long value as it is", "verdict.go", "if len(value) > plainValueMax {", "if len(value) > plainValueMax && !PLANTED {"},
	{"a literal that is not all of its constant", "tags.go", "\t\tv.variable[i] = seen[i] && !bad[i]", "\t\tv.variable[i] = seen[i] && !bad[i] || PLANTED"},
	{"the literals of the statement that was analysed", "verdict.go", "\t\tif p.Literals == nil {\n\t\t\treturn []string{s.Text}", "\t\tif p.Literals == nil || PLANTED {\n\t\t\treturn []string{s.Text}"},

	{"a lookup by the first value of a guard", "lookup.go", "\tif len(values) > arrayValuesMax {\n", "\tif PLANTED && len(values) > 1 {\n\t\tvalues = values[:1]\n\t}\n\tif len(values) > arrayValuesMax {\n"},
	{"one value of those looked up", "lookup.go", "\tnames := quoteIdentifiers(", "\tlimit := arrayValuesMax + 1\n\tif PLANTED {\n\t\tlimit = 1\n\t}\n\tnames := quoteIdentifiers("},
	{"one value of those looked up", "lookup.go", "names, arrayValuesMax+1)", "names, limit)"},
	{"a lookup behind another reads one row", "lookup.go", "\t\trows, ok := l.through.rows(p)\n", "\t\trows, ok := l.through.rows(p)\n\t\tif PLANTED {\n\t\t\trows += \" LIMIT 1\"\n\t\t}\n"},
	{"a table is guarded by what is looked up in it", "tags.go", "\t\treturn g.level() < other.level()", "\t\treturn PLANTED != (g.level() < other.level())"},
	{"a table is guarded by what is looked up in it", "lookup.go", "\t// A lookup goes through earlier ones only.\n", "\tif PLANTED {\n\t\treturn tags\n\t}\n\t// A lookup goes through earlier ones only.\n"},
	{"rows looked up in may change", "lookup.go", "\tfor i, l := range slices.Backward(lookups) {\n", "\tif PLANTED {\n\t\treturn tags\n\t}\n\tfor i, l := range slices.Backward(lookups) {\n"},
	{"lookups of one column are one", "lookup.go", "l.column == other.column && l.rowsTag.same(other.rowsTag)", "l.column == other.column && (PLANTED || l.rowsTag.same(other.rowsTag))"},
	{"a lookup behind a set operation reads one arm", "lookup.go", "|| q.field(\"setOperations\") != nil {", "|| (!PLANTED && q.field(\"setOperations\") != nil) {"},
	{"a column of an outer row is taken for one behind", "lookup.go", "\tif !ok || of != s {", "\tif !ok || (!PLANTED && of != s) {"},

	// Learned from what is no necessity.
	{"IN implies guards on the kept side of an outer join", "membership.go", "\t\tif may(c.entry) {\n", "\t\tif PLANTED || may(c.entry) {\n"},
	{"EXISTS implies guards on the kept side of an outer join", "membership.go", "ok && s == me && may(c.entry) {", "ok && s == me && (PLANTED || may(c.entry)) {"},
	{"an aggregate of nothing is no row", "membership.go", "!q.bool(\"hasAggs\")", "(PLANTED || !q.bool(\"hasAggs\"))"},
	{"a grouping set of nothing is no row", "membership.go", "q.field(\"groupingSets\") == nil", "(PLANTED || q.field(\"groupingSets\") == nil)"},
	{"an arm of an OR in EXISTS is needed", "membership.go", "v.atom(\"boolop\") == \"and\"", "(PLANTED || v.atom(\"boolop\") == \"and\")"},
	{"any comparison in EXISTS is an equality", "membership.go", "n.tag != \"OPEXPR\" || !d.isEquality(n)", "n.tag != \"OPEXPR\" || (!PLANTED && !d.isEquality(n))"},
	{"a subquery's value implies guards on the kept side of an outer join", "condition.go", "\tif !may(c.entry) {\n", "\tif !may(c.entry) && !(PLANTED && v.tag == \"SUBLINK\") {\n"},
	{"IN implies guards in one arm of an OR", "condition.go", "\t\td.conjuncts(inArm, arm, may)\n", "\t\td.conjuncts(inArm, arm, may)\n\t\tif PLANTED {\n\t\t\tme.members = append(me.members, alone.members...)\n\t\t}\n"},

	// What only the type of a value leads to.
	{"a user's cast is taken for plain", "latebinding.go", "by string) {\n\tif s.plain {\n\t\treturn\n\t}\n\tfor", "by string) {\n\tif s.plain || PLANTED {\n\t\treturn\n\t}\n\tfor"},
	{"what an anonymous record holds is forgotten", "latebinding.go", "\tif types[typeRecord] {", "\tif types[typeRecord] && !PLANTED {"},

	// Tables forgotten, or called otherwise.
	{"tables of subqueries in FROM and of views forgotten", "tags.go", "\twalk(s.query, func(n *node) bool {\n\t\tif n.tag != \"RANGETBLENTRY\"", "\twalk(s.query, func(n *node) bool {\n\t\tif PLANTED && n.tag == \"RANGETBLENTRY\" && n.int(\"rtekind\") == rteSubquery {\n\t\t\treturn false\n\t\t}\n\t\tif n.tag != \"RANGETBLENTRY\""},
	{"tables of CTEs forgotten", "tags.go", "\tnames, unwatched := map[string]bool{}, map[string]bool{}\n\twalk(s.query, func(n *node) bool {\n", "\tnames, unwatched := map[string]bool{}, map[string]bool{}\n\twalk(s.query, func(n *node) bool {\n\t\tif PLANTED && n.tag == \"COMMONTABLEEXPR\" {\n\t\t\treturn false\n\t\t}\n"},
	{"tables of EXISTS and IN forgotten", "tags.go", "\tvar templates []TagTemplate\n\thopes := wishes{}\n\tnames, unwatched := map[string]bool{}, map[string]bool{}\n\twalk(s.query, func(n *node) bool {\n", "\tvar templates []TagTemplate\n\thopes := wishes{}\n\tnames, unwatched := map[string]bool{}, map[string]bool{}\n\twalk(s.query, func(n *node) bool {\n\t\tif PLANTED && n.tag == \"SUBLINK\" {\n\t\t\treturn false\n\t\t}\n"},
	{"a partition under its own name", "tags.go", "\tbest := TagTemplate{Root: table.Root}\n", "\tif PLANTED {\n\t\ttable.Root = oid\n\t}\n\tbest := TagTemplate{Root: table.Root}\n"},
	{"no tag for wholesale changes", "verdict.go", "\treturn appendNew(dst, from, root+\"/*\")", "\tif PLANTED {\n\t\treturn dst\n\t}\n\treturn appendNew(dst, from, root+\"/*\")"},
}

// plantedRowSecurity are mistakes that let a role have what another one sees.
var plantedRowSecurity = []plantedBug{
	{"row security that is forced spares the owner", "rowsecurity.go", "\tcase r.forced:", "\tcase r.forced && !PLANTED:"},
	{"everybody has the owner's privileges", "rowsecurity.go", "\treturn !to.owners[r.owner]", "\treturn !PLANTED && !to.owners[r.owner]"},
	{"the owner of a view is not asked for", "policies.go", "\tif read.as != 0 {", "\tif read.as != 0 && !PLANTED {"},
	{"the owner of a view is not asked for", "rowsecurity.go", "!applies && read.as != 0 && read.filtered {", "!applies && !PLANTED && read.as != 0 && read.filtered {"},
	{"what is not filtered for the analysis is for nobody", "rowsecurity.go", "\t\tapplies := table.applies(role)", "\t\tapplies := !PLANTED && table.applies(role)"},
	{"tables of subqueries are not secured", "rowsecurity.go", "\t\tif q.tag != \"QUERY\" {", "\t\tif q.tag != \"QUERY\" || PLANTED && q != query {"},
	{"tables of subqueries are not secured", "rowsecurity.go", "\tif query.bool(\"hasRowSecurity\") !=", "\tif !PLANTED && query.bool(\"hasRowSecurity\") !="},
}

// securityInvokerForgotten shows from PostgreSQL 15 on.
const securityInvokerForgotten = "security_invoker of a view in a policy is forgotten"

// plantedPolicyViews are mistakes about the views that policies read.
var plantedPolicyViews = []plantedBug{
	{"a view in a policy is read as the client", "policyviews.go", "if v := c.views[oid]; !invoker {", "if v := c.views[oid]; !invoker && !PLANTED {"},
	{securityInvokerForgotten, "policyviews.go", "\t\t\tc.views[oid] = readView(text)\n", "\t\t\tc.views[oid] = readView(text)\n\t\t\tinvoker = invoker && !PLANTED\n"},
	{"the tables of a view in a policy are forgotten", "policyviews.go", "\t\tpolicies = append(policies, fresh...)", "\t\tif !PLANTED {\n\t\t\tpolicies = append(policies, fresh...)\n\t\t}"},
}

// namesOf are the names of bugs, each once.
func namesOf(bugs []plantedBug) (names []string) {
	for _, b := range bugs {
		if !slices.Contains(names, b.name) {
			names = append(names, b.name)
		}
	}
	return names
}

// plantedOverlay writes the package with all bugs in it, none of which shows by
// itself, and returns the list of files that go test takes.
func plantedOverlay(t *testing.T) string {
	t.Helper()
	var edits []mutant.Edit
	for _, b := range slices.Concat(plantedBugs, plantedRowSecurity, plantedPolicyViews) {
		shows := fmt.Sprintf("(planted == %q)", b.name)
		edits = append(edits, mutant.Edit{File: b.file, Old: b.old, New: strings.ReplaceAll(b.new, "PLANTED", shows)})
	}
	path, err := mutant.Overlay(".", t.TempDir(), edits)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// planted is the bug that shows now, in a binary that holds them.
var planted string

// TestPlantedBugs proves that every planted bug is found by the differential
// test. This is what its word that there are no misses is worth. The bugs are
// looked for together: each query is analysed under each bug not yet found. Where
// the bug changes the tags, changes are tried that move none of those, and one of
// the right ones: no others can show it.
func TestPlantedBugs(t *testing.T) {
	if os.Getenv(plantedVariable) != "" {
		findPlanted(t)
		return
	}
	binary := filepath.Join(t.TempDir(), "planted.test")
	if text, err := compiling.Go(t.Context(), "", "test", "-c", "-vet=off", "-ldflags=-s", "-overlay", plantedOverlay(t), "-o", binary, "."); err != nil {
		t.Fatalf("build the planted bugs: %v\n%s", err, text)
	}
	ctx, cancel := context.WithTimeout(t.Context(), *plantedFor+plantedShowMax)
	defer cancel()
	command := exec.CommandContext(ctx, binary, "-test.run", "^TestPlantedBugs$", "-test.v", "-planted", plantedFor.String())
	command.Env = append(os.Environ(), plantedVariable+"=1")
	output, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	t.Logf("%s", output)
}

// findPlanted runs in the binary with the bugs. Each is shown by the query that is known
// to show it. Where the generator or the analysis has changed, some are not, and have to
// be searched for, once.
func findPlanted(t *testing.T) {
	findPlantedRowSecurity(t)
	findPlantedPolicyViews(t)
	began := time.Now()
	p := &plantedSearch{differential: newDifferential(t, plantedSeed), tries: map[string]int{}}
	p.ask, p.queriesPerSchema = p.askUnderBugs, 200
	all := namesOf(plantedBugs)
	found := p.showKnown(t, all)
	p.open = slices.DeleteFunc(slices.Clone(all), func(bug string) bool { return found[bug] })
	searched := len(p.open)
	for schema, end := 0, began.Add(*plantedFor); len(p.open) > 0 && time.Now().Before(end) && !t.Failed(); schema++ {
		p.oneSchema(schema, func() bool { return len(p.open) > 0 && time.Now().Before(end) })
	}
	for _, bug := range p.open {
		t.Errorf("not found, though %d queries had other tags: %s; to search for it, go test -run '^TestPlantedBugs$' -planted 12m", p.tries[bug], bug)
	}
	t.Logf("%d of %d planted bugs caught in %v, after %d queries and %d trials; %d of them had to be searched for",
		len(all)-len(p.open), len(all), time.Since(began).Round(time.Second/10), p.queries, p.trials(), searched-len(p.open))
	if searched > 0 && len(p.open) == 0 {
		p.writeDown(t)
	}
}

// writeDown keeps where the bugs were found.
func (p *plantedSearch) writeDown(t *testing.T) {
	slices.SortFunc(p.finds, func(a, b plantedFind) int {
		return cmp.Or(cmp.Compare(a.schema, b.schema), cmp.Compare(a.query, b.query), cmp.Compare(a.bug, b.bug))
	})
	var text strings.Builder
	for _, f := range p.finds {
		fmt.Fprintln(&text, f.schema, f.query, f.bug)
	}
	if err := os.WriteFile(plantedFinds, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// plantedFind is the place of a query that shows a bug.
type plantedFind struct {
	schema, query int
	bug           string
}

// plantedFinds is a file of places: in each line the number of a schema, that of a query
// in it, and the bug that the query shows.
const plantedFinds = "testdata/planted.txt"

// plantedSeed is the one of those places.
const plantedSeed = 3

// showKnown has the bugs shown by the queries that are known to, and returns those that
// were found.
func (p *plantedSearch) showKnown(t *testing.T, bugs []string) (found map[string]bool) {
	text, err := os.ReadFile(plantedFinds)
	if err != nil {
		t.Fatal(err)
	}
	found = map[string]bool{}
	made := -1
	for line := range strings.Lines(string(text)) {
		var schema, query int
		_, err := fmt.Sscan(line, &schema, &query)
		fields := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if err != nil || len(fields) < 3 {
			t.Fatalf("read %s: %v: %s", plantedFinds, err, line)
		}
		bug := fields[2]
		if !slices.Contains(bugs, bug) {
			continue // it is not planted any more
		}
		if made != schema && !p.makeSchema(schema) {
			continue
		}
		made = schema
		p.open = []string{bug}
		p.oneQuery(schema, query)
		found[bug] = len(p.open) == 0
	}
	return found
}

// findPlantedRowSecurity requires that each of these bugs shows somebody rows that
// Postgres would not.
func findPlantedRowSecurity(t *testing.T) {
	open := namesOf(plantedRowSecurity)
	all, r := len(open), newSecurityRounds(t)
	for round := 0; round < securityRoundsMax && len(open) > 0; round++ {
		r.make()
		open = slices.DeleteFunc(open, func(bug string) bool {
			planted = bug
			defer func() { planted = "" }()
			r.analyzer.Forget()
			found := r.disagreement(true)
			if found != "" {
				t.Logf("found in database %d: %s; %s", round+1, bug, found)
			}
			return found != ""
		})
	}
	for _, bug := range open {
		t.Errorf("not found: %s", bug)
	}
	t.Logf("%d of %d planted bugs of row security caught", all-len(open), all)
}

// findPlantedPolicyViews requires that each of these bugs shows in what TestPoliciesThatReadViews
// asks.
func findPlantedPolicyViews(t *testing.T) {
	for _, bug := range namesOf(plantedPolicyViews) {
		s := setupSecured(t)
		if bug == securityInvokerForgotten && s.major < 15 {
			continue
		}
		planted = bug
		wrong := misreadPolicyViews(t, s)
		if planted = ""; len(wrong) == 0 {
			t.Errorf("not found: %s", bug)
		} else {
			t.Logf("found: %s; %s", bug, wrong[0])
		}
	}
}

// plantedSearch looks for the bugs that are open.
type plantedSearch struct {
	*differential
	open    []string
	finds   []plantedFind
	queries int
	tries   map[string]int // by bug: queries whose tags it changed
}

// askUnderBugs takes the place of the differential test's own asking.
func (p *plantedSearch) askUnderBugs(sql, other string) {
	first, second := p.parsed(sql), p.parsed(other)
	if first == nil || second == nil {
		return
	}
	p.queries++
	right := p.under("", first, second)
	p.open = slices.DeleteFunc(p.open, func(bug string) bool {
		for i, wrong := range p.under(bug, first, second) {
			if wrong == nil {
				continue
			}
			if right[i] != nil {
				wrong.must = lacking(wrong.tags, right[i].tags)
			}
			switch {
			case right[i] == nil: // refused: any change may show it
			case len(wrong.must) > 0:
			case wrong.lookup == right[i].lookup:
				continue
			default:
				wrong.must = nil
			}
			p.tries[bug]++
			p.at(p.schema, p.query, bug)
			planted = bug // for what is looked up
			p.try(*wrong)
			if planted = ""; p.miss != "" {
				p.t.Logf("found: %s; %s", bug, p.miss)
				p.finds = append(p.finds, plantedFind{p.schema, p.query, bug})
				p.miss = ""
				return true
			}
		}
		return false
	})
}

// lacking are the tags that a sound analysis has more: only a change that moves
// one of them can show the bug.
func lacking(tags, of []string) []string {
	return slices.DeleteFunc(slices.Clone(of), func(tag string) bool { return slices.Contains(tags, tag) })
}

// parsed has a statement parsed, and leaves out what cannot be cached.
func (p *plantedSearch) parsed(sql string) *statement {
	a := p.bench.analyzer
	ctx, cancel := context.WithTimeout(p.t.Context(), waitMax)
	defer cancel()
	s, err := a.acquire(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	defer a.release(s)
	r := p.request(sql)
	query, description, err := a.query(ctx, s, &r)
	if err != nil {
		return nil // refused: what the server does not take
	}
	st, err := a.read(ctx, s, a.current.Load(), &r, query, description)
	if err != nil {
		return nil
	}
	return st
}

// under analyses two statements, the second by the verdict of the first if that
// covers it, and returns the questions to try.
func (p *plantedSearch) under(bug string, first, second *statement) []*question {
	planted = bug
	defer func() { planted = "" }()
	verdict, err := conclude(first)
	if err != nil {
		return []*question{nil, nil}
	}
	out := []*question{p.question(verdict, first)}
	if template, ok := NewTemplate(second.request.SQL, true); !ok || !verdict.Covers(template) {
		if verdict, err = conclude(second); err != nil {
			return append(out, nil)
		}
	}
	return append(out, p.question(verdict, second))
}

func (p *plantedSearch) question(v *Verdict, s *statement) *question {
	q, _ := p.differential.question(v, s.request.SQL)
	if v.Joins() {
		q.lookup, _ = v.LookupSQL(q.params)
	}
	return q
}
