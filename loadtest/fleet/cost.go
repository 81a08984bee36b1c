package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
)

// sessionsSQL lists the sessions that are the sidecars' own.
const sessionsSQL = "SELECT pid, application_name FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'freshet %'"

// meter is a reading of everything that a fleet uses.
type meter struct {
	at           time.Time
	sessions     map[int]time.Duration
	transactions int64
	sidecars     time.Duration
	redis        time.Duration
	counts       servers.RedisCounts
}

// sessions are the sidecars' own, by process, with what they say that they are.
func (b *bed) sessions(ctx context.Context) (map[int]string, error) {
	rows, err := b.near.Query(ctx, sessionsSQL)
	if err != nil {
		return nil, fmt.Errorf("list the sidecars' sessions: %w", err)
	}
	defer rows.Close()
	all := map[int]string{}
	for rows.Next() {
		var pid int
		var name string
		if err := rows.Scan(&pid, &name); err != nil {
			return nil, fmt.Errorf("list the sidecars' sessions: %w", err)
		}
		all[pid] = name
	}
	return all, rows.Err()
}

func (b *bed) read(ctx context.Context) (m meter, err error) {
	names, err := b.sessions(ctx)
	if err != nil {
		return m, err
	}
	// What sessions count they report once a second; so a reading is up to that old, at
	// both ends of a phase.
	if err := b.near.QueryRow(ctx, "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()").Scan(&m.transactions); err != nil {
		return m, fmt.Errorf("read Postgres' counters: %w", err)
	}
	m.at, m.sessions = time.Now(), map[int]time.Duration{}
	for pid := range names {
		m.sessions[pid] = servers.ThreadTime(pid)
	}
	for _, s := range b.sidecars {
		m.sidecars += s.ProcessorTime()
	}
	for _, r := range b.redis {
		m.redis += r.ProcessorTime()
		counts, err := r.Counts()
		if err != nil {
			return m, err
		}
		m.counts.Commands += counts.Commands
		m.counts.BytesIn += counts.BytesIn
		m.counts.BytesOut += counts.BytesOut
	}
	return m, nil
}

// cost is what was used between two readings, of which during, unless nil, is told.
func (b *bed) cost(ctx context.Context, during func(context.Context) (events int64, err error)) (c Cost, err error) {
	before, err := b.read(ctx)
	if err != nil {
		return c, err
	}
	if during != nil {
		c.Events, err = during(ctx)
	} else {
		err = pause(ctx, b.options.Phase)
	}
	if err != nil {
		return c, err
	}
	after, err := b.read(ctx)
	if err != nil {
		return c, err
	}
	return c.between(before, after), nil
}

// between completes a cost.
func (c Cost) between(before, after meter) Cost {
	c.Seconds = after.at.Sub(before.at).Seconds()
	var sessions time.Duration
	for pid, time := range after.sessions {
		sessions += time - before.sessions[pid] // a session that is new began with 0
	}
	c.PostgresCores = sessions.Seconds() / c.Seconds
	c.Statements = max(0, float64(after.transactions-before.transactions-c.Events)/c.Seconds)
	c.SidecarCores = (after.sidecars - before.sidecars).Seconds() / c.Seconds
	c.RedisCores = (after.redis - before.redis).Seconds() / c.Seconds
	c.RedisCommands = float64(after.counts.Commands-before.counts.Commands) / c.Seconds
	c.RedisBytes = float64(after.counts.BytesIn+after.counts.BytesOut-before.counts.BytesIn-before.counts.BytesOut) / c.Seconds
	return c
}
