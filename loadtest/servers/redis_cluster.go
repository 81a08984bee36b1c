package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	clusterSlots = 16384
	// clusterNodeWait is how long a node must be silent for the others to hold it
	// for dead.
	clusterNodeWait = 500 * time.Millisecond
	// clusterNodesMax bounds the nodes of a Cluster.
	clusterNodesMax = 16
	// migrateBatchMax is how many keys of a slot are moved at a time.
	migrateBatchMax = 100
)

// RedisCluster is a Redis Cluster of masters without replicas, each with an
// equal range of slots, on free ports of 127.0.0.1. The slots of a dead node are
// not served; those of the others are.
type RedisCluster struct {
	nodes []*Redis
}

// LaunchCluster starts a Cluster of so many masters and returns when all agree
// about it. ctx bounds the start only. The caller must Close it.
func LaunchCluster(ctx context.Context, masters int) (*RedisCluster, error) {
	if masters < 1 || masters > clusterNodesMax {
		return nil, fmt.Errorf("start Redis Cluster: %d masters, give 1 to %d", masters, clusterNodesMax)
	}
	c := &RedisCluster{nodes: make([]*Redis, masters)}
	failures := make([]error, masters)
	var starts sync.WaitGroup
	for i := range c.nodes {
		starts.Go(func() {
			c.nodes[i], failures[i] = launchRedis(ctx, RedisOptions{TCP: true, Settings: map[string]string{
				"cluster-node-timeout":          strconv.FormatInt(clusterNodeWait.Milliseconds(), 10),
				"cluster-require-full-coverage": "no",
			}}, roleClusterNode)
		})
	}
	starts.Wait()
	err := errors.Join(failures...)
	if err == nil {
		err = c.assemble(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start Redis Cluster: %w", err), c.Close())
	}
	return c, nil
}

// StartCluster is LaunchCluster for a test, as StartRedis is LaunchRedis.
func StartCluster(t TB, masters int) *RedisCluster {
	t.Helper()
	c, err := LaunchCluster(context.Background(), masters)
	if err != nil {
		t.Fatalf("%v", err)
	}
	closeAtCleanup(t, "Redis Cluster", c)
	return c
}

// assemble gives the nodes their slots and lets them meet.
func (c *RedisCluster) assemble(ctx context.Context) error {
	for i, node := range c.nodes {
		first, last := i*clusterSlots/len(c.nodes), (i+1)*clusterSlots/len(c.nodes)-1
		err := node.commands(
			// Different from the start, so that they need not agree on one.
			[]string{"CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i + 1)},
			[]string{"CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last)},
			[]string{"CLUSTER", "MEET", loopback, strconv.Itoa(c.nodes[0].port), strconv.Itoa(c.nodes[0].busPort)},
		)
		if err != nil {
			return err
		}
	}
	return awaitAll(ctx, c.nodes, func(node *Redis) bool {
		return node.says("cluster_state:ok", "CLUSTER", "INFO") &&
			node.says(fmt.Sprintf("cluster_slots_ok:%d", clusterSlots), "CLUSTER", "INFO") &&
			node.says(fmt.Sprintf("cluster_known_nodes:%d", len(c.nodes)), "CLUSTER", "INFO")
	})
}

// awaitAll waits until something holds for every server.
func awaitAll(ctx context.Context, all []*Redis, holds func(*Redis) bool) error {
	ctx, cancel := context.WithTimeout(ctx, startWaitMax)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for _, r := range all {
		for !holds(r) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for Redis on port %d: %w; the end of its log:\n%s", r.port, ctx.Err(), r.LogTail(10))
			case <-ticker.C:
			}
		}
	}
	return nil
}

// URL is redis-cluster://127.0.0.1:port,… with all nodes.
func (c *RedisCluster) URL() string { return "redis-cluster://" + addresses(c.nodes) }

func addresses(all []*Redis) string {
	var list []string
	for _, r := range all {
		list = append(list, net.JoinHostPort(loopback, strconv.Itoa(r.port)))
	}
	return strings.Join(list, ",")
}

// Nodes returns the servers, to stop, kill or pause them.
func (c *RedisCluster) Nodes() []*Redis { return slices.Clone(c.nodes) }

// Owner returns the number of the node that has a key's slot.
func (c *RedisCluster) Owner(key string) (node int, slot int, err error) {
	reply, err := c.nodes[0].command("CLUSTER", "KEYSLOT", key)
	if err != nil {
		return 0, 0, err
	}
	if slot, err = strconv.Atoi(reply[0]); err != nil {
		return 0, 0, fmt.Errorf("find the slot of a key: %w", err)
	}
	for i, r := range c.nodes {
		// The others answer with where it is.
		if _, err := r.command("EXISTS", key); err == nil {
			return i, slot, nil
		}
	}
	return 0, slot, fmt.Errorf("find the owner of slot %d: no node serves it", slot)
}

// MoveSlot moves a slot with its keys from one node to another, as resharding
// does.
func (c *RedisCluster) MoveSlot(slot, from, to int) error {
	source, target := c.nodes[from], c.nodes[to]
	sourceID, err := source.command("CLUSTER", "MYID")
	if err != nil {
		return err
	}
	targetID, err := target.command("CLUSTER", "MYID")
	if err != nil {
		return err
	}
	number := strconv.Itoa(slot)
	if err := target.commands([]string{"CLUSTER", "SETSLOT", number, "IMPORTING", sourceID[0]}); err != nil {
		return err
	}
	if err := source.commands([]string{"CLUSTER", "SETSLOT", number, "MIGRATING", targetID[0]}); err != nil {
		return err
	}
	if err := source.sendKeys(number, target); err != nil {
		return err
	}
	assign := []string{"CLUSTER", "SETSLOT", number, "NODE", targetID[0]}
	return errors.Join(target.commands(assign), source.commands(assign))
}

// sendKeys moves the keys of a slot to another node.
func (r *Redis) sendKeys(slot string, to *Redis) error {
	for {
		keys, err := r.command("CLUSTER", "GETKEYSINSLOT", slot, strconv.Itoa(migrateBatchMax))
		if err != nil || len(keys) == 0 {
			return err
		}
		move := append([]string{"MIGRATE", loopback, strconv.Itoa(to.port), "", "0", "5000", "KEYS"}, keys...)
		if err := r.commands(move); err != nil {
			return err
		}
	}
}

// LogTail returns the last lines of the logs of all nodes, at most n of each.
func (c *RedisCluster) LogTail(n int) string {
	var text strings.Builder
	for _, r := range c.nodes {
		fmt.Fprintf(&text, "node on port %d:\n%s\n", r.port, r.LogTail(n))
	}
	return text.String()
}

// Close ends the nodes and removes their files. It may be called more than once.
func (c *RedisCluster) Close() error { return closeAll(c.nodes) }

// closeAll closes what was launched of a group.
func closeAll(all []*Redis) error {
	var failures []error
	for _, r := range all {
		if r != nil {
			failures = append(failures, r.Close())
		}
	}
	return errors.Join(failures...)
}
