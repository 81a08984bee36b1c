package wire

import (
	"cmp"
	"slices"
	"strings"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation/analysis"
)

// RedisUse says what Redis is used for by the statements of one shape.
type RedisUse struct {
	// Statement is the shape: a text with a ? for each literal.
	Statement string
	engine.RemoteUse
}

// RedisUses returns the shapes that were loaded most often, max at most.
func (s *Server) RedisUses(max int) []RedisUse {
	loads := func(slot *verdictSlot) uint64 { return s.cache.RemoteUse(slot.shape).Loads }
	slots := slices.DeleteFunc(s.verdicts.all(), func(slot *verdictSlot) bool { return loads(slot) == 0 })
	slices.SortFunc(slots, func(a, b *verdictSlot) int { return cmp.Compare(loads(b), loads(a)) })
	var uses []RedisUse
	for _, slot := range slots[:min(len(slots), max)] {
		uses = append(uses, RedisUse{slot.statement(), s.cache.RemoteUse(slot.shape)})
	}
	return uses
}

// all returns the places of all verdicts.
func (v *verdicts) all() []*verdictSlot {
	v.mu.Lock()
	defer v.mu.Unlock()
	slots := make([]*verdictSlot, 0, len(v.slots))
	for _, slot := range v.slots {
		slots = append(slots, slot)
	}
	return slots
}

// statement is the shape's text without a value in it: literals that cannot be told
// apart from the rest have the whole text left out.
func (s *verdictSlot) statement() string {
	standard := s.request.Settings["standard_conforming_strings"] != "off"
	template, ok := analysis.NewTemplate(s.request.SQL, standard)
	if !ok {
		return "(a statement with literals that are not taken apart)"
	}
	var text strings.Builder
	for from := 0; from < len(template.Key); {
		at := strings.IndexByte(template.Key[from:], 0)
		if at < 0 {
			text.WriteString(template.Key[from:])
			break
		}
		text.WriteString(template.Key[from : from+at])
		text.WriteByte('?')
		from += at + 2
	}
	return text.String()
}
