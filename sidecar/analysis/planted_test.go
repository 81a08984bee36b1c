package analysis

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var plantedFor = flag.Duration("planted", 60*time.Second, "how long the differential test may take to find one planted bug")

// plantedVariable names, in the environment of a test binary with planted bugs,
// the one that is to show.
const plantedVariable = "FRESHET_PLANTED_BUG"

// plantedBug is a mistake an analyser could make. In the text of new, PLANTED
// stands for "this bug shows".
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
	{"the merged column of a full join is the left one", "value.go", "\t\talias, ok := aliases[c.number-1].(*node)\n", "\t\talias, ok := aliases[c.number-1].(*node)\n\t\tif PLANTED && ok && alias.tag == \"COALESCEEXPR\" {\n\t\t\talias = alias.nodes(\"args\")[0]\n\t\t}\n"},
	{"HAVING guards", "guard.go", "\tsort.Ints(used)\n", "\tsort.Ints(used)\n\tif PLANTED {\n\t\td.conjuncts(scopes, me.query.field(\"havingQual\"), anyEntry)\n\t}\n"},
	{"ALL is taken for ANY", "condition.go", "!n.bool(\"useOr\") || ", "(!n.bool(\"useOr\") && !PLANTED) || "},
	{"a condition on an outer row is one on the own", "condition.go", "case lok && ls == me:", "case lok && (PLANTED || ls == me):"},
	{"IS NOT TRUE is IS TRUE", "condition.go", "\tcase 0:\n", "\tcase 1:\n\t\tif PLANTED {\n\t\t\tlearn(c, boolGuard(true))\n\t\t}\n\tcase 0:\n"},

	// Guards pushed too far.
	{"pushed through LIMIT", "guard.go", "\treturn q.field(\"limitCount\") != nil || q.field(\"limitOffset\") != nil || q.bool(\"hasWindowFuncs\")", "\treturn !PLANTED && q.field(\"limitCount\") != nil || q.field(\"limitOffset\") != nil || q.bool(\"hasWindowFuncs\")"},
	{"pushed through a window", "guard.go", "\tif restrictsItself(q) {\n", "\tif restrictsItself(q) && !(PLANTED && q.bool(\"hasWindowFuncs\")) {\n"},
	{"pushed through grouping sets", "guard.go", "if len(told) == 0 || q.field(\"groupingSets\") != nil {", "if len(told) == 0 || (q.field(\"groupingSets\") != nil && !PLANTED) {"},
	{"pushed through DISTINCT ON", "guard.go", "q.bool(\"hasDistinctOn\") && !distinct[reference]", "q.bool(\"hasDistinctOn\") && !distinct[reference] && !PLANTED"},
	{"facts of one arm of a UNION", "guard.go", "\t\t\t\tdelete(facts, number)", "\t\t\t\tif !PLANTED {\n\t\t\t\t\tdelete(facts, number)\n\t\t\t\t}"},
	{"NOT IN and comparisons tell the subquery", "condition.go", "n.int(\"subLinkType\") != sublinkAny", "(!PLANTED && n.int(\"subLinkType\") != sublinkAny)"},
	{"any comparison with a subquery is IN", "condition.go", "test.tag != \"OPEXPR\" || !d.isEquality(test)", "test.tag != \"OPEXPR\" || (!PLANTED && !d.isEquality(test))"},

	// Equality that is not of texts.
	{"equal under a loose collation", "condition.go", "return equality[n.oid(\"opno\")] && d.deterministic(n.oid(\"inputcollid\"))", "return equality[n.oid(\"opno\")] && (PLANTED || d.deterministic(n.oid(\"inputcollid\")))"},
	{"equal but for trailing blanks", "condition.go", "return equality[n.oid(\"opno\")] && d", "return (equality[n.oid(\"opno\")] || PLANTED && n.oid(\"opno\") == 1054) && d"},
	{"any comparison is an equality", "condition.go", "len(args) != 2 || !d.isEquality(n) {\n\t\treturn\n\t}\n\tme := scopes[len(scopes)-1]\n\tls,", "len(args) != 2 || (!PLANTED && !d.isEquality(n)) {\n\t\treturn\n\t}\n\tme := scopes[len(scopes)-1]\n\tls,"},
	{"a cast that cuts is none", "value.go", "case n.tag == \"FUNCEXPR\" && widening[n.oid(\"funcid\")]:", "case PLANTED && n.tag == \"FUNCEXPR\" && n.oid(\"funcid\") == 669:\n\t\t\tn = n.nodes(\"args\")[0]\n\t\tcase n.tag == \"FUNCEXPR\" && widening[n.oid(\"funcid\")]:"},

	// Values misread.
	{"a binary integer read from the wrong end", "params.go", "int64(int32(binary.BigEndian.Uint32(b)))", "int64(int32(plantedEndian(PLANTED).Uint32(b)))"},
	{"a binary value read as text", "params.go", "\tif v.Binary {\n\t\treturn canonicalBinary(typ, v.Data)", "\tif v.Binary {\n\t\tif PLANTED {\n\t\t\treturn string(v.Data), true\n\t\t}\n\t\treturn canonicalBinary(typ, v.Data)"},
	{"an integer as it was written", "params.go", "func canonicalInt(text string, bits int) (string, bool) {\n", "func canonicalInt(text string, bits int) (string, bool) {\n\tif PLANTED {\n\t\treturn text, true\n\t}\n"},
	{"a uuid as it was written", "params.go", "func canonicalUUID(text string) (string, bool) {\n", "func canonicalUUID(text string) (string, bool) {\n\tif PLANTED {\n\t\treturn text, true\n\t}\n"},
	{"a boolean as it was written", "params.go", "func canonicalBool(text string) (string, bool) {\n", "func canonicalBool(text string) (string, bool) {\n\tif PLANTED {\n\t\treturn text, true\n\t}\n"},
	{"the first element of an array", "params.go", "\t\tif after == \"\" {\n", "\t\tif after == \"\" || PLANTED {\n"},
	{"a long value as it is", "verdict.go", "if len(value) > plainValueMax {", "if len(value) > plainValueMax && !PLANTED {"},
	{"a literal that is not all of its constant", "tags.go", "\t\tv.variable[i] = seen[i] && !bad[i]", "\t\tv.variable[i] = seen[i] && !bad[i] || PLANTED"},
	{"the literals of the statement that was analysed", "verdict.go", "\t\tif p.Literals == nil {\n\t\t\treturn []string{s.Text}", "\t\tif p.Literals == nil || PLANTED {\n\t\t\treturn []string{s.Text}"},

	// Tables forgotten, or called otherwise.
	{"tables of subqueries in FROM and of views forgotten", "tags.go", "\twalk(s.query, func(n *node) bool {\n\t\tif n.tag != \"RANGETBLENTRY\"", "\twalk(s.query, func(n *node) bool {\n\t\tif PLANTED && n.tag == \"RANGETBLENTRY\" && n.int(\"rtekind\") == rteSubquery {\n\t\t\treturn false\n\t\t}\n\t\tif n.tag != \"RANGETBLENTRY\""},
	{"tables of CTEs forgotten", "tags.go", "\tnames := map[string]bool{}\n\twalk(s.query, func(n *node) bool {\n", "\tnames := map[string]bool{}\n\twalk(s.query, func(n *node) bool {\n\t\tif PLANTED && n.tag == \"COMMONTABLEEXPR\" {\n\t\t\treturn false\n\t\t}\n"},
	{"tables of EXISTS and IN forgotten", "tags.go", "\tvar templates []TagTemplate\n\tnames := map[string]bool{}\n\twalk(s.query, func(n *node) bool {\n", "\tvar templates []TagTemplate\n\tnames := map[string]bool{}\n\twalk(s.query, func(n *node) bool {\n\t\tif PLANTED && n.tag == \"SUBLINK\" {\n\t\t\treturn false\n\t\t}\n"},
	{"a partition under its own name", "tags.go", "\tbest := TagTemplate{Root: table.Root}\n", "\tif PLANTED {\n\t\ttable.Root = oid\n\t}\n\tbest := TagTemplate{Root: table.Root}\n"},
	{"one visit of several counts", "tags.go", "\t\tfor _, guards := range visits {\n", "\t\tfor i, guards := range visits {\n\t\t\tif PLANTED && i > 0 {\n\t\t\t\tbreak\n\t\t\t}\n"},
	{"no tag for wholesale changes", "verdict.go", "\treturn appendNew(dst, from, root+\"/*\")", "\tif PLANTED {\n\t\treturn dst\n\t}\n\treturn appendNew(dst, from, root+\"/*\")"},
}

// plantedSource is what the planted bugs need beside their own text.
const plantedSource = `
package analysis

import (
	"encoding/binary"
	"os"
)

var planted = os.Getenv("` + plantedVariable + `")

func plantedEndian(show bool) binary.ByteOrder {
	if show {
		return binary.LittleEndian
	}
	return binary.BigEndian
}
`

// plantedOverlay writes the package with all bugs in it, none of which shows by
// itself, and returns the list of files that go test takes. The source is left
// alone.
func plantedOverlay(t *testing.T) string {
	t.Helper()
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{"planted.go": plantedSource}
	for _, b := range plantedBugs {
		if sources[b.file] == "" {
			text, err := os.ReadFile(b.file)
			if err != nil {
				t.Fatal(err)
			}
			sources[b.file] = string(text)
		}
		if n := strings.Count(sources[b.file], b.old); n != 1 {
			t.Fatalf("%s holds the text of planted bug %q %d times, want once:\n%s", b.file, b.name, n, b.old)
		}
		shows := fmt.Sprintf("(planted == %q)", b.name)
		sources[b.file] = strings.Replace(sources[b.file], b.old, strings.ReplaceAll(b.new, "PLANTED", shows), 1)
	}
	dir, replace := t.TempDir(), map[string]string{}
	for name, text := range sources {
		replace[filepath.Join(here, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var trialsForm = regexp.MustCompile(`(\d+) trials, (\d+) misses`)

// Every planted bug is found by the differential test. This is what its word that
// there are no misses is worth.
func TestPlantedBugs(t *testing.T) {
	if os.Getenv(plantedVariable) != "" {
		t.Fatal("a binary with planted bugs runs TestDifferential, not this")
	}
	binary := filepath.Join(t.TempDir(), "planted.test")
	if text, err := exec.Command("go", "test", "-c", "-overlay", plantedOverlay(t), "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the planted bugs: %v\n%s", err, text)
	}
	began, caught := time.Now(), 0
	for _, b := range plantedBugs {
		t.Run(strings.ReplaceAll(b.name, " ", "-"), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), *plantedFor+time.Minute)
			defer cancel()
			command := exec.CommandContext(ctx, binary, "-test.run", "^TestDifferential$", "-test.v", "-differential", plantedFor.String())
			command.Env = append(os.Environ(), plantedVariable+"="+b.name)
			output, err := command.CombinedOutput()
			said := trialsForm.FindStringSubmatch(string(output))
			switch {
			case err == nil:
				t.Errorf("not found: %s", output)
			case said == nil || said[2] == "0":
				t.Errorf("failed otherwise than by a miss: %s", output)
			default:
				caught++
				t.Logf("found after %s trials", said[1])
			}
		})
	}
	t.Logf("%d of %d planted bugs caught in %v", caught, len(plantedBugs), time.Since(began).Round(time.Second))
}
