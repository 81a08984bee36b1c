package dashboard

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/sidecar/internal/count"
	"github.com/freshet/freshet/sidecar/internal/fleet"
	"github.com/freshet/freshet/sidecar/internal/histogram"
)

// warm is a reading of a sidecar that has much to do, seconds after its start.
func warm(seconds uint64) Stats {
	age := 0.03 + float64(seconds%7)/200
	n := seconds
	return Stats{
		Version: "v1.2.3", UptimeSeconds: float64(seconds), Listening: true, Socket: "/run/freshet/.s.PGSQL.6432",
		Queries:  map[string]uint64{"hit_l1": n * 900, "hit_l2": n * 60, "coalesced": n * 5, "miss": n * 40, "bypass": n * 55, "error": n / 9},
		Bypasses: map[string]uint64{"not_select": n * 30, "volatile_function": n * 14, "unwatched_table": n * 9, "row_limit": n * 2},
		BypassAdvice: map[string]string{
			"volatile_function": "Declare the function with --function if it only reads.", "unwatched_table": "Watch the table: freshet install --watch shop.audit.",
			"row_limit": "Fetch the whole result.", "not_select": "Only SELECT can be answered from the cache.",
		},
		BypassSeconds: map[string]float64{"volatile_function": float64(n) * .03, "unwatched_table": float64(n) * .2, "row_limit": float64(n) * .001, "not_select": float64(n) * .02},
		Misses:        map[string]uint64{"cold": n * 9, "invalidated": n * 25, "evicted": n * 2, "expired": n * 4},
		SavedSeconds:  float64(n) * 1.9,
		Times: Times{
			Latency: map[string]histogram.Reading{
				"hit_l1": spread(n*900, 1), "hit_l2": spread(n*60, 4), "miss": spread(n*40, 6), "bypass": spread(n*55, 7),
			},
			Upstream: map[string]histogram.Reading{"load": took(n*40, 9*time.Millisecond), "bypass": took(n*55, 4*time.Millisecond)},
			Overhead: map[string]histogram.Reading{"relay": spread(n*95, 2)},
			HitAge:   map[string]histogram.Reading{"memory": spread(n*900, 3), "redis": spread(n*60, 5)},
		},
		Shapes: []Shape{
			{ID: "9f31c2aa", Statement: "SELECT name, price_cents FROM products WHERE id = $1", Tables: []string{"shop.products"}, Tags: []string{"shop.products/id=…"}, Roles: []string{"web", "reports"}, Hits: n * 700, Loads: n * 30, SavedSeconds: float64(n) * 1.4, LoadingSeconds: float64(n) * .06, Entries: 31000, Bytes: 30 << 20, AgeP50Seconds: 41, Misses: map[string]uint64{"cold": n * 9, "invalidated": n * 20}},
			{Statement: "SELECT o.number, sum(i.cents) FROM orders o JOIN items i ON i.order_id = o.id WHERE o.customer_id = $1 GROUP BY ?", Tables: []string{"shop.items", "shop.orders"}, ID: "0b54752c", Tags: []string{"shop.items", "shop.orders/customer_id=…"}, Watch: []string{"freshet install --watch 'shop.items(id, order_id)'"}, Hits: n * 200, Loads: n * 12, SavedSeconds: float64(n) * .5, LoadingSeconds: float64(n) * .04, Entries: 10000, Bytes: 21 << 20, AgeP50Seconds: 7, Misses: map[string]uint64{"invalidated": n * 5, "evicted": n * 2}},
		},
		ShapesKnown: 2,
		ShapesPassed: []Shape{
			{ID: "77ac01ff", Statement: "SELECT * FROM audit WHERE at > $1", Tables: []string{"shop.audit"}, Roles: []string{"web"}, Reason: "unwatched_table", Detail: "shop.audit", Passed: n * 9, PassedSeconds: float64(n) * .2},
		},
		BypassDocs:     map[string]string{"unwatched_table": "https://docs.example/operations.md#install", "not_select": "https://docs.example/protocol.md"},
		BypassExamples: map[string][]string{"volatile_function": {"SELECT random()", "SELECT shop.next_number($1)"}},
		BypassRules:    map[string][]string{"unwatched_table": {"freshet install --watch shop.audit"}},
		Sessions:       24,
		Clients: []ClientGroup{
			{Database: "shop", Role: "web", Waiting: 3, InTransaction: 2, Idle: 15, OldestSeconds: 7400},
			{Database: "shop", Role: "reports", Idle: 4, OldestSeconds: 40},
		},
		ClientGroups: 2,
		SessionList: []Session{
			{PID: 4711, Database: "shop", Role: "web", Application: "storefront", State: "waiting", Since: time.Unix(1_800_000_000, 0)},
			{PID: 4712, Database: "shop", Role: "reports", Application: "psql", State: "idle", Since: time.Unix(1_800_000_100, 0)},
		},
		Postgres: Postgres{Version: "17.10", Role: "freshet", Owner: "postgres", Replicas: 1},
		Written: []TableWrites{
			{Name: "shop.orders", Statements: n * 20, Invalidations: n * 60, EntriesEnded: n * 21, StatementsPerSecond: 20, InvalidationsPerSecond: 60, At: time.Unix(1_800_000_000, 0)},
			{Name: "shop.products", Statements: n * 10, Invalidations: n * 30, EntriesEnded: n * 4, At: time.Unix(1_800_000_001, 0)},
		},
		TablesWritten:       7,
		WrittenRest:         TableWrites{Statements: 90, EntriesEnded: 4, StatementsPerSecond: .5},
		Analysis:            Analysis{Analysed: 41, Waiting: 2},
		Counts:              count.Counts{UpstreamQueries: n * 95, SessionsTotal: 31, TransactionsHeld: n * 20, TransactionsOpened: n * 4, SessionsRefused: 7, RefusedByLimit: 5, RefusedForPassword: 2},
		UpstreamConnections: map[string]int64{"client": 24, "follower": 3, "analysis": 1, "verify": 0},
		StalenessSeconds:    1, FollowerAgeSeconds: &age, FollowerLooks: n * 10, FollowerNotifications: n * 6, InvalidationEvents: n * 30,
		FollowerParts:       map[string]FollowerPart{"looker": {Working: true}, "doorbell": {Reconnects: 2}, "keeper": {Working: true}},
		FollowerResetCauses: map[string]uint64{"start": 1}, InvalidatedEntries: map[string]uint64{"row": n * 20, "table": n * 5, "schema": 0, "own": 0, "reset": 0}, FollowerResets: 1,
		Outbox:        Outbox{Rows: 1200, Bytes: 393216, OldestSeconds: 41},
		WatchedTables: 3, Watched: tablesNamed(3), Incarnation: "one",
		Verify: Verification{Share: 0.001, PerSecondMax: 2, Results: map[string]uint64{"same": n * 2, "raced": 3}, Seconds: 1.5},
		L1: Memory{Items: 41000, Bytes: 51 << 20, LimitBytes: 64 << 20, Evictions: 340, EvictionsOf: map[string]uint64{"capacity": 320, "expired": n * 4, "invalidated": n * 25}, Rejections: 12, TooLarge: 4, Overtaken: 90,
			MissRatios: []MissRatio{{.5, 32 << 20, .19}, {1, 64 << 20, .12}, {2, 128 << 20, .06}, {4, 256 << 20, .05}}},
		Redis: Redis{State: RedisUp, UsedBytes: 60 << 20, MaxBytes: 256 << 20, Policy: "allkeys-lru", Compresses: true, RecordBytes: 31 << 20, WrittenBytes: 10 << 20, Errors: 2, Expired: 40, Outdated: 1100, Shapes: []RedisShape{
			{Statement: "SELECT name, price_cents FROM products WHERE id = $1", Used: true, Why: "pays", LoadSeconds: .0021, AskSeconds: .0003, Found: .81, Loads: 5120},
			{Statement: "SELECT sum(cents) FROM orders WHERE customer_id = $1", Why: "no_gain", LoadSeconds: .0003, AskSeconds: .0004, Found: .2, Loads: 800},
		}},
		Leases: Leases{Won: 800, Waited: 61, Vain: 2},
		Fleet:  fleetOf(3),
	}
}

// took is a reading of n durations, of which no more is told than their sum.
func took(n uint64, each time.Duration) histogram.Reading {
	return histogram.Reading{Buckets: make([]uint64, len(histogram.Bounds)+1), Count: n, SumSeconds: float64(n) * each.Seconds()}
}

// spread is a reading of n durations about one bucket.
func spread(n uint64, bucket int) histogram.Reading {
	r := histogram.Reading{Buckets: make([]uint64, len(histogram.Bounds)+1), Count: n}
	r.Buckets[bucket], r.Buckets[bucket+1], r.Buckets[bucket+3] = n-n/5-n/50, n/5, n/50
	return r
}

// fleetOf is a fleet in which the first sidecar is this one, the second has another version,
// and the third is not ready.
func fleetOf(n int) []fleet.Member {
	members := make([]fleet.Member, n)
	ratio, age := .93, .04
	for i := range members {
		members[i] = fleet.Member{
			ID: fmt.Sprint(i), Self: i == 0, Host: fmt.Sprintf("app-%02d", i), Socket: "/run/freshet/.s.PGSQL.6432", Page: "127.0.0.1:7070", Version: "v1.2.3",
			Incarnation: "one", StalenessSeconds: 1, FollowerAgeSeconds: &age, HitRatio: &ratio, QueriesPerSecond: 1060, SavedPerSecond: 1.9, Sessions: 24,
		}
	}
	if n > 2 {
		members[1].Version = "v1.2.2"
		members[2].NotReady, members[2].FollowerAgeSeconds, members[2].HitRatio = "no look at the outbox has completed yet", nil, nil
	}
	return members
}

func tablesNamed(n int) []Table {
	tables := make([]Table, n)
	for i := range tables {
		tables[i] = Table{Name: fmt.Sprintf("shop.table_%04d", i), Columns: []string{"id", "customer_id"}}
	}
	return tables
}

// historyBegins is how many seconds have passed when a page is looked at.
const historyBegins = 320

// scene is a sidecar that a test describes, with its page.
type scene struct {
	server *Server
	mu     sync.Mutex
	change func(*Stats)
	now    time.Time
	second uint64
}

func (s *scene) read() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	second := s.second
	if second > historyBegins {
		second += uint64(time.Since(s.now).Seconds())
	}
	stats := warm(second)
	if s.change != nil {
		s.change(&stats)
	}
	return stats
}

// becomes changes how the sidecar is from now on.
func (s *scene) becomes(change func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change = change
}

// pass lets seconds pass, those before the scene was made.
func (s *scene) pass(seconds int) {
	var before *Stats
	for i := range seconds {
		s.mu.Lock()
		s.second++
		s.mu.Unlock()
		before = s.server.sample(before, s.now.Add(time.Duration(i-seconds)*time.Second))
	}
}

// stage makes a page, at address.
func stage(t *testing.T, address string, change func(*Options)) *scene {
	t.Helper()
	s := &scene{now: time.Now()}
	o := Options{Address: address, StatsFunc: s.read, Logger: slog.New(slog.DiscardHandler), files: withCharts(t)}
	o.ExplainFunc = func(_ context.Context, r ExplainRequest) (Explanation, error) {
		if r.Role == "nobody" {
			return Explanation{}, fmt.Errorf("%w: find role nobody: there is none of this name", ErrWrongRequest)
		}
		tags := []string{}
		for _, value := range r.Parameters {
			tags = append(tags, "shop.orders/id='"+value+"'")
		}
		return Explanation{Reason: "volatile_function", Detail: "random()", Advice: "Leave it out.", Tables: []string{"shop.orders"}, Tags: tags, Wishes: []string{}}, nil
	}
	o.PurgeFunc = func(_ context.Context, r PurgeRequest) (Purged, error) {
		if r.Role != "" {
			return Purged{Tables: []string{"what " + r.Role + " may read"}}, nil
		}
		return Purged{Tables: []string{r.Table}, All: r.All}, nil
	}
	o.EndingsFunc = func(string) []EndedBy {
		return []EndedBy{{At: time.Unix(1_800_000_000, 0), Table: "shop.items", By: "row", Answers: 7}, {At: time.Unix(1_799_999_990, 0), By: "reset", Answers: 1}}
	}
	if change != nil {
		change(&o)
	}
	server, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.server = server
	return s
}

// serve has a history begin, and answers until the function returned is called.
func (s *scene) serve(t *testing.T) (end func()) {
	t.Helper()
	s.pass(historyBegins + 1)
	return runServer(t, s.server)
}

func (s *scene) url() string { return "http://" + s.server.Address() + "/" }
