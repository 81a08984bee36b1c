package wire

import (
	"context"
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
	for id := range 400 {
		if _, err := c.Exec(context.Background(), "SELECT name FROM item WHERE id = $1", id+1); err != nil {
			t.Fatal(err)
		}
	}
	uses := s.RedisUses(10)
	if len(uses) != 1 || uses[0].Why != engine.WhyNoGain || uses[0].Used || uses[0].Loads < 300 || uses[0].Statement != "SELECT name FROM item WHERE id = $1" {
		t.Fatalf("the uses of Redis are %+v, want one shape that gains nothing after at least 300 loads", uses)
	}
	s.psql("SELECT name FROM item WHERE name = 'a secret' OR id = 7", "SELECT name FROM item WHERE name = 'a secret' OR id = 7")
	for _, use := range s.RedisUses(10) {
		if strings.Contains(use.Statement, "secret") || strings.Contains(use.Statement, "7") {
			t.Errorf("the statement %q of the report shows a value of a client", use.Statement)
		}
	}
}
