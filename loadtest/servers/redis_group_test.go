package servers

import (
	"context"
	"testing"
)

func TestClusterMovesASlot(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, 3)
	from, slot, err := c.Owner("key")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Nodes()[from].commands([]string{"SET", "key", "value"}); err != nil {
		t.Fatal(err)
	}
	to := (from + 1) % 3
	if err := c.MoveSlot(slot, from, to); err != nil {
		t.Fatal(err)
	}
	if now, _, err := c.Owner("key"); now != to || err != nil {
		t.Fatalf("the slot is on node %d, want %d: %v", now, to, err)
	}
	if !c.Nodes()[to].says("value", "GET", "key") {
		t.Fatal("the key was lost on its way")
	}
}

func TestClusterLosesANode(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, 3)
	nodes := c.Nodes()
	nodes[0].Kill()
	Eventually(t, "the others know", func() bool { return nodes[1].says("cluster_slots_fail:5461", "CLUSTER", "INFO") })
	if err := nodes[0].Start(); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "it is back", func() bool { return nodes[1].says("cluster_slots_fail:0", "CLUSTER", "INFO") })
}

func TestSentinelPromotesALaggingReplica(t *testing.T) {
	t.Parallel()
	s := StartSentinel(t)
	if err := s.Master().commands([]string{"SET", "key", "old"}); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the replica has it", func() bool { return s.Replica().says("old", "GET", "key") })
	if err := s.Sever(); err != nil {
		t.Fatal(err)
	}
	if err := s.Master().commands([]string{"SET", "key", "new"}); err != nil {
		t.Fatal(err)
	}
	s.Master().Kill()
	if err := s.Failover(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !s.Replica().says("old", "GET", "key") {
		t.Fatal("the replica did not lag")
	}
}

func TestGroupsThatCannotStart(t *testing.T) {
	t.Parallel()
	if c, err := LaunchCluster(context.Background(), 0); err == nil {
		t.Fatal(c.Close())
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if c, err := LaunchCluster(ended, 2); err == nil {
		t.Fatal("started although its time was over: ", c.Close())
	}
	if s, err := LaunchSentinel(ended); err == nil {
		t.Fatal("started although its time was over: ", s.Close())
	}
}
