package servers

import (
	"errors"
	"net"
	"testing"
)

func TestTakenPortsAreChosenAgain(t *testing.T) {
	t.Parallel()
	const taken, other = "could not bind: Address already in use", "no space left"
	for _, c := range []struct {
		name     string
		said     []string // what each start says before it fails; a further one succeeds
		attempts int
		fails    bool
	}{
		{"free at once", nil, 1, false},
		{"taken twice", []string{taken, taken}, 3, false},
		{"another failure", []string{other}, 1, true},
		{"taken, then another failure", []string{taken, other}, 2, true},
		{"always taken", []string{taken, taken, taken, taken, taken, taken}, portAttemptsMax, true},
	} {
		attempts := 0
		err := onFreePorts(func(int) string { return c.said[attempts-1] }, func() error {
			attempts++
			if attempts <= len(c.said) {
				return errors.New("it ended while starting")
			}
			return nil
		})
		if attempts != c.attempts || (err != nil) != c.fails {
			t.Errorf("%s: %d attempts, want %d; error %v", c.name, attempts, c.attempts, err)
		}
	}
}

// Both servers say that a port is taken in words that are understood.
func TestServersSayThatAPortIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp4", loopback+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port

	pg := StartPostgres(t, PostgresOptions{TCP: true})
	redis := StartRedis(t, RedisOptions{TCP: true})
	if err := errors.Join(pg.Stop(Fast), redis.Stop()); err != nil {
		t.Fatal(err)
	}
	if pg.port, redis.port = port, port; pg.configure() != nil {
		t.Fatal("PostgreSQL takes no other port")
	}
	for name, server := range map[string]interface {
		Start() error
		LogTail(n int) string
	}{"PostgreSQL": pg, "Redis": redis} {
		if addressTaken(server.LogTail(portLogLines)) {
			t.Errorf("%s: the log speaks of it already", name)
		}
		if server.Start() == nil || !addressTaken(server.LogTail(portLogLines)) {
			t.Errorf("%s started, or does not say that the port is taken:\n%s", name, server.LogTail(portLogLines))
		}
	}
}
