package check

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/mutant"
)

// omission is one rule of the protocol taken away, which makes a mutant of the
// product.
type omission struct {
	name  string
	edits []mutant.Edit
	// faults under which the missing rule shows.
	faults string
	// breaks are the promises of which one at least must be found broken. Empty:
	// any of them, as the first violation ends the run.
	breaks []Promise
	// invents is set if answers may be served that never were in the database. The
	// registers then expect what is not there of sessions on PostgreSQL itself.
	invents bool
}

// mutants are the rules of the protocol, each taken away.
var mutants = []omission{
	{
		name:   "the fence is off",
		edits:  []mutant.Edit{{File: "cache/fence/fence.go", Old: "if generation == 0 {\n\t\treturn false\n\t}", New: "if generation != 0 {\n\t\treturn true\n\t}"}},
		faults: "none",
	},
	{
		name:   "the label is taken after the load",
		edits:  []mutant.Edit{{File: "sidecar/wire/capture.go", Old: "Start: c.start,", New: "Start: func() cache.Start { s, _ := to.Begin(); return s }(),"}},
		faults: "link-freeze",
	},
	{
		name:   "no floor",
		edits:  []mutant.Edit{{File: "cache/fence/fence.go", Old: " || !t.label.Lower.Includes(*f.floor.Load())", New: ""}},
		faults: "trim",
	},
	{
		name:   "no trim mark",
		edits:  []mutant.Edit{{File: "invalidation/looker.go", Old: "case !l.head.Includes(s.mark):", New: "case false:"}},
		faults: "trim",
	},
	{
		name:   "no incarnation",
		edits:  []mutant.Edit{{File: "invalidation/schema/base.sql", Old: "SELECT md5(concat_ws('/',", New: "SELECT coalesce('one', concat_ws('/',"}},
		faults: "backend-kill",
	},
	{
		name:   "sessions do not prove on which server they are",
		edits:  []mutant.Edit{{File: "sidecar/wire/obtain.go", Old: "return head != nil && head.Incarnation == s.state.incarnation", New: "return head != nil"}},
		faults: "split-brain",
	},
	{
		name:   "a look asks for what is above the last id",
		edits:  []mutant.Edit{{File: "invalidation/look.go", Old: " OR o.xid = ANY ($2) ", New: " OR o.xid = ANY ($2) AND false "}},
		faults: "none",
	},
	{
		name:   "an event is dropped",
		edits:  []mutant.Edit{{File: "invalidation/look.go", Old: "\t\ts.add(fence.XID(*xid), texts)", New: "\t\tif *xid%8 != 0 {\n\t\t\ts.add(fence.XID(*xid), texts)\n\t\t}"}},
		faults: "none",
	},
	{
		name:   "the clock advances before the events are filed",
		edits:  []mutant.Edit{{File: "cache/fence/fence.go", Old: "\tf.apply(events, &f.head.Load().Snapshot, &head.Snapshot)", New: "\tf.lookBegan.Store(int64(began))\n\ttime.Sleep(20 * time.Millisecond)\n\tf.apply(events, &f.head.Load().Snapshot, &head.Snapshot)"}},
		faults: "none",
	},
	{
		name:   "an old head is taken for fresh",
		edits:  []mutant.Edit{{File: "cache/cache.go", Old: "return began != 0 && began >= s.Demand(now, c.options.Staleness) && s.Reached(c.fence.Head())", New: "return began != 0"}},
		faults: "follower-freeze",
	},
	{
		name:   "a look is dated by its end",
		edits:  []mutant.Edit{{File: "invalidation/looker.go", Old: "l.publish(s, cause, began)", New: "l.publish(s, cause, fence.Now())"}},
		faults: "follower-delay",
	},
	{
		name:   "the staleness that a session sets is ignored",
		edits:  []mutant.Edit{{File: "cache/fence/session.go", Old: "if own := s.staleness.Load(); own > 0 {", New: "if own := s.staleness.Load(); own < 0 {"}},
		faults: "follower-freeze",
		breaks: []Promise{Bounded},
	},
	{
		name:   "what a session needs is ignored",
		edits:  []mutant.Edit{{File: "cache/fence/session.go", Old: "return max(s.Need(), now.Add(-staleness))", New: "return now.Add(-staleness)"}},
		faults: "none",
	},
	{
		name:   "own writes are not confirmed",
		edits:  []mutant.Edit{{File: "sidecar/wire/query.go", Old: "\t\ts.reads.Received(s.now)\n", New: ""}},
		faults: "none",
		breaks: []Promise{OwnWrites, Monotonic},
	},
	{
		name:   "a hit does not count as seen",
		edits:  []mutant.Edit{{File: "cache/cache.go", Old: "\tif s != nil {\n\t\ts.Received(e.Ticket.Loaded())\n\t}\n\treturn Hit", New: "\treturn Hit"}},
		faults: "follower-freeze",
		breaks: []Promise{Monotonic, Across},
	},
	{
		name:   "the upper bound of what Redis holds is ignored",
		edits:  []mutant.Edit{{File: "cache/remote.go", Old: "if c.fence.Settled(r.label) {", New: "if true {"}},
		faults: "follower-freeze",
		breaks: []Promise{Monotonic, Across},
	},
	{
		name:   "Redis is believed about the key",
		edits:  []mutant.Edit{{File: "cache/remote.go", Old: "if !ok || string(r.key) != string(key) {", New: "if !ok {"}},
		faults: "redis-garbage", invents: true,
	},
	{
		name:   "Redis is believed about the bytes",
		edits:  []mutant.Edit{{File: "cache/envelope.go", Old: "binary.LittleEndian.Uint64(src[len(envelopeMagic):]) != xxhash.Sum64(src[flagsAt:])", New: "false"}},
		faults: "redis-garbage", invents: true,
	},
	{
		name:   "a flight is shared with who came too late",
		edits:  []mutant.Edit{{File: "cache/flight.go", Old: "if present && !e.Ticket.Label().Replica && e.began != 0 && e.began >= f.arrived {", New: "if present && e.began != 0 {"}},
		faults: "link-freeze",
	},
	{
		name:   "strong is not strong",
		edits:  []mutant.Edit{{File: "cache/fence/session.go", Old: "if s != nil && Level(s.level.Load()) == Strong {", New: "if false {"}},
		faults: "none",
		breaks: []Promise{Strong, Linear},
	},
	{
		name:   "a transaction may read what is older than its BEGIN",
		edits:  []mutant.Edit{{File: "sidecar/wire/block.go", Old: "\t\ts.reads.Received(b.began)\n", New: ""}},
		faults: "none",
		breaks: []Promise{Block},
	},
	{
		name:   "a token demands nothing",
		edits:  []mutant.Edit{{File: "cache/fence/session.go", Old: "if !after.sameIncarnation(h) || !h.Snapshot.Includes(after.Snapshot) {", New: "if false {"}},
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

// mutantWait is how long a rule taken away may go unnoticed. Most are found missing
// within a second or two; where it takes two events in the right order of a
// millisecond, now and then in more than half a minute.
const mutantWait = "3m"

// Every rule taken away is found missing. This is what the checker's word that
// nothing is broken is worth.
func TestMutantsAreCaught(t *testing.T) {
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			overlay, err := mutant.Overlay(root(t), t.TempDir(), m.edits)
			if err != nil {
				t.Fatal(err)
			}
			program := build(t, "freshet", "./sidecar/freshet", "-overlay", overlay)
			report := run(t, exitBroken, "--program", program, "--faults", m.faults, "--duration", mutantWait, "--stop", "--quiet")
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
