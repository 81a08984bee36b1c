package redis

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
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
	// URL names the server: "redis://[user:password@]host[:port][/db]", the same
	// with "rediss" for TLS, or "unix://[user:password@]/path[?db=n]".
	URL string
	// Timeout bounds each call, connecting included. 0 means 50 ms.
	Timeout time.Duration
	// Prefix is put before every key, for a Redis that has other users.
	Prefix string
}

// Store is a client of one Redis. New makes one.
type Store struct {
	client  *goredis.Client
	timeout time.Duration
	prefix  string
	breaker *breaker

	gets, hits, sets, errors, refused, skipped atomic.Uint64
	lastError                                  atomic.Pointer[string]
}

// New returns a store for the Redis at o.URL, whether or not it runs now. ctx
// ends the store's background work, as Close does.
func New(ctx context.Context, o Options) (*Store, error) {
	c, err := goredis.ParseURL(o.URL)
	if err != nil {
		// The error may quote the URL, and that may hold a password.
		return nil, errors.New("parse Redis URL: write redis://host:port/db, rediss://host:port/db or unix:///path/to/socket?db=0")
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("make Redis tier: Timeout is %v, use 0 for %v", o.Timeout, timeoutDefault)
	}
	if o.Timeout == 0 {
		o.Timeout = timeoutDefault
	}
	c.ContextTimeoutEnabled = true
	c.DialTimeout, c.ReadTimeout, c.WriteTimeout, c.PoolTimeout = o.Timeout, o.Timeout, o.Timeout, o.Timeout
	// A miss is cheaper than a second try.
	c.MaxRetries, c.DialerRetries = -1, 1
	c.PoolSize, c.MaxActiveConns, c.PipelinePoolSize = connectionsMax, connectionsMax, -1
	// Nothing here needs pushes from the server, nor the commands that ask for them.
	c.Protocol = 2
	c.DisableIdentity = true
	c.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}

	s := &Store{client: goredis.NewClient(c), timeout: o.Timeout, prefix: o.Prefix}
	s.breaker = newBreaker(ctx, s.probe)
	return s, nil
}

// SilenceClient stops go-redis from writing connection failures to standard
// error, for the whole process: a program that shows Stats calls it once.
func SilenceClient() { logging.Disable() }

func (s *Store) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.client.Ping(ctx).Err()
	s.noteError(err)
	return transportFailure(err)
}

// Get returns the value of key. Nothing there, a value that is empty or larger
// than ValueMax, and any failure are a miss. The bytes must not be changed.
func (s *Store) Get(ctx context.Context, key string) ([]byte, bool) {
	if !s.breaker.allow() {
		s.skipped.Add(1)
		return nil, false
	}
	s.gets.Add(1)
	call, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	// A range and not the whole: who filled this Redis with values of 500 MB
	// fills no memory here.
	value, err := s.client.GetRange(call, s.prefix+key, 0, ValueMax).Bytes()
	if !s.settle(ctx, err) || len(value) == 0 || len(value) > ValueMax {
		return nil, false
	}
	s.hits.Add(1)
	return value, true
}

// Set keeps value under key for ttl, at most. It reports whether Redis took it.
// It does not keep the slice.
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) bool {
	if len(value) == 0 || len(value) > ValueMax || ttl < ttlMin {
		s.refused.Add(1)
		return false
	}
	if !s.breaker.allow() {
		s.skipped.Add(1)
		return false
	}
	s.sets.Add(1)
	call, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.settle(ctx, s.client.Set(call, s.prefix+key, value, ttl.Truncate(ttlMin)).Err())
}

// settle notes how a call ended, and reports whether it went well. A caller that
// went away says nothing about Redis.
func (s *Store) settle(ctx context.Context, err error) bool {
	if err == nil {
		s.breaker.succeeded()
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	s.noteError(err)
	if transportFailure(err) != nil {
		s.breaker.failed()
	} else {
		s.breaker.succeeded()
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
	text := err.Error()
	s.lastError.Store(&text)
}

// Stats are counts since New.
type Stats struct {
	Gets    uint64 // reads sent to Redis
	Hits    uint64 // those that brought a value
	Sets    uint64 // writes sent to Redis
	Errors  uint64 // calls and probes that failed
	Refused uint64 // values that are not for Redis: empty, too large, no life left
	Skipped uint64 // calls that the open breaker answered
	Opened  uint64 // times the breaker opened
	// State of the breaker: "closed", "open" or "probing".
	State string
	// LastError is the text of the latest failure, empty if there was none.
	LastError string
}

// Stats returns counts that were each right at some moment of the call.
func (s *Store) Stats() Stats {
	st := Stats{
		Gets: s.gets.Load(), Hits: s.hits.Load(), Sets: s.sets.Load(), Errors: s.errors.Load(),
		Refused: s.refused.Load(), Skipped: s.skipped.Load(),
		Opened: s.breaker.opened.Load(), State: s.breaker.name(),
	}
	if text := s.lastError.Load(); text != nil {
		st.LastError = *text
	}
	return st
}

// Close ends background work and closes the connections. Calls made afterwards
// are misses. It may be called more than once.
func (s *Store) Close() error {
	s.breaker.close()
	if err := s.client.Close(); err != nil && !errors.Is(err, goredis.ErrClosed) {
		return fmt.Errorf("close Redis connections: %w", err)
	}
	return nil
}
