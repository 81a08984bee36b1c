package check

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mutant is a product with one rule taken away.
type mutant struct {
	name  string
	edits []edit
	// faults under which the missing rule shows.
	faults string
	// breaks are the promises of which one at least must be found broken. Empty:
	// any of them, as the first violation ends the run.
	breaks []Promise
	// invents is set if answers may be served that never were in the database. The
	// registers then expect what is not there of sessions on PostgreSQL itself.
	invents bool
}

// edit replaces text that stands exactly once in a file of the product.
type edit struct{ file, old, new string }

// mutants are the rules of the protocol, each taken away.
var mutants = []mutant{
	{
		name:   "the fence is off",
		edits:  []edit{{"cache/fence/fence.go", "if generation == 0 {\n\t\treturn false\n\t}", "if generation != 0 {\n\t\treturn true\n\t}"}},
		faults: "none",
	},
	{
		name:   "the label is taken after the load",
		edits:  []edit{{"sidecar/wire/capture.go", "Start: c.start,", "Start: func() cache.Start { s, _ := to.Begin(); return s }(),"}},
		faults: "link-freeze",
	},
	{
		name:   "no floor",
		edits:  []edit{{"cache/fence/fence.go", " || !t.label.Lower.Includes(*f.floor.Load())", ""}},
		faults: "trim",
	},
	{
		name:   "no trim mark",
		edits:  []edit{{"invalidation/looker.go", "case !l.head.Includes(s.mark):", "case false:"}},
		faults: "trim",
	},
	{
		name:   "no incarnation",
		edits:  []edit{{"invalidation/schema/base.sql", "SELECT md5(concat_ws('/',", "SELECT coalesce('one', concat_ws('/',"}},
		faults: "backend-kill",
	},
	{
		name:   "sessions do not prove on which server they are",
		edits:  []edit{{"sidecar/wire/obtain.go", "return head != nil && head.Incarnation == s.state.incarnation", "return head != nil"}},
		faults: "split-brain",
	},
	{
		name:   "a look asks for what is above the last id",
		edits:  []edit{{"invalidation/look.go", " OR o.xid = ANY ($2) ", " OR o.xid = ANY ($2) AND false "}},
		faults: "none",
	},
	{
		name:   "an event is dropped",
		edits:  []edit{{"invalidation/look.go", "\t\ts.add(fence.XID(*xid), texts)", "\t\tif *xid%8 != 0 {\n\t\t\ts.add(fence.XID(*xid), texts)\n\t\t}"}},
		faults: "none",
	},
	{
		name:   "the clock advances before the events are filed",
		edits:  []edit{{"cache/fence/fence.go", "\tf.apply(events, &f.head.Load().Snapshot, &head.Snapshot)", "\tf.lookBegan.Store(int64(began))\n\ttime.Sleep(20 * time.Millisecond)\n\tf.apply(events, &f.head.Load().Snapshot, &head.Snapshot)"}},
		faults: "none",
	},
	{
		name:   "an old head is taken for fresh",
		edits:  []edit{{"cache/cache.go", "return began != 0 && began >= s.Demand(now, c.options.Staleness) && s.Reached(c.fence.Head())", "return began != 0"}},
		faults: "follower-freeze",
	},
	{
		name:   "a look is dated by its end",
		edits:  []edit{{"invalidation/looker.go", "l.publish(s, cause, began)", "l.publish(s, cause, fence.Now())"}},
		faults: "none",
	},
	{
		name:   "the staleness that a session sets is ignored",
		edits:  []edit{{"cache/fence/session.go", "if own := s.staleness.Load(); own > 0 {", "if own := s.staleness.Load(); own < 0 {"}},
		faults: "follower-freeze",
		breaks: []Promise{Bounded},
	},
	{
		name:   "what a session needs is ignored",
		edits:  []edit{{"cache/fence/session.go", "return max(s.Need(), now.Add(-staleness))", "return now.Add(-staleness)"}},
		faults: "none",
	},
	{
		name:   "own writes are not confirmed",
		edits:  []edit{{"sidecar/wire/query.go", "\t\ts.reads.Received(s.now)\n", ""}},
		faults: "none",
		breaks: []Promise{OwnWrites, Monotonic},
	},
	{
		name:   "a hit does not count as seen",
		edits:  []edit{{"cache/cache.go", "\tif s != nil {\n\t\ts.Received(e.Ticket.Loaded())\n\t}\n\treturn Hit", "\treturn Hit"}},
		faults: "follower-freeze",
		breaks: []Promise{Monotonic, Across},
	},
	{
		name:   "the upper bound of what Redis holds is ignored",
		edits:  []edit{{"cache/remote.go", "if c.fence.Settled(r.label) {", "if true {"}},
		faults: "follower-freeze",
		breaks: []Promise{Monotonic, Across},
	},
	{
		name:   "Redis is believed about the key",
		edits:  []edit{{"cache/remote.go", "if !ok || string(r.key) != string(key) {", "if !ok {"}},
		faults: "redis-garbage", invents: true,
	},
	{
		name:   "Redis is believed about the bytes",
		edits:  []edit{{"cache/envelope.go", "binary.LittleEndian.Uint64(src[len(envelopeMagic):]) != xxhash.Sum64(src[flagsAt:])", "false"}},
		faults: "redis-garbage", invents: true,
	},
	{
		name:   "a flight is shared with who came too late",
		edits:  []edit{{"cache/flight.go", "if present && !e.Ticket.Label().Replica && e.began != 0 && e.began >= f.arrived {", "if present && e.began != 0 {"}},
		faults: "link-freeze",
	},
	{
		name:   "strong is not strong",
		edits:  []edit{{"cache/fence/session.go", "if s != nil && Level(s.level.Load()) == Strong {", "if false {"}},
		faults: "none",
		breaks: []Promise{Strong, Linear},
	},
	{
		name:   "a transaction may read what is older than its BEGIN",
		edits:  []edit{{"sidecar/wire/block.go", "\t\ts.reads.Received(b.began)\n", ""}},
		faults: "none",
		breaks: []Promise{Block},
	},
	{
		name:   "a token demands nothing",
		edits:  []edit{{"cache/fence/session.go", "if !after.sameIncarnation(h) || !h.Snapshot.Includes(after.Snapshot) {", "if false {"}},
		faults: "follower-freeze",
		breaks: []Promise{Causal},
	},
}

// root is the top of the source tree.
func root(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// overlay writes the mutant's files and the list of them that go build takes,
// and returns the list's path. The tree itself is left alone.
func (m mutant) overlay(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	texts := map[string]string{}
	for _, e := range m.edits {
		path := filepath.Join(root(t), e.file)
		if _, known := texts[path]; !known {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[path] = string(text)
		}
		if n := strings.Count(texts[path], e.old); n != 1 {
			t.Fatalf("%s holds the text of mutant %q %d times, want once: the rule has moved, so must the mutant:\n%s", e.file, m.name, n, e.old)
		}
		texts[path] = strings.Replace(texts[path], e.old, e.new, 1)
	}
	replace := map[string]string{}
	for path, text := range texts {
		changed := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[path] = changed
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

// Every rule taken away is found missing. This is what the checker's word that
// nothing is broken is worth.
func TestMutantsAreCaught(t *testing.T) {
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			program := build(t, "freshet", "./sidecar/freshet", "-overlay", m.overlay(t))
			report := run(t, exitBroken, "--program", program, "--faults", m.faults, "--duration", "45s", "--stop", "--quiet")
			broken := brokenPromises(report)
			if len(m.breaks) > 0 && !slices.ContainsFunc(broken, func(p Promise) bool { return slices.Contains(m.breaks, p) }) {
				t.Errorf("broken are %q, want one of %q", broken, m.breaks)
			}
			if !m.invents && report.Row(Control, All).Violations > 0 {
				t.Errorf("sessions on PostgreSQL itself are found wrong: %q", report.Examples)
			}
			t.Logf("caught after %v and %d reads: %q", report.Duration, report.Reads, report.Examples[:min(1, len(report.Examples))])
		})
	}
}

func brokenPromises(r Report) []Promise {
	var broken []Promise
	for _, p := range Promises {
		if r.Row(p, All).Violations > 0 {
			broken = append(broken, p)
		}
	}
	return broken
}

// build builds a command without the race detector: what runs as a process runs
// at the speed of users.
func build(t *testing.T, name, pkg string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	command := exec.Command("go", append(append([]string{"build"}, flags...), "-o", path, pkg)...)
	command.Dir = root(t)
	if text, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, text)
	}
	return path
}
