package main

import (
	"fmt"
	"strings"
	"testing"
)

// Where there is no page, top asks over the socket, as any client may.
func TestTopOverTheSocket(t *testing.T) {
	t.Parallel()
	dsn, _ := setupFruit(t)
	c := testConfig(t, dsn, "--watch", "public.*", "--admin", "off")
	s := start(t, c)
	where := s.ClientConfig()
	socket := fmt.Sprintf("host=%s port=%d user=%s dbname=%s", where.Host, where.Port, where.User, where.Database)
	code, stdout, stderr := freshet(t, "top", "--once", "--interval", "100ms", "--socket", socket)
	if code != exitOK || !strings.Contains(stdout, " at "+socket) || !strings.Contains(stdout, "1 clients") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	code, _, stderr = freshet(t, "top", "--once", "--socket", dsn)
	if code == exitOK || !strings.Contains(stderr, "is it Postgres itself?") {
		t.Errorf("of Postgres itself: exit code %d, %s", code, stderr)
	}
}
