package run

import (
	"time"

	"github.com/freshet/freshet/sidecar/internal/histogram"
)

// redisTimes are how long exchanges with Redis took, by what they were for.
type redisTimes struct{ get, set, lease histogram.Histogram }

// observe is redis.Options.OnCall.
func (r *redisTimes) observe(what string, took time.Duration) {
	switch what {
	case "get":
		r.get.Observe(took, 1)
	case "set":
		r.set.Observe(took, 1)
	case "lease":
		r.lease.Observe(took, 1)
	}
}

func (r *redisTimes) read() map[string]histogram.Reading {
	return map[string]histogram.Reading{"get": r.get.Read(), "set": r.set.Read(), "lease": r.lease.Read()}
}
