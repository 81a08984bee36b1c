// Package figures puts what a follower and the two tiers count into the figures of the page:
// for a sidecar, and for a program of Go that serves the page itself.
//
// Its functions write the fields that they name, and may be called concurrently for
// different figures.
package figures

import (
	"cmp"
	"slices"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/sidecar/dashboard"
)

// AddFollower adds what a follower has counted, and its last error unless it keeps up: then
// that is over.
func AddFollower(stats *dashboard.Stats, f invalidation.FollowerStats, keepsUp bool) {
	stats.FollowerLooks, stats.FollowerNotifications, stats.InvalidationEvents = f.Looks, f.Notifications, f.Events
	stats.InvalidationKinds, stats.TablesLost, stats.InvalidatedEntries = f.EventsOf, f.TablesLost, f.Ended
	stats.Hints = dashboard.Hints{Said: f.HintsSaid, Heard: f.HintsHeard, Relying: f.Relying}
	for _, h := range f.Happened {
		stats.Happened = append(stats.Happened, dashboard.Happening{Number: h.Number, At: h.At, Kind: string(h.Kind), Tables: h.Tables, More: h.More})
	}
	stats.FollowerResetCauses, stats.FollowerReconnects = f.Resets, f.Reconnects
	stats.FollowerParts = map[string]dashboard.FollowerPart{}
	for part, n := range f.ReconnectsOf {
		stats.FollowerParts[part] = dashboard.FollowerPart{Working: f.Working[part], Reconnects: n}
	}
	for _, n := range f.Resets {
		stats.FollowerResets += n
	}
	stats.Outbox = dashboard.Outbox{Rows: f.Outbox.Rows, Bytes: f.Outbox.Bytes, OldestSeconds: f.Outbox.Oldest.Seconds()}
	if since := f.Outbox.UnattendedSince; !since.IsZero() {
		stats.Outbox.UnattendedSince = &since
	}
	stats.FollowerResting = f.Resting
	if !keepsUp {
		stats.FollowerProblem = f.LastError
	}
}

// AddWrites adds what was received of the changes of tables, and says of how many something
// was.
func AddWrites(stats *dashboard.Stats, tables []dashboard.TableWrites) {
	slices.SortFunc(tables, func(a, b dashboard.TableWrites) int {
		return cmp.Or(cmp.Compare(b.Statements, a.Statements), cmp.Compare(a.Name, b.Name))
	})
	stats.Written, stats.TablesWritten = tables[:min(len(tables), dashboard.WrittenMax)], len(tables)
	rest := &stats.WrittenRest
	for _, t := range tables[len(stats.Written):] {
		rest.Statements += t.Statements
		rest.Invalidations += t.Invalidations
		rest.EntriesEnded += t.EntriesEnded
		rest.StatementsPerSecond += t.StatementsPerSecond
		rest.InvalidationsPerSecond += t.InvalidationsPerSecond
		if t.At.After(rest.At) {
			rest.At = t.At
		}
	}
}

// AddTiers adds what the tiers have counted. A nil store is no Redis.
func AddTiers(stats *dashboard.Stats, c engine.Stats, store *redis.Store) {
	m := c.Memory
	stats.L1 = dashboard.Memory{
		Items: uint64(max(m.Items, 0)), Bytes: uint64(max(m.Bytes, 0)), LimitBytes: uint64(max(m.MaxBytes, 0)),
		Evictions: m.Evictions, Rejections: m.Rejected, TooLarge: c.TooLarge, Overtaken: c.Overtaken,
		EvictionsOf: map[string]uint64{"capacity": c.GoneForRoom, "expired": c.GoneExpired, "invalidated": c.GoneInvalidated},
	}
	for _, r := range c.MissRatios {
		stats.L1.MissRatios = append(stats.L1.MissRatios, dashboard.MissRatio{Factor: r.Factor, LimitBytes: uint64(r.Bytes), Estimate: r.Estimate})
	}
	stats.Leases = dashboard.Leases{Won: c.Leases, Waited: c.LeasesAwaited, Vain: c.LeasesVain}
	stats.Redis = dashboard.Redis{State: dashboard.RedisOff}
	if store == nil {
		return
	}
	r := store.Stats()
	stats.Redis = dashboard.Redis{
		State: dashboard.RedisState(r.Condition), Refusal: r.Refusal, Errors: r.Errors, ErrorKinds: r.ErrorsOf,
		Broken: c.Broken, Expired: c.Expired, Outdated: c.Outdated, Dropped: c.Dropped, Kept: c.Kept,
		UsedBytes: r.Room.Used, MaxBytes: r.Room.Max, Policy: r.Room.Policy,
		Compresses: c.Compresses, RecordBytes: c.RecordBytes, WrittenBytes: c.PackedBytes,
	}
	if r.Condition == redis.Up && r.Gets+r.Sets == 0 {
		stats.Redis.State = dashboard.RedisIdle
	}
}
