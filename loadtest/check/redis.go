package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// redisWaitMax bounds a batch of commands. A fault gives one for each key, of which
	// there may be many thousands.
	redisWaitMax = 10 * time.Second
	// redisBatch is how many are sent before their replies are read. They and the
	// replies fit into the buffers between.
	redisBatch = 64
)

// refusal is an error that Redis replied with.
type refusal string

func (r refusal) Error() string { return "Redis refuses: " + string(r) }

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
		return nil, refusal(rest)
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
func (r *redisConn) do(words ...string) (reply []string, err error) {
	err = r.doAll([][]string{words}, func(_ int, got []string, refused error) error {
		reply = got
		return refused
	})
	return reply, err
}

// doAll sends commands and passes on the reply of each, or its refusal. It ends at
// the first error that each returns.
func (r *redisConn) doAll(commands [][]string, each func(i int, reply []string, refused error) error) error {
	first := 0
	for batch := range slices.Chunk(commands, redisBatch) {
		if err := r.conn.SetDeadline(time.Now().Add(redisWaitMax)); err != nil {
			return fmt.Errorf("ask Redis: %w", err)
		}
		for _, words := range batch {
			if err := r.send(words...); err != nil {
				return fmt.Errorf("ask Redis: %w", err)
			}
		}
		for i := range batch {
			reply, err := r.read()
			var refused refusal
			if err != nil && !errors.As(err, &refused) {
				return fmt.Errorf("ask Redis: %w", err)
			}
			if err := each(first+i, reply, err); err != nil {
				return fmt.Errorf("ask Redis: %w", err)
			}
		}
		first += len(batch)
	}
	return nil
}

// dump returns every key with its value.
func (r *redisConn) dump() (map[string]string, error) {
	keys, err := r.do("KEYS", "*")
	if err != nil {
		return nil, err
	}
	commands := make([][]string, len(keys))
	for i, k := range keys {
		commands[i] = []string{"GET", k}
	}
	all := make(map[string]string, len(keys))
	err = r.doAll(commands, func(i int, value []string, refused error) error {
		if refused == nil && len(value) == 1 { // not gone, and a string
			all[keys[i]] = value[0]
		}
		return nil
	})
	return all, err
}

// restoredLife is how long what is written back lives.
const restoredLife = time.Hour

// setAll stores values by their keys.
func (r *redisConn) setAll(values map[string]string) error {
	commands := make([][]string, 0, len(values))
	for k, value := range values {
		commands = append(commands, []string{"SET", k, value, "PX", strconv.FormatInt(restoredLife.Milliseconds(), 10)})
	}
	return r.doAll(commands, func(_ int, _ []string, refused error) error { return refused })
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
				all[k] = garble(value, previous, random)
				previous = value
			}
			return r.setAll(all)
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
			return r.setAll(old)
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
