package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

const (
	// ValueMax is the largest value that is set or read, in bytes.
	ValueMax = 8 << 20

	timeoutDefault = 50 * time.Millisecond
	// connectionsMax bounds the connections of one store. A call takes some 50 µs,
	// so they carry hundreds of thousands a second.
	connectionsMax = 16
	// ttlMin is the shortest life that Redis can be told.
	ttlMin = time.Millisecond
)

// Options configure a Store.
type Options struct {
	// URL names the server:
	//
	//	redis://[user:password@]host[:port][/db]
	//	unix://[user:password@]/path[?db=n]
	//	redis-sentinel://[user:password@]host[:port],host[:port]…/master[?db=n]
	//	redis-cluster://[user:password@]host[:port],host[:port]…
	//
	// and with "rediss" instead of "redis" through TLS. Sentinels that want a
	// password get sentinel_user and sentinel_password from the query.
	URL string
	// Timeout bounds each call, connecting included. 0 means 50 ms.
	Timeout time.Duration
	// Prefix is put before every key, for a Redis that has other users.
	Prefix string
	// OnCall, unless nil, is told how long each exchange took, whatever came of it: "get" a
	// question for values, "set" to put some there, "lease" a question that may take a lease.
	// It must be quick.
	OnCall func(what string, took time.Duration)
	// Logger is told when Redis stops being of use, and when it is again. nil means
	// nobody is.
	Logger *slog.Logger
}

// Store is a client of one Redis. New makes one.
type Store struct {
	client  goredis.UniversalClient
	timeout time.Duration
	prefix  string
	health  *health
	// readings are the questions of Get.
	readings *readings
	// condition is what Redis says of itself.
	condition condition
	onCall    func(what string, took time.Duration) // nil: nobody is told

	gets, hits, sets, leases, errors, refused, skipped atomic.Uint64
	failures                                           [failureKinds]atomic.Uint64 // those of errors, by kind
	lastError                                          atomic.Pointer[string]
	room                                               atomic.Pointer[Room] // nil before AskRoom
}

// The exchanges that Options.OnCall is told of.
const (
	exchangeGet   = "get"
	exchangeSet   = "set"
	exchangeLease = "lease"
)

// begins is the moment at which an exchange begins, if anybody is told how long it takes.
func (s *Store) begins() (now time.Time) {
	if s.onCall != nil {
		now = time.Now()
	}
	return now
}

// timed tells how long an exchange took that began at a moment.
func (s *Store) timed(what string, began time.Time) {
	if s.onCall != nil {
		s.onCall(what, time.Since(began))
	}
}

// New returns a store for the Redis at o.URL, whether or not it runs now. ctx
// ends the store's background work, as Close does.
func New(ctx context.Context, o Options) (*Store, error) {
	p, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("make Redis tier: Timeout is %v, use 0 for %v", o.Timeout, timeoutDefault)
	}
	if o.Timeout == 0 {
		o.Timeout = timeoutDefault
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{client: p.connect(o.Timeout), timeout: o.Timeout, prefix: o.Prefix, onCall: o.OnCall}
	s.readings = newReadings(s.client, o.Timeout)
	s.health = newHealth(ctx, s.client, s.timeout, s.probe, s.condition.tell)
	s.condition.logger, s.condition.health, s.condition.told = o.Logger, s.health, Up
	return s, nil
}

// SilenceClient stops go-redis from writing connection failures to standard
// error, for the whole process: a program that shows Stats calls it once.
func SilenceClient() { logging.Disable() }

// admit returns the breaker that is to be told how a call about key ended, or
// nil if none may be made.
func (s *Store) admit(ctx context.Context, key string) *breaker {
	part, err := s.health.admit(ctx, s.prefix, key)
	if err != nil {
		s.settle(ctx, part, callRead, key, err)
		return nil
	}
	if part == nil {
		s.skipped.Add(1)
	}
	return part
}

// probe asks for something of a key that could not be had.
func (s *Store) probe(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.client.GetRange(ctx, s.prefix+key, 0, 0).Err()
	s.noteError(err)
	s.condition.noteAnswer(callRead, err)
	return transportFailure(err)
}

// Get returns the value of key and how long Redis will keep it. Nothing there, a
// value that is empty, larger than ValueMax or kept for ever, and any failure
// are a miss. The bytes must not be changed.
func (s *Store) Get(ctx context.Context, key string) (value []byte, left time.Duration, ok bool) {
	part := s.admit(ctx, key)
	if part == nil {
		return nil, 0, false
	}
	s.gets.Add(1)
	began := s.begins()
	value, left, err := s.readings.ask(ctx, s.prefix+key)
	s.timed(exchangeGet, began)
	if !s.settle(ctx, part, callRead, key, err) {
		return nil, 0, false
	}
	return s.usable(value, left)
}

// usable counts and returns a value that may be one that Set set.
func (s *Store) usable(value []byte, left time.Duration) ([]byte, time.Duration, bool) {
	if len(value) == 0 || len(value) > ValueMax || left <= 0 {
		return nil, 0, false
	}
	s.hits.Add(1)
	return value, left, true
}

// Set keeps value under key for ttl, at most. It reports whether Redis took it.
// It does not keep the slice.
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) bool {
	if !s.forRedis(value, ttl) {
		return false
	}
	part := s.admit(ctx, key)
	if part == nil {
		return false
	}
	s.sets.Add(1)
	call, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	began := time.Now()
	err := s.client.Set(call, s.prefix+key, value, ttl.Truncate(ttlMin)).Err()
	s.timed(exchangeSet, began)
	return s.settle(ctx, part, callWrite, key, err)
}

// settle notes how a call about key ended, and reports whether it went well. A
// caller that went away says nothing about Redis.
func (s *Store) settle(ctx context.Context, part *breaker, kind call, key string, err error) bool {
	if err == nil {
		part.succeeded()
		s.condition.noteAnswer(kind, nil)
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	s.noteError(err)
	if transportFailure(err) != nil {
		part.failed(key)
	} else {
		part.succeeded()
		s.condition.noteAnswer(kind, err)
	}
	return false
}

// transportFailure returns err unless it is an answer: a Redis that says no, for
// lack of memory or rights, says so without delay.
func transportFailure(err error) error {
	var answer goredis.Error
	if errors.As(err, &answer) {
		return nil
	}
	return err
}

func (s *Store) noteError(err error) {
	if err == nil {
		return
	}
	s.errors.Add(1)
	s.failures[kindOf(err)].Add(1)
	text := err.Error()
	s.lastError.Store(&text)
}

// Stats are counts since New.
type Stats struct {
	Gets   uint64 // reads sent to Redis
	Hits   uint64 // those that brought a value
	Sets   uint64 // writes sent to Redis
	Leases uint64 // those of Gets that asked for a lease too
	Errors uint64 // calls and probes that failed
	// ErrorsOf are the same by their kind: "timeout", "network", "auth", "oom", "readonly" and
	// "other", which is any other answer of Redis' that is an error.
	ErrorsOf map[string]uint64
	Refused  uint64 // values that are not for Redis: empty, too large, no life left
	Skipped  uint64 // calls that the open breaker answered
	Opened   uint64 // times the breaker opened
	// State of the breaker: "closed", "open" or "probing"; of a Cluster, whose nodes
	// have one each, the worst of those that were asked within a minute.
	State string
	// Room is what AskRoom has found last.
	Room Room
	// Condition says whether Redis is of any use, Refusal what it says if it refuses.
	Condition Condition
	Refusal   string
	// LastError is the text of the latest failure, empty if there was none.
	LastError string
}

// Stats returns counts that were each right at some moment of the call.
func (s *Store) Stats() Stats {
	st := Stats{
		Gets: s.gets.Load(), Hits: s.hits.Load(), Sets: s.sets.Load(), Errors: s.errors.Load(),
		Refused: s.refused.Load(), Skipped: s.skipped.Load(), Leases: s.leases.Load(),
	}
	st.ErrorsOf = make(map[string]uint64, failureKinds)
	for kind := range failureKinds {
		st.ErrorsOf[kind.String()] = s.failures[kind].Load()
	}
	st.Opened, st.State = s.health.summary()
	st.Condition, _, st.Refusal = s.condition.now()
	if room := s.room.Load(); room != nil {
		st.Room = *room
	}
	if text := s.lastError.Load(); text != nil {
		st.LastError = *text
	}
	return st
}

// Close ends background work and closes the connections. Calls made afterwards
// are misses. It may be called more than once.
func (s *Store) Close() error {
	s.health.close()
	if err := s.client.Close(); err != nil && !errors.Is(err, goredis.ErrClosed) {
		return fmt.Errorf("close Redis connections: %w", err)
	}
	return nil
}
