package redis

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"
)

// Condition says whether Redis is of any use.
type Condition string

const (
	// Up: Redis does what it is asked for, or was not asked yet.
	Up Condition = "up"
	// Refusing: Redis answers, and refuses reads, writes or scripts, since the last
	// call of that kind.
	Refusing Condition = "refusing"
	// Down: Redis does not answer, and is left alone but for a probe now and then. Of
	// a Cluster, at least one of its nodes.
	Down Condition = "down"
)

// call is a kind of call that Redis may refuse while it takes the others.
type call int

const (
	callRead call = iota
	callWrite
	callScript
	calls
)

// String names the kind for the log.
func (c call) String() string { return [...]string{"reads", "writes", "scripts"}[c] }

// condition keeps what Redis refuses, and tells the log when it changes. Its methods
// may be called concurrently.
type condition struct {
	logger *slog.Logger
	health *health
	// refusals are Redis' words to the last call of each kind; nil if it took it.
	refusals [calls]atomic.Pointer[string]

	mu   sync.Mutex
	told Condition // what the log was told last
	word string    // with which word
}

// noteAnswer notes Redis' answer to a call; err is nil if it took it.
func (c *condition) noteAnswer(kind call, err error) {
	text := refusalOf(err)
	if text == nil && c.refusals[kind].Load() == nil {
		return
	}
	c.refusals[kind].Store(text)
	c.tell()
}

// refusalOf is what Redis says to a call that it refuses, nil if it did not answer
// or took it.
func refusalOf(err error) *string {
	if err == nil {
		return nil
	}
	var answer goredis.Error
	if !errors.As(err, &answer) {
		return nil
	}
	text := answer.Error()
	return &text
}

// now returns how Redis is, which kind of call it refuses and with what words.
func (c *condition) now() (state Condition, kind call, text string) {
	if _, breaker := c.health.summary(); breaker != "closed" {
		return Down, 0, ""
	}
	for kind := range calls {
		if text := c.refusals[kind].Load(); text != nil {
			return Refusing, kind, *text
		}
	}
	return Up, 0, ""
}

// tell logs how Redis is if that has changed. Only who has changed something calls
// it.
func (c *condition) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	state, kind, text := c.now()
	word, _, _ := strings.Cut(text, " ")
	if state == c.told && word == c.word {
		return
	}
	c.told, c.word = state, word
	switch state {
	case Down:
		c.logger.Warn("Redis does not answer: reads go on without it")
	case Refusing:
		c.logger.Warn("Redis refuses: reads go on without it", "calls", kind.String(), "answer", text, "remedy", remedy(word))
	default:
		c.logger.Info("Redis is back")
	}
}

// remedy says what to do about the first word of what Redis refuses with.
func remedy(word string) string {
	switch word {
	case "NOAUTH", "WRONGPASS":
		return "put the user and the password into --redis: redis://user:password@host:port"
	case "NOPERM":
		return "let the user read, write and run scripts on the keys freshet:* (ACL SETUSER)"
	case "OOM":
		return "give Redis a policy that makes room: CONFIG SET maxmemory-policy allkeys-lru"
	case "MISCONF":
		return "Redis cannot save to its disk: see its log, or CONFIG SET stop-writes-on-bgsave-error no"
	case "READONLY":
		return "this Redis is a replica: name its primary, or the Sentinels, in --redis"
	default:
		return "see the log of Redis"
	}
}
