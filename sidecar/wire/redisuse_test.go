package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

// A sidecar that shares Redis with no other one gains nothing by it. It soon asks Redis for a sample
// of the keys only, and its report names the shapes of which that is so, without their values.
func TestReportOfRedisUsesNamesShapesWithoutGain(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, "CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT i, 'n' || i FROM generate_series(1, 400) i")
	s := bed.sidecar(withRedis(servers.SharedRedis(t).URL()), func(o *engine.Options, _ *invalidation.FollowerOptions) {
		o.LeaseMin = redisWaitMax // on a busy machine any load may take longer than usual
	})
	c := s.connect()
	const read = "SELECT name FROM item WHERE id = $1"
	use := func(statement string) (found RedisUse) {
		for _, u := range s.RedisUses(10) {
			if u.Statement == statement {
				found = u
			}
		}
		return found
	}
	id := 0
	// Where an event of the server drops what is known of statements, the counts begin anew: hence
	// more than one attempt.
	servers.Eventually(t, "a hundred loads of a shape that gains nothing, all of which are reported", func() bool {
		generation, loads, misses := s.verdicts.Generation(), use(read).Loads, s.count(Miss)
		for range 100 {
			id++ // a row that nobody has read
			mustExec(t, c, read, id)
		}
		got, made := use(read), s.count(Miss)-misses
		return s.verdicts.Generation() == generation && made == 100 && got.Loads-loads == made && got.Why == engine.WhyNoGain && !got.Used
	})
	if uses := s.RedisUses(10); len(uses) != 1 {
		t.Errorf("the uses of Redis are %+v, want one shape", uses)
	}
	const shown = "SELECT name FROM item WHERE name = ? OR id = ?"
	servers.Eventually(t, "the shape of a statement with values to be reported", func() bool {
		id++
		s.psql(fmt.Sprintf("SELECT name FROM item WHERE name = 'a secret' OR id = 7%d", id))
		return use(shown).Loads > 0
	})
	for _, use := range s.RedisUses(10) {
		if strings.Contains(use.Statement, "secret") || strings.Contains(use.Statement, "7") {
			t.Errorf("the statement %q of the report shows a value of a client", use.Statement)
		}
	}
}
