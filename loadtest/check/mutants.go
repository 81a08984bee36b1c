package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/loadtest/mutant"
)

// Mutant is the product with one rule of the protocol taken away. That each is found
// out is what the checker's word is worth that nothing is broken.
type Mutant struct {
	Name string
	// Edits are best such that can be switched: all mutants of that kind are one
	// program, and building is what takes long.
	Edits []mutant.Edit
	// Script names the script that forces what the rule is there for.
	Script string
	// Breaks are the promises of which the script finds one broken.
	Breaks []Promise
	// Faults are those under which a hunt meets it by chance; "none" is no fault.
	Faults string
	// Invents is set if answers may be served that never were in the database. The
	// registers then expect what is not there of sessions on PostgreSQL itself.
	Invents bool
	// Installs is set if what it installs differs from what the product does.
	Installs bool
}

// Mutants lists the rules of the protocol, each taken away. A new one needs a line
// here and a script that forces it (see Scripts).
func Mutants() []Mutant { return mutants }

// marking is what notes that something was written.
const marking = "if w.Anything {\n\t\t\ts.server.fence.MarkAll(now)\n\t\t}\n\t\ts.server.fence.Mark(now, w.Tags)\n\t\ts.server.fence.MarkClasses(now, w.Classes)"

// tagging is what notes which entries depend on what a statement is known to write.
const tagging = "e.Tags = append(e.Tags, fence.NewTag(fence.TableText(root)), fence.NewTag(fence.WholesaleText(root)))"

// rowsTagging is what notes which of a table's rows a statement is known to write.
const rowsTagging = "precise.Tags, precise.Classes = tags, classes"

var notMarked = mutant.Edit{File: "sidecar/wire/mark.go", As: mutant.Statements, Old: marking, New: ""}

var mutants = []Mutant{
	{
		Name: "the fence is off",
		Edits: []mutant.Edit{{
			File: "cache/fence/fence.go", As: mutant.Statements,
			Old: "if generation == 0 {\n\t\treturn false\n\t}",
			New: "if generation != 0 {\n\t\treturn true\n\t}",
		}},
		Script: "what is written is seen", Breaks: []Promise{Bounded},
		Faults: "none",
	},
	{
		Name: "the label is taken after the load",
		Edits: []mutant.Edit{{
			File: "sidecar/internal/answer/capture.go", As: mutant.Statements,
			Old: "if !c.Whole() || !c.completeKey() {\n\t\treturn nil\n\t}",
			New: "if !c.Whole() || !c.completeKey() {\n\t\treturn nil\n\t}\n\tc.Start, _ = of.Begin()",
		}},
		Script: "a write overtakes a load", Breaks: []Promise{Bounded},
		Faults: "link-freeze",
	},
	{
		Name: "no floor",
		Edits: []mutant.Edit{{
			File: "cache/fence/fence.go", As: mutant.Condition,
			Old: "!t.label.Lower.Includes(*f.floor.Load())",
			New: "false",
		}},
		Script: "the outbox is trimmed behind a sidecar", Breaks: []Promise{Bounded},
		Faults: "trim",
	},
	{
		Name: "no trim mark",
		Edits: []mutant.Edit{{
			File: "invalidation/looker.go", As: mutant.Condition,
			Old: "!l.head.Includes(s.mark)",
			New: "false",
		}},
		Script: "the outbox is trimmed behind a sidecar", Breaks: []Promise{Bounded},
		Faults: "trim",
	},
	{
		Name: "no incarnation",
		Edits: []mutant.Edit{{
			File: "invalidation/plan.go", As: mutant.Switching,
			Old: "append(statements, p.remove, baseSQL,",
			New: "append(statements, p.remove, " + withoutIncarnation + ",",
		}, {
			File: "invalidation/catalog.go", As: mutant.Switching,
			Old: "functionsIn(baseSQL,",
			New: "functionsIn(" + withoutIncarnation + ",",
		}},
		Script: "transaction ids are given out twice", Breaks: []Promise{Bounded},
		Faults: "backend-kill", Installs: true,
	},
	{
		Name: "sessions do not prove on which server they are",
		Edits: []mutant.Edit{{
			File: "sidecar/wire/obtain.go", As: mutant.Condition,
			Old: "head.Incarnation == u.state().Incarnation",
			New: "true",
		}},
		Script: "clients and follower are on different servers", Breaks: []Promise{Bounded},
		Faults: "split-brain",
	},
	{
		Name: "a look asks for what is above the last id",
		Edits: []mutant.Edit{{
			File: "invalidation/look.go", As: mutant.Statements,
			Old: "for i, id := range ids {\n\t\tif i > 0 {\n\t\t\ttext = append(text, ',')\n\t\t}\n\t\ttext = strconv.AppendUint(text, uint64(id), 10)\n\t}",
			New: "",
		}},
		Script: "an early transaction commits late", Breaks: []Promise{Bounded},
		Faults: "none",
	},
	{
		Name: "an event is dropped",
		Edits: []mutant.Edit{{
			File: "invalidation/look.go", As: mutant.Statements,
			Old: "s.add(xid, texts)",
			// Odd, as a write that rings uses up two ids.
			New: "if xid%7 != 0 {\n\t\t\t\ts.add(xid, texts)\n\t\t\t}",
		}},
		Script: "what is written is seen", Breaks: []Promise{Bounded},
		Faults: "none",
	},
	{
		Name: "the clock advances before the events are filed",
		Edits: []mutant.Edit{{
			File: "cache/fence/fence.go", As: mutant.Statements,
			Old: "f.apply(events, &f.head.Load().Snapshot, &head.Snapshot)",
			New: "f.lookBegan.Store(int64(began))\n\tif len(events) > 0 {\n\t\ttime.Sleep(time.Second)\n\t}\n\tf.apply(events, &f.head.Load().Snapshot, &head.Snapshot)",
		}},
		Script: "events take long to be filed", Breaks: []Promise{Bounded},
		Faults: "none",
	},
	{
		Name: "what another sidecar says counts as a look",
		Edits: []mutant.Edit{
			{
				File: "cache/fence/hint.go", As: mutant.Statements,
				Old: "if head == nil || head.Incarnation != incarnation {\n\t\treturn false\n\t}",
				New: "if head != nil {\n\t\tf.lookBegan.Store(int64(heard))\n\t}\n\treturn false",
			},
			{
				File: "invalidation/hints.go", As: mutant.Statements,
				Old: "return max(l.f.poll, time.Duration(l.f.proof.Load()))",
				New: "return time.Hour",
			},
		},
		Script: "what is written is seen in a fleet", Breaks: []Promise{Bounded},
		Faults: "none",
	},
	{
		Name: "an old head is taken for fresh",
		Edits: []mutant.Edit{{
			File: "cache/engine/cache.go", As: mutant.Condition,
			Old: "began >= c.demand(now, s) && s.Reached(c.fence.Head())",
			New: "true",
		}},
		Script: "the follower is deaf", Breaks: []Promise{Bounded},
		Faults: "follower-freeze",
	},
	{
		Name: "who rests vouches for what it does not look at",
		Edits: []mutant.Edit{{
			File: "cache/fence/fence.go", As: mutant.Statements,
			Old: "f.lookBegan.Store(int64(never))",
			New: "f.lookBegan.Store(int64(Now().Add(time.Hour)))",
		}},
		Script: "nobody reads for long", Breaks: []Promise{Bounded},
		Faults: "none",
	},
	{
		Name: "a look is dated by its end",
		Edits: []mutant.Edit{{
			File: "invalidation/looker.go", As: mutant.Statements,
			Old: "l.publish(s, cause, began, fresh)",
			New: "l.publish(s, cause, began, fence.Now())",
		}},
		Script: "a look's answer is late", Breaks: []Promise{Bounded},
		Faults: "follower-delay",
	},
	{
		Name: "the staleness that a session sets is ignored",
		Edits: []mutant.Edit{{
			File: "cache/fence/session.go", As: mutant.Condition,
			Old: "own > 0",
			New: "own < 0",
		}},
		Script: "the follower is deaf for longer than a session allows", Breaks: []Promise{Bounded},
		Faults: "follower-freeze",
	},
	{
		Name: "what a session needs is ignored",
		Edits: []mutant.Edit{{
			File: "cache/fence/session.go", As: mutant.Statements,
			Old: "return max(s.Need(), now.Add(-staleness))",
			New: "return now.Add(-staleness)",
		}},
		Script: "a session reads on after what it was shown", Breaks: []Promise{Monotonic, Across},
		Faults: "none",
	},
	{
		Name: "own writes are not confirmed",
		Edits: []mutant.Edit{{
			File: "sidecar/wire/query.go", As: mutant.Statements,
			Old: "a.reads.Received(a.shownBy)",
			New: "",
		}, notMarked},
		Script: "a session reads what it wrote", Breaks: []Promise{OwnWrites, Monotonic},
		Faults: "none",
	},
	{
		Name:   "what was written is not marked",
		Edits:  []mutant.Edit{notMarked},
		Script: "a session reads what another one wrote", Breaks: []Promise{Beside},
		Faults: "none",
	},
	{
		Name: "what is known to be written is not marked",
		Edits: []mutant.Edit{{
			File: "sidecar/internal/shapes/effect.go", As: mutant.Statements,
			Old: tagging,
			New: "_ = root",
		}},
		Script: "a session reads pairs that another one wrote as it often does", Breaks: []Promise{Beside},
		Faults: "none",
	},
	{
		Name: "what is known to be written is marked for those alone who read the whole table",
		Edits: []mutant.Edit{{
			File: "sidecar/internal/shapes/effect.go", As: mutant.Statements,
			Old: tagging,
			New: "e.Tags = append(e.Tags, fence.NewTag(fence.TableText(root)))",
		}},
		Script: "a session reads pairs that another one wrote as it often does", Breaks: []Promise{Beside},
		Faults: "none",
	},
	{
		Name: "rows that are known to be written are marked for those alone who read the whole table",
		Edits: []mutant.Edit{{
			File: "sidecar/internal/shapes/effect.go", As: mutant.Statements,
			Old: rowsTagging,
			New: "precise.Tags, precise.Classes = tags[:1], classes",
		}},
		Script: "a session reads what another one wrote as it often does", Breaks: []Promise{Beside},
		Faults: "none",
	},
	{
		Name: "the marks of what was written are ignored",
		Edits: []mutant.Edit{{
			File: "cache/engine/cache.go", As: mutant.Condition,
			Old: "began < c.written(e, now, s)",
			New: "false",
		}},
		Script: "a counter behind a lock", Breaks: []Promise{Guarded},
		Faults: "none",
	},
	{
		Name: "what a transaction wrote is forgotten before its COMMIT",
		Edits: []mutant.Edit{{
			File: "sidecar/internal/conversation/written.go", As: mutant.Statements,
			Old: "if c.ended {\n\t\tc.written = Written{Tags: c.written.Tags[:0], Classes: c.written.Classes[:0]}\n\t}",
			New: "c.written = Written{}",
		}},
		Script: "a session reads what another one's transaction wrote", Breaks: []Promise{Beside},
		Faults: "none",
	},
	{
		Name: "settings are not in the key",
		Edits: []mutant.Edit{{
			File: "sidecar/internal/probe/state.go", As: mutant.Statements,
			Old: "parts = append(parts, values[name])",
			New: "",
		}},
		Script: "sessions have different settings", Breaks: []Promise{AsParsed},
		Faults: "settings-switch",
	},
	{
		Name: "a statement means what it would if it were parsed now",
		Edits: []mutant.Edit{{
			File: "sidecar/internal/statements/parsetime.go", As: mutant.Condition,
			Old: "p.Statement == nil || !p.Statement.KeepsSettings || p.epoch == s.epoch",
			New: "true",
		}},
		Script: "a setting is switched behind a Parse", Breaks: []Promise{AsParsed},
		Faults: "settings-switch",
	},
	{
		Name: "what is held back waits for its use",
		Edits: []mutant.Edit{{
			File: "sidecar/wire/heldback.go", As: mutant.Condition,
			Old: "p == nil || s.talk.MidGroup()",
			New: "true",
		}},
		Script: "a setting is switched between an unnamed Parse and its Bind", Breaks: []Promise{AsParsed},
		Faults: "settings-switch",
	},
	{
		Name: "what is answered is not shown to PostgreSQL before a change",
		Edits: []mutant.Edit{{
			File: "sidecar/wire/unseen.go", As: mutant.Condition,
			Old: "!s.statements.SomeUnseen() || s.talk.MidGroup()",
			New: "true",
		}},
		Script: "a table is analysed before an answer from the cache", Breaks: []Promise{AsParsed},
		Faults: "settings-switch",
	},
	{
		Name: "what was told is not compared",
		Edits: []mutant.Edit{{
			File: "sidecar/wire/heldback.go", As: mutant.Condition,
			Old: "told == nil || told.Own",
			New: "true",
		}},
		Script: "a table is altered between an unnamed Parse and its Bind", Breaks: []Promise{AsDescribed},
		Faults: "schema",
	},
	{
		Name: "what was told is not in the key",
		Edits: []mutant.Edit{{
			File: "sidecar/internal/description/description.go", As: mutant.Statements,
			Old: "if d == nil {\n\t\treturn digest.Digest{}\n\t}\n\treturn d.key",
			New: "return digest.Digest{}",
		}},
		Script: "a table is altered behind a description", Breaks: []Promise{AsDescribed},
		Faults: "schema",
	},
	{
		Name: "what was written is marked after its acknowledgement",
		Edits: []mutant.Edit{{
			File: "sidecar/wire/mark.go", As: mutant.Statements,
			Old: marking,
			New: "go func() {\n\t\t\t<-s.ctx.Done()\n\t\t\ts.server.fence.MarkAll(now)\n\t\t}()",
		}},
		Script: "a session reads what another one wrote", Breaks: []Promise{Beside},
		Faults: "none",
	},
	{
		Name: "a hit does not count as seen",
		Edits: []mutant.Edit{{
			File: "cache/engine/cache.go", As: mutant.Statements,
			Old: "s.Received(e.Ticket.Loaded())",
			New: "",
		}},
		Script: "a session reads on after what it was shown", Breaks: []Promise{Monotonic, Across},
		Faults: "follower-freeze",
	},
	{
		Name: "an answer is published that no look has covered",
		Edits: []mutant.Edit{{
			File: "cache/engine/publish.go", As: mutant.Condition,
			Old: "began < last && (hurried || began < first)",
			New: "false",
		}, {
			File: "cache/engine/publish.go", As: mutant.Condition,
			Old: "e.Ticket.Loaded() <= began",
			New: "true",
		}},
		Script: "a session reads on after what Redis was given in vain", Breaks: []Promise{Monotonic, Across},
		Faults: "follower-freeze",
	},
	{
		Name: "the upper bound of what Redis holds is ignored",
		Edits: []mutant.Edit{{
			File: "cache/engine/remote.go", As: mutant.Condition,
			Old: "c.fence.Settled(r.label)",
			New: "true",
		}},
		Script: "a session reads on after what Redis showed it", Breaks: []Promise{Monotonic, Across},
		Faults: "follower-freeze",
	},
	{
		Name: "Redis is believed about the key",
		Edits: []mutant.Edit{{
			File: "cache/engine/remote.go", As: mutant.Condition,
			Old: "string(r.key) != string(key)",
			New: "false",
		}},
		Script: "Redis gives one row for another", Breaks: []Promise{Committed},
		Faults: "redis-garbage", Invents: true,
	},
	{
		Name: "Redis is believed about the bytes",
		Edits: []mutant.Edit{{
			File: "cache/engine/envelope.go", As: mutant.Condition,
			Old: "binary.LittleEndian.Uint64(src[len(envelopeMagic):]) != xxhash.Sum64(src[flagsAt:])",
			New: "false",
		}},
		Script: "Redis gives other bytes", Breaks: []Promise{Committed},
		Faults: "redis-garbage", Invents: true,
	},
	{
		Name: "a flight is shared with who came too late",
		Edits: []mutant.Edit{{
			File: "cache/engine/flight.go", As: mutant.Condition,
			Old: "!e.Ticket.Label().Replica && e.began != 0 && e.began >= f.arrived",
			New: "e.began != 0",
		}},
		Script: "a strong session joins a load", Breaks: []Promise{Strong},
		Faults: "link-freeze",
	},
	{
		Name: "strong is not strong",
		Edits: []mutant.Edit{{
			File: "cache/fence/session.go", As: mutant.Condition,
			Old: "s != nil && Level(s.level.Load()) == Strong",
			New: "false",
		}},
		Script: "a strong session reads", Breaks: []Promise{Strong, Linear},
		Faults: "none",
	},
	{
		Name: "a transaction may read what is older than its BEGIN",
		Edits: []mutant.Edit{{
			File: "sidecar/wire/block.go", As: mutant.Statements,
			Old: "a.reads.Received(b.Began)",
			New: "",
		}},
		Script: "a transaction reads", Breaks: []Promise{Block},
		Faults: "none",
	},
	{
		Name: "a token demands nothing",
		Edits: []mutant.Edit{{
			File: "cache/fence/session.go", As: mutant.Condition,
			Old: "!after.sameIncarnation(h) || !h.Snapshot.Includes(after.Snapshot)",
			New: "false",
		}},
		Script: "a session is handed a token", Breaks: []Promise{Causal},
		Faults: "follower-freeze",
	},
}

// withoutIncarnation is an expression of Go for the SQL that makes all lives of a
// database one.
const withoutIncarnation = `func() string {
	if mutantIs("no incarnation") {
		return strings.Replace(baseSQL, "SELECT md5(concat_ws('/',", "SELECT coalesce('one', concat_ws('/',", 1)
	}
	return baseSQL
}()`

// command is the package of the product's program.
const command = "./sidecar/freshet"

// Switchable reports whether the mutant is one of those that BuildSwitched builds.
func (m Mutant) Switchable() bool { return mutant.Switchable(m.Edits) }

// BuildSwitched makes one program of all mutants that are Switchable, from the source
// tree below root, in dir, and returns its path. Force and Hunt tell it which one to
// be.
func BuildSwitched(ctx context.Context, root, dir string) (program string, err error) {
	var together []mutant.Named
	for _, m := range Mutants() {
		if m.Switchable() {
			together = append(together, mutant.Named{Name: m.Name, Edits: m.Edits})
		}
	}
	return mutant.BuildSwitched(ctx, root, dir, command, together)
}

// Build makes a program of this mutant alone.
func (m Mutant) Build(ctx context.Context, root, dir string) (program string, err error) {
	return mutant.Build(ctx, root, dir, command, m.Edits)
}

// environment makes a program of BuildSwitched be this mutant.
func (m Mutant) environment() []string { return []string{mutant.Variable + "=" + m.Name} }

// forceAttempts bounds how often Force plays a script.
const forceAttempts = 3

// Force plays the mutant's script with its program, on a ground, and returns the first violation
// that was found. It returns an error if none was, or none of a promise that the
// mutant is to break, or if sessions on PostgreSQL itself are found wrong. A script in which
// nobody was found wrong is played again: where processes get no turn for seconds, PostgreSQL
// answers what the sidecar was to.
func (m Mutant) Force(ctx context.Context, program string, ground *Ground) (found string, err error) {
	if m.Installs || !m.Switchable() {
		ground = nil
	}
	scripts := Scripts()
	i := slices.IndexFunc(scripts, func(s Script) bool { return s.Name == m.Script })
	if i < 0 {
		return "", fmt.Errorf("force mutant %q: there is no script %q", m.Name, m.Script)
	}
	for range forceAttempts {
		var report Report
		report, err = scripts[i].Play(ctx, Options{Program: program, Environment: m.environment()}, ground)
		if found, err = m.caught(report, err, m.Breaks); report.Violations > 0 || ctx.Err() != nil {
			break
		}
	}
	return found, err
}

// Hunt lets everybody loose on the mutant's program, for as long as it takes to find
// it out but not longer than most. It returns what Force returns, but that any
// promise may be the one that is broken.
func (m Mutant) Hunt(ctx context.Context, program string, most time.Duration, seed uint64) (found string, err error) {
	o := Options{Program: program, Environment: m.environment(), Duration: most, Seed: seed, StopAtViolation: true}
	if m.Faults != "none" {
		o.Faults = strings.Split(m.Faults, ",")
	}
	report, err := Run(ctx, o)
	return m.caught(report, err, Promises)
}

// caught judges whether a report, made with an error perhaps, finds the mutant out.
func (m Mutant) caught(r Report, err error, breaks []Promise) (found string, _ error) {
	if !m.Invents && r.Row(Control, All).Violations > 0 {
		return "", fmt.Errorf("sessions on PostgreSQL itself are found wrong: %q", r.Examples)
	}
	for _, p := range breaks {
		if r.Row(p, All).Violations > 0 {
			return strings.Join(r.Examples[:min(1, len(r.Examples))], ""), nil
		}
	}
	if r.Violations > 0 {
		return "", fmt.Errorf("mutant %q broke none of %q: %q", m.Name, breaks, r.Examples)
	}
	return "", errors.Join(fmt.Errorf("mutant %q was not found out in %d reads", m.Name, r.Reads), err)
}
