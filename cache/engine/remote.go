package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// Remote is a tier that processes share: a bag of bytes that may lose, delay,
// corrupt and bring back what it was given. It answers within a short time of
// its own, or says no.
type Remote interface {
	// Get returns the bytes last set under key and how long they are still kept by
	// the tier's own clock, or false. Nobody changes them.
	Get(ctx context.Context, key string) (value []byte, left time.Duration, ok bool)
	// Set keeps value for at most ttl, and reports whether the tier took it. It
	// does not keep the slice.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) bool
}

// Tier says where an entry was found.
type Tier uint8

const (
	// Nowhere: it was not.
	Nowhere Tier = iota
	// Memory is the tier of this process.
	Memory
	// Shared is the remote tier.
	Shared
)

// Fetch looks for an entry where a leader may find it: in the first tier again,
// since another leader may have stored it after this one's Lookup, and in the
// remote tier, from where it is copied into the first. hash is Hash(key). What
// it returns is of this key and admitted by the fence; ask Serve before it is
// shown to a session. shape names what takes about the same time to load, as for
// Flight.Fetch: where the remote tier does not pay, it is not asked.
func (c *Cache) Fetch(ctx context.Context, key []byte, hash, shape uint64, decode Decode) (*Entry, Tier) {
	if e, ok := c.held(key, hash); ok {
		return e, Memory
	}
	head := c.fence.Head()
	if head == nil || !c.AsksRemote(shape, key) {
		return nil, Nowhere
	}
	return c.ask(ctx, question{name: remoteKey(head.Incarnation, key), key: key, hash: hash, shape: shape, decode: decode})
}

// question is what the remote tier is asked.
type question struct {
	name        string // of the key there
	key         []byte
	hash, shape uint64
	decode      Decode
}

// ask asks the remote tier once.
func (c *Cache) ask(ctx context.Context, q question) (*Entry, Tier) {
	began := time.Now()
	src, left, ok := c.options.Remote.Get(ctx, q.name)
	took := time.Since(began)
	var e *Entry
	if ok {
		e = c.accept(src, left, q)
	}
	c.noteAsked(q.shape, q.key, took, e != nil)
	if e == nil {
		return nil, Nowhere
	}
	return e, Shared
}

// accept makes an entry of bytes that answered a question to the remote tier, and
// copies it to the first one; or returns nil if they are of no use.
func (c *Cache) accept(src []byte, left time.Duration, q question) *Entry {
	e, fault := c.open(src, left, q.key, q.name, q.decode)
	if fault == usable && !c.admitted(e, fence.Now()) {
		fault = overtaken
	}
	if fault != usable {
		c.counters.unusable[fault].Add(1)
		return nil
	}
	c.counters.fetched.Add(1)
	c.noteLoad(q.shape, e.took)
	e.hash, e.shape = q.hash, q.shape
	c.keep(e)
	return e
}

// fault is why a record of the remote tier is of no use.
type fault int

const (
	usable    fault = iota
	broken          // its bytes are none of ours, of another key, or too many
	expired         // its life is over
	overtaken       // an event that it lacks was received
	faults
)

// open makes an entry of bytes from the remote tier, whoever wrote them.
func (c *Cache) open(src []byte, left time.Duration, key []byte, name string, decode Decode) (*Entry, fault) {
	var few [recordTags]fence.Tag
	r, ok := c.envelopes.open(src, name, few[:0])
	if !ok || string(r.key) != string(key) {
		return nil, broken
	}
	// Wall clocks jump, and those of two machines differ. So the life that is left
	// is measured twice, by the tier's clock and by comparing this machine's with
	// the one of the machine that loaded, and the shorter counts: one wrong clock
	// ends entries early, and lengthens none.
	left = min(left, r.life-max(c.wall().Sub(r.born), 0), c.TTL())
	if left <= 0 {
		return nil, expired
	}
	payload, err := decode(r.payload)
	if err != nil {
		return nil, broken
	}
	now := fence.Now()
	// What the entry shows existed when it arrived. If the head includes all of
	// it, then it does not matter to any session when that was.
	loaded := now
	if c.fence.Settled(r.label) {
		loaded = 0
	}
	room := new(Room)
	room.ticket.Init(r.label, loaded, r.tags)
	e := &room.entry
	e.Ticket, e.Key, e.Payload, e.Expires = &room.ticket, r.key, payload, now.Add(left)
	e.born, e.life, e.took = r.born, r.life, r.took
	if e.size() > c.EntryMax() {
		return nil, broken
	}
	return e, usable
}

// remoteKeyPrefix begins every key in the remote tier. The number is that of the
// envelope's format: releases that differ in it do not see each other's entries.
const remoteKeyPrefix = "freshet:6:"

// remoteKey names a key in the remote tier. Its last part is a hash of 128 bits;
// the whole key is in the record. The braces make a Redis Cluster place a key by
// its hash alone, so that a key's lease is on the node of the key.
func remoteKey(incarnation fence.Incarnation, key []byte) string {
	const nameRoom = 128 // of most
	var room [nameRoom]byte
	sum := sha256.Sum256(key)
	name := append(append(append(room[:0], remoteKeyPrefix...), incarnation...), ":{"...)
	return string(append(hex.AppendEncode(name, sum[:16]), '}'))
}
