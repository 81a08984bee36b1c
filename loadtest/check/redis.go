package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"
)

// redisWaitMax bounds one command. A fault gives one for each key, of which there
// may be many thousands.
const redisWaitMax = 10 * time.Second

// redisConn speaks to Redis in its own protocol.
type redisConn struct {
	conn net.Conn
	in   *bufio.Reader
}

func dialRedis(socket string) (*redisConn, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("connect to Redis: %w", err)
	}
	return &redisConn{conn, bufio.NewReader(conn)}, nil
}

// send writes one command.
func (r *redisConn) send(words ...string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&text, "$%d\r\n%s\r\n", len(word), word)
	}
	_, err := io.WriteString(r.conn, text.String())
	return err
}

// read reads one reply of any kind as the strings in it; a missing value is none.
func (r *redisConn) read() ([]string, error) {
	line, err := r.in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	kind, rest := line[0], strings.TrimRight(line[1:], "\r\n")
	switch kind {
	case '-':
		return nil, errors.New("Redis refuses: " + rest)
	case '+', ':':
		return []string{rest}, nil
	}
	count, err := strconv.Atoi(rest)
	if err != nil || count < 0 {
		return nil, err
	}
	if kind == '$' {
		value := make([]byte, count+2)
		_, err := io.ReadFull(r.in, value)
		return []string{string(value[:count])}, err
	}
	var all []string
	for range count {
		one, err := r.read()
		if err != nil {
			return nil, err
		}
		all = append(all, one...)
	}
	return all, nil
}

// do sends a command and reads its reply.
func (r *redisConn) do(words ...string) ([]string, error) {
	if err := r.conn.SetDeadline(time.Now().Add(redisWaitMax)); err != nil {
		return nil, fmt.Errorf("ask Redis: %w", err)
	}
	if err := r.send(words...); err != nil {
		return nil, fmt.Errorf("ask Redis: %w", err)
	}
	reply, err := r.read()
	if err != nil {
		return nil, fmt.Errorf("ask Redis: %w", err)
	}
	return reply, nil
}

// dump returns every key with its value.
func (r *redisConn) dump() (map[string]string, error) {
	keys, err := r.do("KEYS", "*")
	if err != nil {
		return nil, err
	}
	all := make(map[string]string, len(keys))
	for _, k := range keys {
		value, err := r.do("GET", k)
		if err != nil {
			continue // not a string
		}
		if len(value) == 1 {
			all[k] = value[0]
		}
	}
	return all, nil
}

// restoredLife is how long what is written back lives.
const restoredLife = time.Hour

func (r *redisConn) set(k, value string) error {
	_, err := r.do("SET", k, value, "PX", strconv.FormatInt(restoredLife.Milliseconds(), 10))
	return err
}

// withRedis connects for one piece of work.
func (w *world) withRedis(do func(*redisConn) error) error {
	r, err := dialRedis(w.fleet.redis.SocketPath())
	if err != nil {
		return err
	}
	defer r.conn.Close()
	return do(r)
}

// flushRedis makes Redis forget everything, again and again.
func flushRedis(ctx context.Context, w *world, random *rand.Rand) error {
	for range 3 {
		if err := w.withRedis(func(r *redisConn) error { _, err := r.do("FLUSHALL"); return err }); err != nil {
			return err
		}
		pause(ctx, between(random, 50*time.Millisecond, 300*time.Millisecond))
	}
	return nil
}

// killRedis kills Redis and starts it again, empty.
func killRedis(ctx context.Context, w *world, random *rand.Rand) error {
	w.fleet.redis.Kill()
	pause(ctx, between(random, 100*time.Millisecond, 800*time.Millisecond))
	return w.fleet.redis.Start()
}

// freezeRedis stops Redis for a while.
func freezeRedis(ctx context.Context, w *world, random *rand.Rand) error {
	if err := w.fleet.redis.Pause(); err != nil {
		return err
	}
	pause(ctx, between(random, 100*time.Millisecond, 1500*time.Millisecond))
	return w.fleet.redis.Resume()
}

// garbleRedis damages what is stored: bits are flipped, ends are cut, values are
// replaced by noise or exchanged.
func garbleRedis(ctx context.Context, w *world, random *rand.Rand) error {
	for range 3 {
		err := w.withRedis(func(r *redisConn) error {
			all, err := r.dump()
			if err != nil {
				return err
			}
			previous := ""
			for k, value := range all {
				if err := r.set(k, garble(value, previous, random)); err != nil {
					return err
				}
				previous = value
			}
			return nil
		})
		if err != nil {
			return err
		}
		pause(ctx, between(random, 50*time.Millisecond, 300*time.Millisecond))
	}
	return nil
}

// garble damages a value, or replaces it by another one.
func garble(value, other string, random *rand.Rand) string {
	bytes := []byte(value)
	switch random.IntN(4) {
	case 0:
		if len(bytes) > 0 {
			bytes[random.IntN(len(bytes))] ^= 1 << random.IntN(8)
		}
	case 1:
		bytes = bytes[:random.IntN(len(bytes)+1)]
	case 2:
		for i := range bytes {
			bytes[i] = byte(random.Uint32())
		}
	default:
		return other
	}
	return string(bytes)
}

// resurrectRedis writes back what was stored earlier, as a failover to a lagging
// replica or a restored dump does.
func resurrectRedis(ctx context.Context, w *world, random *rand.Rand) error {
	var old map[string]string
	if err := w.withRedis(func(r *redisConn) (err error) { old, err = r.dump(); return err }); err != nil {
		return err
	}
	pause(ctx, w.options.Bound+between(random, 100*time.Millisecond, 500*time.Millisecond))
	for range 3 {
		err := w.withRedis(func(r *redisConn) error {
			if random.IntN(2) == 0 {
				if _, err := r.do("FLUSHALL"); err != nil {
					return err
				}
			}
			for k, value := range old {
				if err := r.set(k, value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		// A sidecar that starts has nothing of its own to compare with.
		if err := killSidecar(ctx, w, random); err != nil {
			return err
		}
	}
	w.tally.note(noteRestored, int64(len(old)))
	return nil
}
