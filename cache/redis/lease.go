package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// leaseSuffix makes the name of a lease of a key's name. In a Cluster both are
// on one node if the key has a hash tag.
const leaseSuffix = ":lease"

// contendScript reads a value, or takes the lease, in one exchange:
//
//	KEYS  the key, its lease
//	ARGV  a token, the lease's life in ms, what is known of the value, most bytes
//
// It answers with what is left of the value's life in ms and the value, or with
// whether the lease was free.
var contendScript = goredis.NewScript(`
local seen = ARGV[3]
if #seen == 0 or redis.call('GETRANGE', KEYS[1], 0, #seen - 1) ~= seen then
	local value = redis.call('GETRANGE', KEYS[1], 0, ARGV[4])
	if #value > 0 then
		return {redis.call('PTTL', KEYS[1]), value}
	end
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
	return 1
end
return 0
`)

// yieldScript ends a lease of its own token: what another took since is not
// touched.
var yieldScript = goredis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
	return redis.call('DEL', KEYS[1])
end
return 0
`)

// Contend returns the value of key and its remaining life, unless the value
// begins with seen and seen is not empty. Otherwise the caller gets the lease of
// key, under token and for at most life, unless somebody holds it. ok is false
// if Redis could not say; there may be a value still.
func (s *Store) Contend(ctx context.Context, key string, seen []byte, token string, life time.Duration) (value []byte, left time.Duration, leased, ok bool) {
	part := s.admit(ctx, key)
	if part == nil {
		return nil, 0, false, false
	}
	s.gets.Add(1)
	s.leases.Add(1)
	call, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	name := s.prefix + key
	began := time.Now()
	answer, err := contendScript.Run(call, s.client, []string{name, name + leaseSuffix},
		token, max(life, ttlMin).Milliseconds(), seen, ValueMax).Result()
	s.timed(exchangeLease, began)
	if !s.settle(ctx, part, callScript, key, err) {
		if err != nil && transportFailure(err) == nil {
			// Redis runs, and refuses: it is full, or this user may run no scripts.
			value, left, _ = s.Get(ctx, key)
		}
		return value, left, false, false
	}
	switch a := answer.(type) {
	case int64:
		return nil, 0, a == 1, true
	case []any:
		if len(a) == 2 {
			left, _ := a[0].(int64)
			text, _ := a[1].(string)
			if value, left, ok := s.usable([]byte(text), time.Duration(left)*time.Millisecond); ok {
				return value, left, false, true
			}
		}
	}
	return nil, 0, false, false
}

// Yield ends the lease of key if it is still that of token.
func (s *Store) Yield(ctx context.Context, key, token string) {
	part := s.admit(ctx, key)
	if part == nil {
		return
	}
	call, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	s.settle(ctx, part, callScript, key, yieldScript.Run(call, s.client, []string{s.prefix + key + leaseSuffix}, token).Err())
}
