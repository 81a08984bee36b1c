package wire

import (
	"cmp"
	"slices"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// RedisUse says what Redis is used for by the statements of one shape.
type RedisUse struct {
	// Statement is the shape: a text with a ? for each literal.
	Statement string
	engine.RemoteUse
}

// RedisUses returns the shapes that were loaded most often, max at most.
func (s *Server) RedisUses(max int) []RedisUse {
	loads := func(slot *shapes.Slot) uint64 { return s.cache.RemoteUse(slot.Shape).Loads }
	slots := slices.DeleteFunc(s.verdicts.All(), func(slot *shapes.Slot) bool { return loads(slot) == 0 })
	slices.SortFunc(slots, func(a, b *shapes.Slot) int { return cmp.Compare(loads(b), loads(a)) })
	var uses []RedisUse
	for _, slot := range slots[:min(len(slots), max)] {
		uses = append(uses, RedisUse{slot.Text(), s.cache.RemoteUse(slot.Shape)})
	}
	return uses
}
