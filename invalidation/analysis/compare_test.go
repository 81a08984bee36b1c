package analysis

import (
	"bytes"
	"context"
	"flag"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

var updateFacts = flag.Bool("update", false, "write down in facts.txt what this server's version shows; FRESHET_PG_BIN names another")

// compared compares the tests' server, as an ordinary role.
func compared(t *testing.T, dial func(context.Context, string, string) (net.Conn, error)) *Comparison {
	t.Helper()
	pg := servers.SharedPostgres(t)
	config, err := pgx.ParseConfig(pg.FollowerDSN(pg.CreateDatabase(t)))
	if err != nil {
		t.Fatal(err)
	}
	if dial != nil {
		config.DialFunc = dial
	}
	c, err := Compare(t.Context(), Options{ConnConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestComparison tries this server as if its version were unknown: nothing differs from what is
// written down of it.
func TestComparison(t *testing.T) {
	if *updateFacts {
		writeFacts(t)
	}
	c := compared(t, nil)
	if !c.Same() || !c.Tested || c.With != majorVersion(c.Version) || c.Statements != len(comparedStatements) || c.Nodes < 40 {
		t.Errorf("of PostgreSQL %s %d statements and %d kinds of nodes were tried; with %d differ\n%s\n%v\nif that is right: go test -run TestComparison -update",
			c.Version, c.Statements, c.Nodes, c.With, strings.Join(c.Trees, "\n"), c.Verdicts)
	}
}

// Every kind of node that statements can have is met, in each version that was tested.
func TestComparisonMeetsEveryNode(t *testing.T) {
	t.Parallel()
	rare := newSet("CONVERTROWTYPEEXPR") // needs tables that inherit
	first, last := TestedVersions()
	met := map[string]bool{}
	for major := first; major <= last; major++ {
		known, err := factsOf(knownFacts, major)
		if err != nil {
			t.Fatal(err)
		}
		if len(known.verdicts) != len(comparedStatements) {
			t.Errorf("PostgreSQL %d: %d verdicts are written down, of %d statements", major, len(known.verdicts), len(comparedStatements))
		}
		for tag := range known.kinds {
			met[tag] = true
		}
	}
	for tag := range knownNodes {
		if !met[tag] && !rare[tag] {
			t.Errorf("no statement has a node %s", tag)
		}
	}
}

// A server that prints trees otherwise is told from those that were tested: what is new, what is
// missing, and which statements would pass through.
func TestComparisonNamesWhatDiffers(t *testing.T) {
	alter := func(old, new string) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return &alteredConn{Conn: conn, old: []byte(old), new: []byte(new)}, err
		}
	}
	for _, c := range []struct {
		old, new  string // of one length
		trees     []string
		statement string
		here      string
	}{
		{":limitCount", ":limitNumbr", []string{"field QUERY.limitCount is missing", "field QUERY.limitNumbr is new"}, comparedStatements[0], "no: unknown_node (QUERY without limitCount)"},
		{"{OPEXPR", "{OPEXPQ", []string{"node OPEXPR is missing", "node OPEXPQ is new"}, comparedStatements[0], "no: unknown_node (OPEXPQ)"},
	} {
		got := compared(t, alter(c.old, c.new))
		for _, tree := range c.trees {
			if !slices.Contains(got.Trees, tree) {
				t.Errorf("%s for %s: %q is not named among %q", c.new, c.old, tree, got.Trees)
			}
		}
		if !slices.ContainsFunc(got.Verdicts, func(d VerdictDifference) bool { return d.Statement == c.statement && d.Here == c.here && d.There != "" }) {
			t.Errorf("%s for %s: the verdict on %s does not differ as it should: %+v", c.new, c.old, c.statement, got.Verdicts)
		}
	}
}

// Kinds of values that differ are named, too; and a version's facts are only its own.
func TestFactsOfVersions(t *testing.T) {
	t.Parallel()
	const text = "1,2 {A x:a y:-n\n2 {A z:l\n1 no: clock = SELECT 1\n2 cached = SELECT 1\n"
	one, err := factsOf(text, 1)
	if err != nil {
		t.Fatal(err)
	}
	two, err := factsOf(text, 2)
	if err != nil {
		t.Fatal(err)
	}
	two.kinds["A"]["x"] = "-a"
	c := &Comparison{}
	c.compare(one, two)
	want := []string{"field A.z is missing", "field A.x holds a value, and not nothing or a value"}
	if !slices.Equal(c.Trees, want) || one.verdicts["SELECT 1"] != "no: clock" || two.verdicts["SELECT 1"] != "cached" {
		t.Errorf("%q, want %q; verdicts %v and %v", c.Trees, want, one.verdicts, two.verdicts)
	}
	if _, err := factsOf("nonsense", 1); err == nil {
		t.Error("nonsense is read")
	}
}

// alteredConn has one text stand for another in all that a server says.
type alteredConn struct {
	net.Conn
	old, new, read []byte
	// held may be the beginning of old.
	held []byte
}

func (c *alteredConn) Read(to []byte) (int, error) {
	for len(c.read) == 0 {
		buffer := make([]byte, 64<<10)
		n, err := c.Conn.Read(buffer)
		if n == 0 && err != nil {
			return 0, err
		}
		all := bytes.ReplaceAll(append(c.held, buffer[:n]...), c.old, c.new)
		keep := 0
		for i := 1; i < len(c.old) && i <= len(all); i++ {
			if bytes.HasSuffix(all, c.old[:i]) {
				keep = i
			}
		}
		c.read, c.held = all[:len(all)-keep], slices.Clone(all[len(all)-keep:])
	}
	n := copy(to, c.read)
	c.read = c.read[n:]
	return n, nil
}

// writeFacts replaces what is written down of this server's version.
func writeFacts(t *testing.T) {
	t.Helper()
	pg := servers.SharedPostgres(t)
	config, err := pgx.ParseConfig(pg.FollowerDSN(pg.CreateDatabase(t)))
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{ConnConfig: config, Watch: func() Watch { return comparedTables{} }, AnyVersion: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	s, err := a.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer a.release(s)
	found, err := a.gatherFacts(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile("facts.txt")
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string][]string{}
	for major := range supportedMajors {
		known, err := factsOf(string(written), major)
		if err != nil {
			t.Fatal(err)
		}
		if major == majorVersion(s.conn.PgConn().ParameterStatus("server_version")) {
			known = found
		}
		for _, line := range factLines(known) {
			versions[line] = append(versions[line], strconv.Itoa(major))
		}
	}
	text := factText(versions)
	if err := os.WriteFile("facts.txt", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	knownFacts = text
}

// factText is the text of facts with the versions that have them. Fields of one node that the same
// versions have stand in one line.
func factText(versions map[string][]string) string {
	lines := map[string]string{}
	for _, fact := range slices.Sorted(maps.Keys(versions)) {
		slices.Sort(versions[fact])
		of := strings.Join(versions[fact], ",") + " "
		if tag, field, ok := strings.Cut(fact, " "); ok && fact[0] == '{' {
			lines[of+tag] += " " + field
			continue
		}
		lines[of+fact] = ""
	}
	var text strings.Builder
	for _, line := range slices.Sorted(maps.Keys(lines)) {
		text.WriteString(line + lines[line] + "\n")
	}
	return text.String()
}

// factLines are the facts of one version, each by itself.
func factLines(f *facts) (lines []string) {
	for tag, fields := range f.kinds {
		for name, kind := range fields {
			lines = append(lines, "{"+tag+" "+name+":"+kind)
		}
	}
	for sql, verdict := range f.verdicts {
		if slices.Contains(comparedStatements, sql) {
			lines = append(lines, verdict+" = "+sql)
		}
	}
	return lines
}
