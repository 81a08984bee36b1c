package redis

import (
	"context"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// nodesMax bounds the nodes of a Cluster that are told apart. Nodes come and go;
// beyond it the others share one breaker until the process ends.
const nodesMax = 1000

// health says who may be asked. One server, or what Sentinels watch, has one
// breaker. The nodes of a Cluster have one each: a node that hangs must not cost
// the readers of the others, nor be hidden by the success of theirs.
type health struct {
	ctx     context.Context // of the probes
	timeout time.Duration   // of a question to a Cluster
	probe   func(ctx context.Context, key string) error
	changed func()                 // called when a breaker opens or closes
	whole   *breaker               // the server, or what is known of the Cluster's nodes
	cluster *goredis.ClusterClient // nil: no Cluster

	mu    sync.RWMutex
	nodes map[string]*breaker // by address
	ended bool
}

func newHealth(ctx context.Context, client goredis.UniversalClient, timeout time.Duration, probe func(ctx context.Context, key string) error, changed func()) *health {
	h := &health{ctx: ctx, timeout: timeout, probe: probe, changed: changed, nodes: map[string]*breaker{}}
	h.cluster, _ = client.(*goredis.ClusterClient)
	if h.cluster != nil {
		probe = func(ctx context.Context, key string) error {
			_, err := h.cluster.MasterForKey(ctx, key)
			return err
		}
	}
	h.whole = newBreaker(ctx, probe, changed)
	return h
}

// admit returns the breaker that is to be told how a call about a key, whose name begins
// with a prefix, ended; or nil if the call must not be made. The first calls ask a
// Cluster for its nodes; if it does not tell, the error is theirs.
func (h *health) admit(ctx context.Context, prefix, key string) (part *breaker, err error) {
	if !h.whole.allow() {
		return nil, nil
	}
	if h.cluster == nil {
		return h.whole, nil
	}
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	master, err := h.cluster.MasterForKey(ctx, prefix+key)
	if err != nil {
		return h.whole, err
	}
	h.whole.succeeded()
	if part = h.node(master.Options().Addr); !part.allow() {
		return nil, nil
	}
	return part, nil
}

// node returns the breaker of a node.
func (h *health) node(address string) *breaker {
	h.mu.RLock()
	b := h.nodes[address]
	h.mu.RUnlock()
	if b != nil {
		return b
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if b = h.nodes[address]; b != nil {
		return b
	}
	if h.ended || len(h.nodes) >= nodesMax {
		return h.whole
	}
	b = newBreaker(h.ctx, h.probe, h.changed)
	h.nodes[address] = b
	return b
}

// all returns every breaker.
func (h *health) all() []*breaker {
	h.mu.RLock()
	defer h.mu.RUnlock()
	all := []*breaker{h.whole}
	for _, b := range h.nodes {
		all = append(all, b)
	}
	return all
}

// summary returns how often breakers opened, and the worst state of any.
func (h *health) summary() (opened uint64, state string) {
	state = "closed"
	for _, b := range h.all() {
		opened += b.opened.Load()
		if b.forgotten() {
			continue // of a node that has left, most likely
		}
		if name := b.name(); name == "open" || state == "closed" {
			state = name
		}
	}
	return opened, state
}

// close opens all breakers for good and waits for probes under way.
func (h *health) close() {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	for _, b := range h.all() {
		b.close()
	}
}
