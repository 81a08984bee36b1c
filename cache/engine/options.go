package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// The defaults of Options.
const (
	memoryBytesDefault = 64 << 20
	stalenessDefault   = time.Second
	entryMaxDefault    = 1 << 20
	ttlDefault         = time.Hour
	waitMaxDefault     = 10 * time.Second
	flightsMaxDefault  = 1 << 14
	leaseMinDefault    = 5 * time.Millisecond
)

// Options configure a Cache. Only Fence is required.
type Options struct {
	// Fence says which entries may be served. A follower feeds it.
	Fence *fence.Fence
	// Confirm returns nil once the fence's LookBegan is at or after the given
	// moment, and an error if that cannot be had before ctx ends. It is the
	// follower's. Without it nothing is published to Remote, and readers that
	// need a newer head load from Postgres.
	Confirm func(ctx context.Context, at fence.Instant) error
	// Wake asks for a look soon, without waiting for it. It is the follower's. Without
	// it no look is made before a reader waits for it: see Anticipate.
	Wake func()
	// Ended, unless nil, is told once of each entry that an event has ended: its shape, which of
	// its tags has moved, 0 if all that was known was thrown away, and all of them, which it must
	// not keep. It must not wait.
	Ended func(shape uint64, moved fence.Tag, tags []fence.Tag)
	// Remote is the second tier. nil: there is none.
	Remote Remote
	// RemotePolicy says for which loads Remote is asked first, and given what they
	// brought. Empty means RemoteWhereItPays.
	RemotePolicy RemotePolicy
	// Compress shortens what Remote is given, where that is worth it. Entries that
	// others compressed are read in any case.
	Compress bool
	// Keys, each of SealKeyLength random bytes, make entries in Remote secret, and
	// impossible to make or to exchange for who can write to it: what is not sealed
	// by one of Keys is not used. The first key seals. To replace a key, first let
	// every process know the new one as the second, then put it first everywhere,
	// and take the old one out after TTL. Change a key before it has sealed four
	// billion entries. None: entries are readable, and whoever can write to Remote
	// can make answers up. With Compress the length of an entry says something
	// about its content.
	Keys [][]byte

	// MemoryBytes bounds the first tier. 0 means 64 MiB.
	MemoryBytes int64
	// Staleness is how old a commit may be that a reader without a session is not
	// shown yet. 0 means 1 s.
	Staleness time.Duration
	// EntryMax is the largest entry that is kept, in bytes, its key included.
	// Larger ones are loaded every time. 0 means 1 MiB.
	EntryMax int
	// TTL is the longest life of an entry in both tiers together. It bounds the
	// harm of changes that no trigger sees. Lives are shortened by up to a tenth,
	// at random, so that entries made together do not end together. 0 means 1 h.
	TTL time.Duration
	// WaitMax is how long a reader waits for another's load before it loads
	// itself. 0 means 10 s.
	WaitMax time.Duration
	// LeaseMin is how long a load must take for it to be shared between processes
	// (Flight.Fetch), as far as this process knows; so it is for one that it does
	// not know. Below it waiting for another process would be no faster than a load;
	// RemoteAlways has it waited for all the same. 0 means 5 ms.
	LeaseMin time.Duration
	// FlightsMax bounds the number of keys that are loaded together. Beyond it
	// readers load without waiting for one another. 0 means 16384.
	FlightsMax int
}

// withDefaults returns o with its zero values replaced, or what is wrong with it.
func (o Options) withDefaults() (Options, error) {
	if o.Fence == nil {
		return o, errors.New("make cache: Options.Fence is nil, give the fence that the follower feeds")
	}
	if o.MemoryBytes < 0 || o.Staleness < 0 || o.EntryMax < 0 || o.TTL < 0 || o.WaitMax < 0 || o.LeaseMin < 0 || o.FlightsMax < 0 {
		return o, errors.New("make cache: an option is negative, use 0 for its default")
	}
	switch o.RemotePolicy {
	case "":
		o.RemotePolicy = RemoteWhereItPays
	case RemoteWhereItPays, RemoteAlways, RemoteNever:
	default:
		return o, fmt.Errorf("make cache: RemotePolicy is %q, use %q, %q or %q", o.RemotePolicy, RemoteWhereItPays, RemoteAlways, RemoteNever)
	}
	orDefault(&o.MemoryBytes, memoryBytesDefault)
	orDefault(&o.Staleness, stalenessDefault)
	orDefault(&o.EntryMax, entryMaxDefault)
	orDefault(&o.TTL, ttlDefault)
	orDefault(&o.WaitMax, waitMaxDefault)
	orDefault(&o.LeaseMin, leaseMinDefault)
	orDefault(&o.FlightsMax, flightsMaxDefault)
	if o.EntryMax > entryMaxHighest {
		return o, fmt.Errorf("make cache: EntryMax is %d bytes, at most %d can be stored", o.EntryMax, entryMaxHighest)
	}
	return o, nil
}

func orDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// WaitMax is Options.WaitMax, or its default.
func (c *Cache) WaitMax() time.Duration { return c.options.WaitMax }
