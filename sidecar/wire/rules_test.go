package wire

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/allocations"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/accesslog"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/rules"
)

// itemRule is a set of one rule, for table item.
func itemRule(t rules.Terms) *rules.Set {
	return rules.NewSet([]rules.Rule{{Table: "public.item", Terms: t}})
}

// A read that begins after a rule was put in force obeys the rule, also where an entry for it, or a
// verdict on its statement, is older than the rule.
func TestRulesHoldForEntriesKeptBefore(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(patient)
	for name, mode := range map[string]pgx.QueryExecMode{"simple": pgx.QueryExecModeSimpleProtocol, "prepared": pgx.QueryExecModeCacheStatement} {
		t.Run(name, func(t *testing.T) {
			conn := s.connect()
			counts := func(rule string, wantHits, wantPassed uint64) {
				t.Helper()
				if hits, passed := s.passed(t, conn, reasons.Ruled, readVersion7, mode); hits != wantHits || passed != wantPassed {
					t.Errorf("%s: %d hits, %d reads passed through, want %d and %d", rule, hits, passed, wantHits, wantPassed)
				}
			}
			s.warm(conn)
			s.passed(t, conn, reasons.Ruled, readVersion7, mode) // leaves an entry of this protocol's form too
			counts("without rules", 2, 0)
			s.SetRules(itemRule(rules.Terms{Never: true}))
			counts("a rule that nothing of the table is kept", 0, 2)
			counts("the same rule, asked again", 0, 2)
			s.SetRules(rules.NewSet([]rules.Rule{{Table: "public.other", Terms: rules.Terms{Never: true}}}))
			counts("a rule of another table", 2, 0)
			s.SetRules(rules.NewSet([]rules.Rule{{Text: "SELECT … WHERE id = ?", Terms: rules.Terms{Never: true}}}))
			counts("a rule of the shape", 0, 2)
			s.SetRules(nil)
			counts("without rules again", 2, 0)
		})
	}
}

// A rule's staleness bounds how old an answer may be, although the sidecar's own staleness is an hour
// here: where no look is recent enough, a read waits for one.
func TestRuleOfStalenessBoundsTheAgeOfAnswers(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(patient)
	conn := s.connect()
	s.warm(conn)
	s.SetRules(itemRule(rules.Terms{Staleness: time.Nanosecond}))
	for version := 1; version <= 20; version++ {
		bed.exec("UPDATE item SET version = $1 WHERE id = 7", version)
		if got := versionOf7(t, conn); got != version {
			t.Fatalf("read version %d, want %d, which was acknowledged", got, version)
		}
	}
	looks := s.follower.Stats().Looks
	if hits, _ := s.passed(t, conn, reasons.Ruled, readVersion7, pgx.QueryExecModeSimpleProtocol); hits == 0 {
		t.Error("no hit in two reads, want one behind a look")
	}
	if s.follower.Stats().Looks == looks {
		t.Error("two reads that must be fresher than the last look were answered without another look")
	}
}

// Under a rule's TTL of a nanosecond no entry is served any more; under a rule's EntryMax that the
// answer exceeds no new answer is kept.
func TestRulesOfTTLAndEntryMaxAreObeyed(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(patient)
	conn := s.connect()
	for _, c := range []struct {
		terms rules.Terms
		hits  bool
	}{
		{rules.Terms{TTL: time.Hour, EntryMax: 1 << 10}, true},
		{rules.Terms{TTL: time.Nanosecond}, false},
		{rules.Terms{EntryMax: 8}, false},
	} {
		s.SetRules(nil)
		s.warm(conn)
		s.SetRules(itemRule(c.terms))
		if c.terms.EntryMax == 8 {
			mustExec(t, conn, "UPDATE item SET version = version + 1 WHERE id = 7") // EntryMax does not end the entry that is kept already
		}
		versionOf7(t, conn)
		misses := s.count(Miss)
		hits, _ := s.passed(t, conn, reasons.Ruled, readVersion7, pgx.QueryExecModeCacheStatement)
		if c.hits && hits != 2 || !c.hits && (hits != 0 || s.count(Miss) != misses+2) {
			t.Errorf("%+v: %d hits and %d misses of two reads, want hits: %v", c.terms, hits, s.count(Miss)-misses, c.hits)
		}
	}
}

// An entry in Redis that another sidecar has loaded is served by the rules of the sidecar that serves
// it.
func TestRulesHoldForEntriesInRedis(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	always := func(c *engine.Options, _ *invalidation.FollowerOptions) { c.RemotePolicy = engine.RemoteAlways }
	redis := withRedis(servers.SharedRedis(t).URL())
	one, two := bed.sidecar(patient, redis, always), bed.sidecar(patient, redis, always)
	two.SetRules(itemRule(rules.Terms{TTL: time.Hour}))
	sql := mustShare(t, bed, one, two, "shared")
	two.SetRules(itemRule(rules.Terms{TTL: time.Nanosecond}))
	conn := two.connect()
	misses, found := two.count(Miss), two.count(HitL2)
	for range 2 {
		var version int
		if err := conn.QueryRow(t.Context(), sql).Scan(&version); err != nil {
			t.Fatal(err)
		}
	}
	if two.count(HitL2) != found || two.count(Miss) != misses+2 {
		t.Errorf("with a TTL of a nanosecond: %d hits in Redis and %d misses of two reads, want 0 and 2", two.count(HitL2)-found, two.count(Miss)-misses)
	}
}

// nowhere is the file of an access log that discards all lines.
type nowhere struct{ io.Writer }

func (nowhere) Close() error { return nil }

// Rules, and a line in the access log, cost a hit no allocation.
func TestHitUnderRulesAllocatesNothing(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	var err error
	bed.access, err = accesslog.New(func() (io.WriteCloser, error) { return nowhere{io.Discard}, nil }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := bed.sidecar(patient)
	c, simple, prepared := warmSession(t, s)
	set := itemRule(rules.Terms{TTL: time.Hour, Staleness: time.Hour})
	for name, unit := range map[string][]byte{"simple": simple, "prepared": prepared} {
		s.SetRules(nil)
		c.answerForTest(t, unit) // leaves the key of the entry in c.key
		s.SetRules(set)
		entry := s.cache.Peek(c.key, s.cache.Hash(c.key))
		entry.Payload.(*answer.Answer).Terms.Store(set.For("", []string{"public.item"}))
		if n := allocations.Fewest(1000, func() {
			c.now = 0
			c.answerForTest(t, unit)
		}); n != 0 {
			t.Errorf("a hit of a %s read allocates %v times, want 0", name, n)
		}
	}
}
