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
	Name  string
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
}

// Mutants lists the rules of the protocol, each taken away. A new one needs a line
// here and a script that forces it (see Scripts).
func Mutants() []Mutant { return mutants }

var mutants = []Mutant{
	{
		Name: "the fence is off",
		Edits: []mutant.Edit{{
			File: "cache/fence/fence.go",
			Old:  "if generation == 0 {\n\t\treturn false\n\t}",
			New:  "if generation != 0 {\n\t\treturn true\n\t}",
		}},
		Script: "what is written is seen", Breaks: []Promise{Bounded},
		Faults: "none",
	},
	{
		Name: "the label is taken after the load",
		Edits: []mutant.Edit{{
			File: "sidecar/wire/capture.go",
			Old:  "Start: c.start,",
			New:  "Start: func() cache.Start { s, _ := to.Begin(); return s }(),",
		}},
		Script: "a write overtakes a load", Breaks: []Promise{Bounded},
		Faults: "link-freeze",
	},
	{
		Name: "no floor",
		Edits: []mutant.Edit{{
			File: "cache/fence/fence.go",
			Old:  " || !t.label.Lower.Includes(*f.floor.Load())",
			New:  "",
		}},
		Script: "the outbox is trimmed behind a sidecar", Breaks: []Promise{Bounded},
		Faults: "trim",
	},
	{
		Name: "no trim mark",
		Edits: []mutant.Edit{{
			File: "invalidation/looker.go",
			Old:  "case !l.head.Includes(s.mark):",
			New:  "case false:",
		}},
		Script: "the outbox is trimmed behind a sidecar", Breaks: []Promise{Bounded},
		Faults: "trim",
	},
	{
		Name: "no incarnation",
		Edits: []mutant.Edit{{
			File: "invalidation/schema/base.sql",
			Old:  "SELECT md5(concat_ws('/',",
			New:  "SELECT coalesce('one', concat_ws('/',",
		}},
		Script: "transaction ids are given out twice", Breaks: []Promise{Bounded},
		Faults: "backend-kill",
	},
	{
		Name: "sessions do not prove on which server they are",
		Edits: []mutant.Edit{{
			File: "sidecar/wire/obtain.go",
			Old:  "return head != nil && head.Incarnation == s.state.incarnation",
			New:  "return head != nil",
		}},
		Script: "clients and follower are on different servers", Breaks: []Promise{Bounded},
		Faults: "split-brain",
	},
	{
		Name: "a look asks for what is above the last id",
		Edits: []mutant.Edit{{
			File: "invalidation/look.go",
			Old:  " OR o.xid = ANY ($2) ",
			New:  " OR o.xid = ANY ($2) AND false ",
		}},
		Script: "an early transaction commits late", Breaks: []Promise{Bounded},
		Faults: "none",
	},
	{
		Name: "an event is dropped",
		Edits: []mutant.Edit{{
			File: "invalidation/look.go",
			Old:  "\t\ts.add(fence.XID(*xid), texts)",
			New:  "\t\tif *xid%8 != 0 {\n\t\t\ts.add(fence.XID(*xid), texts)\n\t\t}",
		}},
		Script: "what is written is seen", Breaks: []Promise{Bounded},
		Faults: "none",
	},
	{
		Name: "the clock advances before the events are filed",
		Edits: []mutant.Edit{{
			File: "cache/fence/fence.go",
			Old:  "\tf.apply(events, &f.head.Load().Snapshot, &head.Snapshot)",
			New:  "\tf.lookBegan.Store(int64(began))\n\tif len(events) > 0 {\n\t\ttime.Sleep(time.Second)\n\t}\n\tf.apply(events, &f.head.Load().Snapshot, &head.Snapshot)",
		}},
		Script: "events take long to be filed", Breaks: []Promise{Bounded},
		Faults: "none",
	},
	{
		Name: "an old head is taken for fresh",
		Edits: []mutant.Edit{{
			File: "cache/cache.go",
			Old:  "return began != 0 && began >= s.Demand(now, c.options.Staleness) && s.Reached(c.fence.Head())",
			New:  "return began != 0",
		}},
		Script: "the follower is deaf", Breaks: []Promise{Bounded},
		Faults: "follower-freeze",
	},
	{
		Name: "a look is dated by its end",
		Edits: []mutant.Edit{{
			File: "invalidation/looker.go",
			Old:  "l.publish(s, cause, began)",
			New:  "l.publish(s, cause, fence.Now())",
		}},
		Script: "a look's answer is late", Breaks: []Promise{Bounded},
		Faults: "follower-delay",
	},
	{
		Name: "the staleness that a session sets is ignored",
		Edits: []mutant.Edit{{
			File: "cache/fence/session.go",
			Old:  "if own := s.staleness.Load(); own > 0 {",
			New:  "if own := s.staleness.Load(); own < 0 {",
		}},
		Script: "the follower is deaf for longer than a session allows", Breaks: []Promise{Bounded},
		Faults: "follower-freeze",
	},
	{
		Name: "what a session needs is ignored",
		Edits: []mutant.Edit{{
			File: "cache/fence/session.go",
			Old:  "return max(s.Need(), now.Add(-staleness))",
			New:  "return now.Add(-staleness)",
		}},
		Script: "a session reads what it wrote", Breaks: []Promise{OwnWrites, Monotonic},
		Faults: "none",
	},
	{
		Name: "own writes are not confirmed",
		Edits: []mutant.Edit{{
			File: "sidecar/wire/query.go",
			Old:  "\t\ts.reads.Received(s.now)\n",
			New:  "",
		}},
		Script: "a session reads what it wrote", Breaks: []Promise{OwnWrites, Monotonic},
		Faults: "none",
	},
	{
		Name: "a hit does not count as seen",
		Edits: []mutant.Edit{{
			File: "cache/cache.go",
			Old:  "\tif s != nil {\n\t\ts.Received(e.Ticket.Loaded())\n\t}\n\treturn Hit",
			New:  "\treturn Hit",
		}},
		Script: "a session reads on after what it was shown", Breaks: []Promise{Monotonic, Across},
		Faults: "follower-freeze",
	},
	{
		Name: "the upper bound of what Redis holds is ignored",
		Edits: []mutant.Edit{{
			File: "cache/remote.go",
			Old:  "if c.fence.Settled(r.label) {",
			New:  "if true {",
		}},
		Script: "a session reads on after what Redis showed it", Breaks: []Promise{Monotonic, Across},
		Faults: "follower-freeze",
	},
	{
		Name: "Redis is believed about the key",
		Edits: []mutant.Edit{{
			File: "cache/remote.go",
			Old:  "if !ok || string(r.key) != string(key) {",
			New:  "if !ok {",
		}},
		Script: "Redis gives one row for another", Breaks: []Promise{Committed},
		Faults: "redis-garbage", Invents: true,
	},
	{
		Name: "Redis is believed about the bytes",
		Edits: []mutant.Edit{{
			File: "cache/envelope.go",
			Old:  "binary.LittleEndian.Uint64(src[len(envelopeMagic):]) != xxhash.Sum64(src[flagsAt:])",
			New:  "false",
		}},
		Script: "Redis gives other bytes", Breaks: []Promise{Committed},
		Faults: "redis-garbage", Invents: true,
	},
	{
		Name: "a flight is shared with who came too late",
		Edits: []mutant.Edit{{
			File: "cache/flight.go",
			Old:  "if present && !e.Ticket.Label().Replica && e.began != 0 && e.began >= f.arrived {",
			New:  "if present && e.began != 0 {",
		}},
		Script: "a strong session joins a load", Breaks: []Promise{Strong},
		Faults: "link-freeze",
	},
	{
		Name: "strong is not strong",
		Edits: []mutant.Edit{{
			File: "cache/fence/session.go",
			Old:  "if s != nil && Level(s.level.Load()) == Strong {",
			New:  "if false {",
		}},
		Script: "a strong session reads", Breaks: []Promise{Strong, Linear},
		Faults: "none",
	},
	{
		Name: "a transaction may read what is older than its BEGIN",
		Edits: []mutant.Edit{{
			File: "sidecar/wire/block.go",
			Old:  "\t\ts.reads.Received(b.began)\n",
			New:  "",
		}},
		Script: "a transaction reads", Breaks: []Promise{Block},
		Faults: "none",
	},
	{
		Name: "a token demands nothing",
		Edits: []mutant.Edit{{
			File: "cache/fence/session.go",
			Old:  "if !after.sameIncarnation(h) || !h.Snapshot.Includes(after.Snapshot) {",
			New:  "if false {",
		}},
		Script: "a session is handed a token", Breaks: []Promise{Causal},
		Faults: "follower-freeze",
	},
}

// Build makes the program of a mutant from the source tree below root, in dir, and
// returns its path.
func (m Mutant) Build(ctx context.Context, root, dir string) (program string, err error) {
	return mutant.Build(ctx, root, dir, "./sidecar/freshet", m.Edits)
}

// Force plays the mutant's script with its program, and returns the first violation
// that was found. It returns an error if none was, or none of a promise that the
// mutant is to break, or if sessions on PostgreSQL itself are found wrong.
func (m Mutant) Force(ctx context.Context, program string) (found string, err error) {
	i := slices.IndexFunc(Scripts(), func(s Script) bool { return s.Name == m.Script })
	if i < 0 {
		return "", fmt.Errorf("force mutant %q: there is no script %q", m.Name, m.Script)
	}
	report, err := Scripts()[i].Play(ctx, Options{Program: program})
	return m.caught(report, err, m.Breaks)
}

// Hunt lets everybody loose on the mutant's program, for as long as it takes to find
// it out but not longer than most. It returns what Force returns, but that any
// promise may be the one that is broken.
func (m Mutant) Hunt(ctx context.Context, program string, most time.Duration, seed uint64) (found string, err error) {
	o := Options{Program: program, Duration: most, Seed: seed, StopAtViolation: true}
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
