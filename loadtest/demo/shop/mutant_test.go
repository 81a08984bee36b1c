package shop

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// timedCache is a door that is wrong on purpose: it keeps PostgreSQL's answers for
// a fixed time, whatever is written meanwhile.
type timedCache struct {
	ttl      time.Duration
	upstream string // socket path

	mu      sync.Mutex
	answers map[string]timedAnswer
}

type timedAnswer struct {
	bytes []byte
	at    time.Time
}

// startTimedCache serves until the test ends.
func startTimedCache(t *testing.T, behind Door, ttl time.Duration) Door {
	t.Helper()
	dir, err := os.MkdirTemp("", "door")
	if err != nil {
		t.Fatal(err)
	}
	socket := func(dir string, port int) string { return filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(port)) }
	listener, err := net.Listen("unix", socket(dir, behind.Port))
	if err != nil {
		t.Fatal(err)
	}
	m := &timedCache{ttl: ttl, upstream: socket(behind.Dir, behind.Port), answers: map[string]timedAnswer{}}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { m.serve(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		group.Wait() // the clients have gone
		os.RemoveAll(dir)
	})
	return Door{Name: "a cache that forgets by the clock", Dir: dir, Port: behind.Port, Database: behind.Database}
}

// serve relays groups of messages: up to a simple query or a Sync from the
// client, up to ReadyForQuery from PostgreSQL.
func (m *timedCache) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", m.upstream)
	if err != nil {
		return
	}
	defer server.Close()
	var startup [4]byte
	if _, err := io.ReadFull(client, startup[:]); err != nil {
		return
	}
	rest := make([]byte, binary.BigEndian.Uint32(startup[:])-4)
	if _, err := io.ReadFull(client, rest); err != nil {
		return
	}
	request := append(startup[:], rest...)
	for {
		answer, fresh := m.known(request)
		if !fresh {
			if _, err := server.Write(request); err != nil {
				return
			}
			if answer, err = readGroup(server, "Z"); err != nil {
				return
			}
			m.keep(request, answer)
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
		if request, err = readGroup(client, "QS"); err != nil {
			return
		}
	}
}

// readGroup reads messages until one of the given types.
func readGroup(from io.Reader, last string) ([]byte, error) {
	var group []byte
	for {
		var header [5]byte
		if _, err := io.ReadFull(from, header[:]); err != nil {
			return nil, err
		}
		body := make([]byte, binary.BigEndian.Uint32(header[1:])-4)
		if _, err := io.ReadFull(from, body); err != nil {
			return nil, err
		}
		group = append(append(group, header[:]...), body...)
		if strings.IndexByte(last, header[0]) >= 0 {
			return group, nil
		}
	}
}

func (m *timedCache) known(request []byte) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	answer, ok := m.answers[string(request)]
	return answer.bytes, ok && time.Since(answer.at) < m.ttl
}

// keep keeps the answers to simple queries and to pgx's prepared statements, whose
// names are the same on each connection.
func (m *timedCache) keep(request, answer []byte) {
	simple := request[0] == 'Q' && bytes.HasPrefix(request[5:], []byte("SELECT"))
	prepared := request[0] == 'B' && bytes.Contains(request, []byte("stmtcache_"))
	if !simple && !prepared || !bytes.Contains(answer, []byte("SELECT ")) { // the tag of a read
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers[string(request)] = timedAnswer{answer, time.Now()}
}

func TestCacheThatForgetsByTheClockIsCaught(t *testing.T) {
	options, _ := setup(t)
	options.Bound = time.Second
	options.Doors = []Door{startTimedCache(t, options.Direct, 3*time.Second)}
	r := runUntil(t, options, func(r Report) bool {
		return r.Checks.Stale > 10 && r.Checks.OwnLost > 0 && r.NeverVisible > 0 && r.Probe.Again.Spared.Count > 0
	})
	if r.Errors != 0 {
		t.Errorf("%d errors: %q", r.Errors, r.ErrorExamples)
	}
	if r.Checks.Age.Max < options.Bound || r.Checks.Violations() < r.Checks.Stale+r.Checks.OwnLost {
		t.Errorf("%+v", r.Checks)
	}
	if r.Reached >= r.Asked {
		t.Errorf("PostgreSQL counted %d of %d reads: the cache answered none", r.Reached, r.Asked)
	}
}
