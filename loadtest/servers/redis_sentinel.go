package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	// SentinelName is what the Sentinel calls the master.
	SentinelName = "main"

	sentinelFileName = "sentinel.conf"
	// sentinelDownMilliseconds is how long the master must be silent for the
	// Sentinel to hold it for dead. It is long, so that no busy machine makes a
	// failover of its own: Failover asks for one.
	sentinelDownMilliseconds = 60_000
	// sentinelFailoverMilliseconds bounds one attempt at a failover.
	sentinelFailoverMilliseconds = 5000
)

// RedisSentinel is a master with one replica and one Sentinel that can make the
// replica the master, all on free ports of 127.0.0.1.
type RedisSentinel struct {
	servers  []*Redis // as they were started: the master, the replica
	sentinel *Redis
}

// LaunchSentinel starts all three and returns when the replica follows and the
// Sentinel knows of it. ctx bounds the start only. The caller must Close it.
func LaunchSentinel(ctx context.Context) (*RedisSentinel, error) {
	s := &RedisSentinel{}
	if err := s.launch(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start Redis Sentinel: %w", err), s.Close())
	}
	return s, nil
}

// StartSentinel is LaunchSentinel for a test, as StartRedis is LaunchRedis.
func StartSentinel(t TB) *RedisSentinel {
	t.Helper()
	s, err := LaunchSentinel(context.Background())
	if err != nil {
		t.Fatalf("%v", err)
	}
	closeAtCleanup(t, "Redis Sentinel", s)
	return s
}

func (s *RedisSentinel) launch(ctx context.Context) error {
	for range 2 {
		r, err := LaunchRedis(ctx, RedisOptions{TCP: true, Settings: map[string]string{"repl-diskless-sync-delay": "0"}})
		if err != nil {
			return err
		}
		s.servers = append(s.servers, r)
	}
	master, replica := s.servers[0], s.servers[1]
	if err := replica.commands([]string{"REPLICAOF", loopback, strconv.Itoa(master.port)}); err != nil {
		return err
	}
	if err := awaitAll(ctx, []*Redis{replica}, follows); err != nil {
		return err
	}
	var err error
	s.sentinel, err = launchRedis(ctx, RedisOptions{TCP: true}, roleSentinel)
	if err != nil {
		return err
	}
	if err := s.sentinel.watch(master); err != nil {
		return err
	}
	return awaitAll(ctx, []*Redis{s.sentinel}, func(r *Redis) bool {
		return r.says("master-link-status\nok", "SENTINEL", "REPLICAS", SentinelName)
	})
}

func follows(replica *Redis) bool {
	return replica.says("master_link_status:up", "INFO", "replication")
}

// watch tells a Sentinel what to watch.
func (r *Redis) watch(master *Redis) error {
	return r.commands(
		[]string{"SENTINEL", "MONITOR", SentinelName, loopback, strconv.Itoa(master.port), "1"},
		[]string{
			"SENTINEL", "SET", SentinelName,
			"down-after-milliseconds", strconv.Itoa(sentinelDownMilliseconds),
			"failover-timeout", strconv.Itoa(sentinelFailoverMilliseconds),
		},
	)
}

// sentinelFile is the configuration of a Sentinel.
func (r *Redis) sentinelFile() string { return filepath.Join(r.dir, sentinelFileName) }

// writeSentinelFile makes the file that a Sentinel must be able to write to.
func (r *Redis) writeSentinelFile() error {
	if err := os.WriteFile(r.sentinelFile(), nil, 0o600); err != nil {
		return fmt.Errorf("write the Sentinel's configuration: %w", err)
	}
	return r.run.account.own(r.sentinelFile())
}

// URL is redis-sentinel://127.0.0.1:port/main.
func (s *RedisSentinel) URL() string {
	return "redis-sentinel://" + addresses([]*Redis{s.sentinel}) + "/" + SentinelName
}

// Master returns the server that was started as the master, to kill or pause it.
func (s *RedisSentinel) Master() *Redis { return s.servers[0] }

// Replica returns what becomes the master by Failover.
func (s *RedisSentinel) Replica() *Redis { return s.servers[1] }

// Sever ends replication: from now on the replica lags behind, and cannot catch
// up.
func (s *RedisSentinel) Sever() error {
	if err := s.Replica().commands(
		[]string{"CONFIG", "SET", "masteruser", "nobody"},
		[]string{"CONFIG", "SET", "masterauth", "wrong"},
	); err != nil {
		return err
	}
	if err := s.Master().commands([]string{"CLIENT", "KILL", "TYPE", "replica"}); err != nil {
		return err
	}
	return awaitAll(context.Background(), []*Redis{s.Replica()}, func(r *Redis) bool { return !follows(r) })
}

// Failover makes the replica the master, whether or not the master lives, and
// returns when the Sentinel says so to clients.
func (s *RedisSentinel) Failover(ctx context.Context) error {
	if err := s.sentinel.commands([]string{"SENTINEL", "FAILOVER", SentinelName}); err != nil {
		return err
	}
	port := strconv.Itoa(s.Replica().port)
	return awaitAll(ctx, []*Redis{s.sentinel}, func(r *Redis) bool {
		return r.says(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SentinelName)
	})
}

// LogTail returns the last lines of all logs, at most n of each.
func (s *RedisSentinel) LogTail(n int) string {
	var text strings.Builder
	for _, r := range append([]*Redis{s.sentinel}, s.servers...) {
		if r != nil {
			fmt.Fprintf(&text, "on port %d:\n%s\n", r.port, r.LogTail(n))
		}
	}
	return text.String()
}

// Close ends all three and removes their files. It may be called more than once.
func (s *RedisSentinel) Close() error {
	return errors.Join(closeAll([]*Redis{s.sentinel}), closeAll(s.servers))
}
