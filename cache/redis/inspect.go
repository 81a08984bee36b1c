package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// inspectTimeout bounds each call of Inspect, connecting included.
	inspectTimeout = 3 * time.Second
	// inspectPings are the calls whose shortest time is RoundTrip.
	inspectPings = 5
	// inspectLife is how long the key lives that Inspect writes.
	inspectLife = time.Second
)

// Inspection is what a Redis tells about itself. What it does not tell, because the
// user may not ask, is empty.
type Inspection struct {
	// Version is the server's, Mode is standalone, sentinel or cluster.
	Version, Mode string
	// Encrypted reports whether the connection is.
	Encrypted bool
	// RoundTrip is the shortest of a few.
	RoundTrip time.Duration
	// ClockAhead is how much the server's clock is before this machine's, give or
	// take RoundTrip.
	ClockAhead time.Duration
	// MemoryMax is the server's maxmemory in bytes, 0 if it has none, and Policy what
	// it does when that is reached.
	MemoryMax int64
	Policy    string
	// SlotsMissing counts the slots of a Cluster that no node serves.
	SlotsMissing int
}

// CheckURL returns nil if New understands the URL.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

// Inspect connects to the Redis at a URL, reads, and writes a key that lives for a
// second. What it refuses is an error with the remedy.
func Inspect(ctx context.Context, url string) (Inspection, error) {
	p, err := parseURL(url)
	if err != nil {
		return Inspection{}, err
	}
	client := p.connect(inspectTimeout)
	defer client.Close() // nothing is lost with it
	found := Inspection{Encrypted: p.tls != nil || p.single != nil && p.single.TLSConfig != nil}
	if err := useOnce(ctx, client); err != nil {
		return found, err
	}
	if err := found.measure(ctx, client); err != nil {
		return found, err
	}
	found.ask(ctx, client)
	return found, nil
}

// useOnce does what a Store does.
func useOnce(ctx context.Context, client goredis.UniversalClient) error {
	key := "freshet:inspect:" + rand.Text()
	calls := []struct {
		kind call
		make func() error
	}{
		{callRead, func() error { return client.GetRange(ctx, key, 0, 0).Err() }},
		{callWrite, func() error { return client.Set(ctx, key, "1", inspectLife).Err() }},
		{callScript, func() error { return client.Eval(ctx, "return redis.call('DEL', KEYS[1])", []string{key}).Err() }},
	}
	for _, c := range calls {
		err := c.make()
		if text := refusalOf(err); text != nil {
			word, _, _ := strings.Cut(*text, " ")
			return fmt.Errorf("use Redis: it refuses %s: %s: %s", c.kind, *text, remedy(word))
		}
		if err != nil {
			return fmt.Errorf("connect to Redis: %w", err)
		}
	}
	return nil
}

// measure takes the time of round trips, and compares clocks in the shortest.
func (i *Inspection) measure(ctx context.Context, client goredis.UniversalClient) error {
	for range inspectPings {
		began := time.Now()
		theirs, err := client.Time(ctx).Result()
		if err != nil {
			return fmt.Errorf("ask Redis for its time: %w", err)
		}
		took := time.Since(began)
		if i.RoundTrip == 0 || took < i.RoundTrip {
			i.RoundTrip, i.ClockAhead = took, theirs.Sub(began.Add(took/2))
		}
	}
	return nil
}

// ask asks for what a user may be refused without harm.
func (i *Inspection) ask(ctx context.Context, client goredis.UniversalClient) {
	if info, err := client.InfoMap(ctx, "server").Result(); err == nil {
		i.Version, i.Mode = info["Server"]["redis_version"], info["Server"]["redis_mode"]
	}
	if info, err := client.InfoMap(ctx, "memory").Result(); err == nil {
		i.MemoryMax, _ = strconv.ParseInt(info["Memory"]["maxmemory"], 10, 64)
		i.Policy = info["Memory"]["maxmemory_policy"]
	}
	if i.Mode != "cluster" {
		return
	}
	if text, err := client.ClusterInfo(ctx).Result(); err == nil {
		for line := range strings.Lines(text) {
			if served, found := strings.CutPrefix(strings.TrimSpace(line), "cluster_slots_ok:"); found {
				n, _ := strconv.Atoi(served)
				i.SlotsMissing = clusterSlots - n
			}
		}
	}
}

// clusterSlots is how many a Cluster has.
const clusterSlots = 16384
