// Package fleet tells the sidecars of one database that share a Redis of one another. Each
// says every few seconds what an operator wants to know of it, and reads what the others
// said.
//
// It guarantees that what it keeps and asks for is bounded: PlacesMax places in Redis, one
// for each sidecar, of which sizeMax bytes are read. Redis is not believed: what it says is
// cut, stripped of what is not printable and put into bounds, is shown to people, and
// decides nothing. A sidecar that has ended leaves at once, one that was killed after life.
//
// It compares no clocks: Redis forgets a place that nobody renews. More sidecars than
// places are not all seen, and work as ever. The methods of a Fleet may be called
// concurrently.
package fleet

import (
	"cmp"
	"context"
	cryptorand "crypto/rand"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// PlacesMax is how many sidecars of a database see one another.
	PlacesMax = 64
	// every is the time between two beats, life how long Redis remembers one.
	every = 5 * time.Second
	life  = 4 * every
	// sizeMax bounds what a sidecar says of itself, in bytes.
	sizeMax = 2 << 10
	// window is how many beats rates are taken over: a minute.
	window = 12
	// leaveMax bounds the time that a sidecar takes to say that it has ended.
	leaveMax = 200 * time.Millisecond
)

// Store is what a Fleet needs of a redis.Store.
type Store interface {
	Glance(ctx context.Context, keys []string, bytesMax int) (values [][]byte, ok bool)
	Claim(ctx context.Context, key string, value []byte, life time.Duration) bool
	Renew(ctx context.Context, key string, value []byte, life time.Duration) bool
}

// Options configure a Fleet. All are required.
type Options struct {
	Store Store
	// Database groups the sidecars: those of one name see one another.
	Database string
	// DescribeFunc says how this sidecar is, and what it has counted. What the Fleet knows
	// better (ID, Self and the rates) it fills in itself.
	DescribeFunc func() (Member, Counts)
}

// Fleet is this sidecar's place among the others. New makes it.
type Fleet struct {
	options Options
	id      string
	keys    []string

	// These belong to the goroutine of Run.
	counted []counted // oldest first, at most window+1
	place   int       // the one that was held at the last beat; -1: none yet
	// begin is where this sidecar begins to look for a free place. It is moved by a claim
	// that failed.
	begin int

	mu     sync.Mutex
	self   *Member  // as of the last beat; nil before the first
	others []Member // as they were read at readAt
	readAt time.Time
}

// New returns a Fleet that knows nobody yet.
func New(o Options) *Fleet {
	f := &Fleet{options: o, id: cryptorand.Text(), place: -1, begin: rand.IntN(PlacesMax)}
	for place := range PlacesMax {
		// The braces keep the places on one node of a Cluster.
		f.keys = append(f.keys, fmt.Sprintf("freshet:fleet:{%x}:%d", o.Database, place))
	}
	return f
}

// Run takes part until ctx ends.
func (f *Fleet) Run(ctx context.Context) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		f.beat(ctx)
		select {
		case <-ctx.Done():
			f.leave(ctx)
			return nil
		case <-ticker.C:
		}
	}
}

// Members lists this sidecar first, and then the others in order, as of the last beat:
// none before the first, and none but this one where Redis has not told for the life of a
// place.
func (f *Fleet) Members() []Member {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.self == nil {
		return nil
	}
	members := []Member{*f.self}
	if time.Since(f.readAt) <= life {
		members = append(members, f.others...)
	}
	return members
}

// beat reads what the others say, and says how this sidecar is.
func (f *Fleet) beat(ctx context.Context) {
	self := f.describe()
	f.know(self)
	values, ok := f.options.Store.Glance(ctx, f.keys, sizeMax)
	if !ok {
		return
	}
	members := make([]*Member, len(values))
	for place, value := range values {
		members[place] = parse(value)
	}
	f.knowOthers(members)
	if text, err := json.Marshal(self); err == nil && len(text) <= sizeMax {
		f.say(ctx, text, values, members, self)
	}
}

// say puts what this sidecar says of itself into its place, or into a free one.
//
// A place is renewed whatever lies there:
//
//  1. a sidecar finds itself in its place, and is suspended for longer than life;
//  2. Redis forgets the place, and another sidecar claims it;
//  3. the first one goes on, and overwrites the other;
//  4. the other does not find itself at its next beat, and claims another place.
//
// So nobody sees the other for one beat, and nothing else. Forced by
// TestWhoIsOverwrittenClaimsAnotherPlace.
func (f *Fleet) say(ctx context.Context, text []byte, values [][]byte, members []*Member, self Member) {
	first := f.place < 0
	free := -1
	for i := range members {
		// Each sidecar begins elsewhere, as many may start at once.
		place := (i + f.begin) % len(members)
		m := members[place]
		switch {
		case m != nil && m.ID == f.id:
			f.place = place
			f.options.Store.Renew(ctx, f.keys[place], text, life)
			return
		case first && m != nil && m.Host == self.Host && m.Socket == self.Socket:
			// It is of the process before, of which only one can have the socket.
			if f.options.Store.Renew(ctx, f.keys[place], text, life) {
				f.place = place
			}
			return
		case free < 0 && values[place] == nil:
			free = place
		}
	}
	if free < 0 {
		return
	}
	if f.options.Store.Claim(ctx, f.keys[free], text, life) {
		f.place = free
	} else {
		f.begin = free + 1
	}
}

// know remembers how this sidecar is.
func (f *Fleet) know(self Member) {
	self.Self = true
	f.mu.Lock()
	defer f.mu.Unlock()
	f.self = &self
}

// knowOthers remembers what was read, nil for places where nobody is.
func (f *Fleet) knowOthers(members []*Member) {
	var others []Member
	seen := map[string]bool{f.id: true}
	for _, m := range members {
		if m != nil && !seen[m.ID] {
			seen[m.ID] = true
			others = append(others, *m)
		}
	}
	slices.SortFunc(others, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Socket, b.Socket), cmp.Compare(a.ID, b.ID))
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.others, f.readAt = others, time.Now()
}

// leave frees this sidecar's place, so that nobody takes it for one that is there.
func (f *Fleet) leave(ctx context.Context) {
	if f.place < 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveMax)
	defer cancel()
	key := f.keys[f.place]
	if values, ok := f.options.Store.Glance(ctx, []string{key}, sizeMax); !ok || parse(values[0]) == nil || parse(values[0]).ID != f.id {
		return
	}
	f.options.Store.Renew(ctx, key, []byte("left"), time.Millisecond)
}
