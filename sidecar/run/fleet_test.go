package run_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet/freshet/cache/redis/redistest"
	"github.com/freshet/freshet/loadtest/servers"
)

// A sidecar sees the one that was there before it in the same Redis; who has no Redis sees
// nobody. Nothing of that counts as a use of Redis. What follows an end is tested in
// package fleet.
func TestSidecarsSeeOneAnotherInRedis(t *testing.T) {
	t.Parallel()
	dsn := installed(t)
	o := optionsFor(t, dsn)
	alone, _, _ := running(t, o)
	if fleet := alone.Report().Fleet; len(fleet) != 0 {
		t.Errorf("without Redis there are %+v", fleet)
	}
	first, second := optionsFor(t, dsn), optionsFor(t, dsn)
	first.RedisURL = servers.SharedRedis(t).URL()
	second.RedisURL = first.RedisURL
	a, _, _ := running(t, first)
	// Its place is there: the one that looks for others next finds it.
	client := redistest.Client(t, first.RedisURL)
	servers.Eventually(t, "a sidecar's place", func() bool {
		keys, err := client.Keys(t.Context(), fmt.Sprintf("freshet:fleet:{%x}:*", a.ClientConfig().Database)).Result()
		return err == nil && len(keys) > 0
	})
	b, _, _ := running(t, second)
	servers.Eventually(t, "a sidecar that sees the other", func() bool { return len(b.Report().Fleet) == 2 })
	stats := b.Report()
	if self, other := stats.Fleet[0], stats.Fleet[1]; !self.Self || other.Self || other.Version != "test" || other.Page != a.AdminAddress() ||
		!strings.HasPrefix(other.Socket, first.SocketDir) || other.Incarnation != stats.Incarnation && other.Incarnation != "" || other.StalenessSeconds != 1 {
		t.Errorf("the fleet is %+v", stats.Fleet)
	}
	if stats.Redis.State != "idle" {
		t.Errorf("Redis is %s, and nothing was asked of it", stats.Redis.State)
	}
}
