package target

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/loadtest/workload"
)

// redis starts a Redis, at the ground's distance.
func (g *Ground) redis(ctx context.Context) (redis *servers.Redis, socket string, apart *servers.Distance, err error) {
	redis, err = servers.LaunchRedis(ctx, servers.RedisOptions{Settings: map[string]string{"maxmemory": "256mb", "maxmemory-policy": "allkeys-lru"}})
	if err != nil {
		return nil, "", nil, err
	}
	if g.apart == 0 {
		return redis, redis.SocketPath(), nil, nil
	}
	if apart, err = servers.NewDistance(redis.SocketPath(), g.apart); err != nil {
		return nil, "", nil, errors.Join(err, redis.Close())
	}
	return redis, filepath.Join(apart.SocketDir(), filepath.Base(redis.SocketPath())), apart, nil
}

// aside is the cache that programs keep themselves: a read looks into Redis, and otherwise
// asks Postgres and puts what it got there; a write deletes what it knows to be outdated.
type aside struct {
	wire
	socket  string
	ttl     time.Duration
	deletes bool
	hits    atomic.Uint64
	lookups atomic.Uint64
}

func launchAside(ctx context.Context, on *Ground, o Options) (Target, error) {
	return newAside(ctx, "redis", on, o, !o.Beside)
}

func launchAsideTTL(ctx context.Context, on *Ground, o Options) (Target, error) {
	return newAside(ctx, "redis-ttl", on, o, false)
}

func newAside(ctx context.Context, name string, on *Ground, o Options, deletes bool) (Target, error) {
	database, err := on.database(ctx, name)
	if err != nil {
		return nil, err
	}
	redis, socket, apart, err := on.redis(ctx)
	if err != nil {
		return nil, err
	}
	a := &aside{socket: socket, ttl: o.TTL, deletes: deletes}
	a.name, a.database = name, database
	a.host, a.port = on.place()
	a.servers = []named{{"redis", redis}}
	if apart != nil {
		a.apart = []*servers.Distance{apart}
	}
	a.promise = Promise{o.TTL, "what it keeps lives for " + o.TTL.String()}
	a.about = fmt.Sprintf("GET; on a miss a query and SET with PX %d", o.TTL.Milliseconds())
	if deletes {
		a.about += "; who writes a row deletes its answer"
	}
	return a, nil
}

// Place is Postgres': programs on libpq know nothing of Redis.
func (a *aside) Place() (at Place, ok bool) {
	return Place{Database: a.database}, false
}

func (a *aside) Counts(context.Context) (Counts, bool, error) {
	return Counts{Hits: a.hits.Load(), Lookups: a.lookups.Load()}, true, nil
}

func (a *aside) Connect(ctx context.Context, protocol Protocol) (Session, error) {
	behind, err := a.wire.Connect(ctx, protocol)
	if err != nil {
		return nil, err
	}
	redis, err := dialRedis(a.socket)
	if err != nil {
		behind.Close()
		return nil, err
	}
	return &asideSession{aside: a, behind: behind, redis: redis}, nil
}

// asideSession is a client's pair of connections.
type asideSession struct {
	aside  *aside
	behind Session
	redis  *redisConn
	key    []byte
	packed []byte
	row    [][]byte
}

func (s *asideSession) Close() {
	s.behind.Close()
	s.redis.close()
}

func (s *asideSession) Read(o *workload.Operation, each func([][]byte)) error {
	s.aside.lookups.Add(1)
	s.key = keyOf(s.key[:0], o)
	kept, found, err := s.redis.get(s.key)
	if err != nil {
		return err
	}
	if found {
		s.aside.hits.Add(1)
		return s.unpack(kept, each)
	}
	s.packed = s.packed[:0]
	if err := s.behind.Read(o, func(row [][]byte) {
		s.packed = pack(s.packed, row)
		each(row)
	}); err != nil {
		return err
	}
	return s.redis.set(s.key, s.packed, s.aside.ttl)
}

// Write deletes after the commit, as is usual: whoever has loaded before and stores after
// leaves what is outdated until it expires.
func (s *asideSession) Write(o *workload.Operation) error {
	if err := s.behind.Write(o); err != nil || !s.aside.deletes {
		return err
	}
	for _, outdated := range o.Outdated {
		s.key = keyOf(s.key[:0], &outdated)
		if err := s.redis.delete(s.key); err != nil {
			return err
		}
	}
	return nil
}

func keyOf(key []byte, o *workload.Operation) []byte {
	key = append(key, o.Statement.Name...)
	for _, argument := range o.Arguments[:o.Count] {
		key = append(key, ':')
		key = strconv.AppendInt(key, argument, 10)
	}
	return key
}

// pack appends a row: how many values, and each behind its length, -1 for null.
func pack(to []byte, row [][]byte) []byte {
	to = binary.AppendVarint(to, int64(len(row)))
	for _, value := range row {
		if value == nil {
			to = binary.AppendVarint(to, -1)
			continue
		}
		to = binary.AppendVarint(to, int64(len(value)))
		to = append(to, value...)
	}
	return to
}

var errPacked = errors.New("what lies in Redis is no answer")

func (s *asideSession) unpack(from []byte, each func([][]byte)) error {
	next := func() (int64, bool) {
		n, size := binary.Varint(from)
		if size <= 0 {
			return 0, false
		}
		from = from[size:]
		return n, true
	}
	for len(from) > 0 {
		columns, ok := next()
		if !ok {
			return errPacked
		}
		s.row = s.row[:0]
		for range columns {
			size, ok := next()
			switch {
			case !ok || size > int64(len(from)):
				return errPacked
			case size < 0:
				s.row = append(s.row, nil)
			default:
				s.row = append(s.row, from[:size:size])
				from = from[size:]
			}
		}
		each(s.row)
	}
	return nil
}
