package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// answerError is what Redis says.
type answerError string

func (e answerError) Error() string { return string(e) }
func (answerError) RedisError()     {}

func TestKindsOfFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{context.DeadlineExceeded, "timeout"},
		{fmt.Errorf("read: %w", os.ErrDeadlineExceeded), "timeout"},
		{goredis.ErrPoolTimeout, "timeout"},
		{io.EOF, "network"},
		{errors.New("connection refused"), "network"},
		{answerError("NOAUTH Authentication required."), "auth"},
		{answerError("WRONGPASS invalid username-password pair"), "auth"},
		{answerError("NOPERM no rights"), "auth"},
		{answerError("OOM command not allowed when used memory > 'maxmemory'."), "oom"},
		{answerError("READONLY You can't write against a read only replica."), "readonly"},
		{answerError("MISCONF Redis is configured to save RDB snapshots"), "other"},
	} {
		if got := kindOf(c.err).String(); got != c.want {
			t.Errorf("%v is of kind %s, want %s", c.err, got, c.want)
		}
	}
}
