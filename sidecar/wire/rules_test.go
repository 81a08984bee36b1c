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

func itemRule(t rules.Terms) *rules.Set {
	return rules.NewSet([]rules.Rule{{Table: "public.item", Terms: t}})
}

// A read that begins after a rule was put in force goes by it, whatever was kept, or
// remembered of its statement, before.
func TestRulesHoldForWhatWasKeptBefore(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(patient)
	for name, mode := range map[string]pgx.QueryExecMode{"simple": pgx.QueryExecModeSimpleProtocol, "prepared": pgx.QueryExecModeCacheStatement} {
		t.Run(name, func(t *testing.T) {
			conn := s.connect()
			is := func(what string, wantHits, wantPassed uint64) {
				t.Helper()
				if hits, passed := s.passed(t, conn, reasons.Ruled, readVersion7, mode); hits != wantHits || passed != wantPassed {
					t.Errorf("%s: %d hits, %d reads passed through, want %d and %d", what, hits, passed, wantHits, wantPassed)
				}
			}
			s.warm(conn)
			s.passed(t, conn, reasons.Ruled, readVersion7, mode) // kept in this form too
			is("without rules", 2, 0)
			s.SetRules(itemRule(rules.Terms{Never: true}))
			is("never kept", 0, 2)
			is("never kept, asked again", 0, 2)
			s.SetRules(rules.NewSet([]rules.Rule{{Table: "public.other", Terms: rules.Terms{Never: true}}}))
			is("another table's rule", 2, 0)
			s.SetRules(rules.NewSet([]rules.Rule{{Text: "SELECT … WHERE id = ?", Terms: rules.Terms{Never: true}}}))
			is("its shape's rule", 0, 2)
			s.SetRules(nil)
			is("no rules any more", 2, 0)
		})
	}
}

// A rule's staleness has each read shown what was acknowledged so long before it, by a
// look where that is needed; the sidecar's own promise is an hour here.
func TestRuleOfStaleness(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(patient)
	conn := s.connect()
	s.warm(conn)
	s.SetRules(itemRule(rules.Terms{Staleness: time.Nanosecond}))
	for version := 1; version <= 20; version++ {
		bed.exec("UPDATE item SET version = $1 WHERE id = 7", version)
		if got := versionOf7(t, conn); got != version {
			t.Fatalf("read version %d, acknowledged was %d", got, version)
		}
	}
	looks := s.follower.Stats().Looks
	if hits, _ := s.passed(t, conn, reasons.Ruled, readVersion7, pgx.QueryExecModeSimpleProtocol); hits == 0 {
		t.Error("never a hit behind a look")
	}
	if s.follower.Stats().Looks == looks {
		t.Error("two reads that must be fresher than the last look have not asked for another")
	}
}

func TestRulesOfLifeAndSize(t *testing.T) {
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
			mustExec(t, conn, "UPDATE item SET version = version + 1 WHERE id = 7") // what is kept already stays
		}
		versionOf7(t, conn)
		misses := s.count(Miss)
		hits, _ := s.passed(t, conn, reasons.Ruled, readVersion7, pgx.QueryExecModeCacheStatement)
		if c.hits && hits != 2 || !c.hits && (hits != 0 || s.count(Miss) != misses+2) {
			t.Errorf("%+v: %d hits, %d misses", c.terms, hits, s.count(Miss)-misses)
		}
	}
}

// What another sidecar loaded is judged by the rules of the one that serves it.
func TestRulesHoldForWhatRedisHas(t *testing.T) {
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
		t.Errorf("with a life of a nanosecond: %d hits on Redis, %d loads", two.count(HitL2)-found, two.count(Miss)-misses)
	}
}

// nowhere is what an access log is written to that nobody reads.
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
		c.answerForTest(t, unit) // leaves the key of what it found
		s.SetRules(set)
		entry := s.cache.Peek(c.key, s.cache.Hash(c.key))
		entry.Payload.(*answer.Answer).Terms.Store(set.For("", []string{"public.item"}))
		if n := allocations.Fewest(1000, func() {
			c.now = 0
			c.answerForTest(t, unit)
		}); n != 0 {
			t.Errorf("a %s hit allocates %v times", name, n)
		}
	}
}
