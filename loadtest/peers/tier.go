package main

import (
	"time"

	"github.com/Yiling-J/theine-go"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/maypok86/otter/v2"
	"github.com/viccon/sturdyc"

	"github.com/freshet/freshet/cache/memory"
)

// A tier is what holds values in one process.
type tier interface {
	get(key uint32) bool
	// set holds a value of so many bytes, whose load took so long.
	set(key uint32, bytes int, took time.Duration)
	close()
}

// A maker makes a tier that holds so many bytes, of items of so many bytes on average.
type maker struct {
	name string
	make func(bytes, average int) tier
	// counts says that it holds a number of items, however large they are.
	counts bool
}

var tiers = []maker{
	{"Freshet", newOurs, false},
	{"Ristretto", newRistretto, false},
	{"Otter", newOtter, false},
	{"theine", newTheine, false},
	{"sturdyc", newSturdyc, true},
}

// held is what is held of a value: its size is only told.
type held struct {
	key   uint32
	bytes uint32
}

// oursOverhead is what the memory tier charges for each item besides; the others charge
// nothing, so it is given to ours on top.
const oursOverhead = 192

type ours struct{ store *memory.Store[held] }

func newOurs(bytes, average int) tier {
	s, err := memory.New[held](memory.Options[held]{MaxBytes: int64(bytes + bytes/average*oursOverhead)})
	if err != nil {
		panic(err)
	}
	return ours{s}
}

func (t ours) get(key uint32) bool {
	_, ok := t.store.Get(spread(key))
	return ok
}

func (t ours) set(key uint32, bytes int, took time.Duration) {
	t.store.Set(spread(key), &held{key: key}, int64(bytes), took)
}

func (t ours) close() { t.store.Close() }

// spread makes a hash of a key, as maphash does for real ones.
func spread(key uint32) uint64 {
	x := uint64(key) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

type bareRistretto struct {
	cache *ristretto.Cache[uint32, *held]
}

func newRistretto(bytes, average int) tier {
	c, err := ristretto.NewCache(&ristretto.Config[uint32, *held]{
		NumCounters: int64(10 * bytes / average), MaxCost: int64(bytes), BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		panic(err)
	}
	return bareRistretto{c}
}

func (t bareRistretto) get(key uint32) bool {
	_, ok := t.cache.Get(key)
	return ok
}

func (t bareRistretto) set(key uint32, bytes int, _ time.Duration) {
	t.cache.Set(key, &held{key: key}, int64(bytes))
}

func (t bareRistretto) close() { t.cache.Close() }

type otterTier struct{ cache *otter.Cache[uint32, *held] }

func newOtter(bytes, _ int) tier {
	return otterTier{otter.Must(&otter.Options[uint32, *held]{
		MaximumWeight: uint64(bytes),
		Weigher:       func(_ uint32, v *held) uint32 { return v.bytes },
		// At once, so that a fast trace does not outrun it.
		Executor: func(run func()) { run() },
	})}
}

func (t otterTier) get(key uint32) bool {
	_, ok := t.cache.GetIfPresent(key)
	return ok
}

func (t otterTier) set(key uint32, bytes int, _ time.Duration) {
	t.cache.Set(key, &held{key, uint32(bytes)})
}

func (t otterTier) close() { t.cache.InvalidateAll() }

type theineTier struct {
	cache *theine.Cache[uint32, *held]
}

func newTheine(bytes, _ int) tier {
	c, err := theine.NewBuilder[uint32, *held](int64(bytes)).Build()
	if err != nil {
		panic(err)
	}
	return theineTier{c}
}

func (t theineTier) get(key uint32) bool {
	_, ok := t.cache.Get(key)
	return ok
}

func (t theineTier) set(key uint32, bytes int, _ time.Duration) {
	t.cache.Set(key, &held{key: key}, int64(bytes))
}

func (t theineTier) close() { t.cache.Close() }

type sturdycTier struct{ cache *sturdyc.Client[*held] }

func newSturdyc(bytes, average int) tier {
	const shards, evictedPercent = 16, 10
	return sturdycTier{sturdyc.New[*held](bytes/average, shards, time.Hour, evictedPercent)}
}

func (t sturdycTier) get(key uint32) bool {
	_, ok := t.cache.Get(text(key))
	return ok
}

func (t sturdycTier) set(key uint32, _ int, _ time.Duration) { t.cache.Set(text(key), &held{key: key}) }

func (t sturdycTier) close() {}

// text is a key of who knows texts only.
func text(key uint32) string {
	return string([]byte{byte(key >> 24), byte(key >> 16), byte(key >> 8), byte(key)})
}
