package target

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// redisConn is a connection to Redis that does three things and no more, so that the cache
// beside Postgres is as fast as one can be.
type redisConn struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	body []byte
}

func dialRedis(socket string) (*redisConn, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("connect to Redis: %w", err)
	}
	return &redisConn{conn: conn, in: bufio.NewReaderSize(conn, 16<<10)}, nil
}

func (r *redisConn) close() { _ = r.conn.Close() } // what it failed to send nobody waits for

func (r *redisConn) get(key []byte) (value []byte, found bool, err error) {
	return r.ask([]byte("GET"), key)
}

func (r *redisConn) set(key, value []byte, life time.Duration) error {
	_, _, err := r.ask([]byte("SET"), key, value, []byte("PX"), strconv.AppendInt(nil, life.Milliseconds(), 10))
	return err
}

func (r *redisConn) delete(key []byte) error {
	_, _, err := r.ask([]byte("DEL"), key)
	return err
}

// ask sends a command and returns the text of its answer, which is valid until the next.
func (r *redisConn) ask(words ...[]byte) (text []byte, found bool, err error) {
	r.out = fmt.Appendf(r.out[:0], "*%d\r\n", len(words))
	for _, word := range words {
		r.out = append(r.out, '$')
		r.out = strconv.AppendInt(r.out, int64(len(word)), 10)
		r.out = append(append(append(r.out, "\r\n"...), word...), "\r\n"...)
	}
	if _, err := r.conn.Write(r.out); err != nil {
		return nil, false, fmt.Errorf("ask Redis: %w", err)
	}
	line, err := r.in.ReadSlice('\n')
	if err != nil || len(line) < len("+\r\n") {
		return nil, false, fmt.Errorf("hear Redis: %w", err)
	}
	kind, rest := line[0], line[1:len(line)-len("\r\n")]
	switch kind {
	case '+', ':':
		return nil, true, nil
	case '-':
		return nil, false, errors.New("Redis: " + string(rest))
	}
	size, err := strconv.Atoi(string(rest))
	if err != nil || kind != '$' {
		return nil, false, fmt.Errorf("hear Redis: %q is no answer", line)
	}
	if size < 0 {
		return nil, false, nil
	}
	r.body = append(r.body[:0], make([]byte, size+len("\r\n"))...)
	if _, err := io.ReadFull(r.in, r.body); err != nil {
		return nil, false, fmt.Errorf("hear Redis: %w", err)
	}
	return r.body[:size], true, nil
}
