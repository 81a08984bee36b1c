package redis

import (
	"context"
	"errors"
	"net"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// failureKind says what was the matter with a call that failed.
type failureKind int

const (
	failedTimeout failureKind = iota
	failedNetwork
	failedAuth
	failedMemory
	failedReadOnly
	failedOther
	failureKinds
)

// String gives the name used in statistics, metrics and documents.
func (k failureKind) String() string {
	return [...]string{"timeout", "network", "auth", "oom", "readonly", "other"}[k]
}

// kindOf tells what Redis refuses by the first word of its answer, and the rest by whether
// time was up.
func kindOf(err error) failureKind {
	if text := refusalOf(err); text != nil {
		word, _, _ := strings.Cut(*text, " ")
		switch word {
		case "NOAUTH", "WRONGPASS", "NOPERM":
			return failedAuth
		case "OOM":
			return failedMemory
		case "READONLY":
			return failedReadOnly
		}
		return failedOther
	}
	var slow net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, goredis.ErrPoolTimeout) || errors.As(err, &slow) && slow.Timeout() {
		return failedTimeout
	}
	return failedNetwork
}
