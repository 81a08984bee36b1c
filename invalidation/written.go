package invalidation

import (
	"strconv"
	"strings"
	"time"
)

// writtenMax bounds the tables of which it is counted what was written.
const writtenMax = 20_000

// Written is what was received of the changes of one table, partitions and children
// included.
type Written struct {
	// Statements have changed rows, Tags are those that they moved.
	Statements, Tags uint64
	// StatementsPace and TagsPace are how often they come.
	StatementsPace, TagsPace Pace
	// Ended counts the answers that NoteEnded was told of.
	Ended uint64
	// At is when the last of them was received.
	At time.Time
}

// note counts one row of the outbox. It costs a number for each tag, and nothing else.
func (s *sighting) note(texts []string) {
	last := uint32(0)
	for _, text := range texts {
		digits, _, _ := strings.Cut(text, "/")
		root, err := strconv.ParseUint(digits, 10, 32)
		if err != nil {
			continue // of the schema, or of a user's own tag
		}
		if s.written == nil {
			s.written = map[uint32]Written{}
		}
		w := s.written[uint32(root)]
		w.Tags++
		if last != uint32(root) { // the tags of a table follow one another
			w.Statements++
		}
		last = uint32(root)
		s.written[uint32(root)] = w
	}
}

func (c *counters) wroteLocked(written map[uint32]Written, now time.Time) {
	if c.written == nil {
		c.written = map[uint32]Written{}
	}
	for root, w := range written {
		all, known := c.written[root]
		if !known && len(c.written) >= writtenMax {
			continue
		}
		all.Statements += w.Statements
		all.Tags += w.Tags
		all.StatementsPace.add(w.Statements, now)
		all.TagsPace.add(w.Tags, now)
		all.At = now
		c.written[root] = all
	}
}
