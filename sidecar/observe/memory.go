package observe

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/digest"
)

// entriesMax bounds the answers that are remembered; beyond it they are begun anew, as the
// cache's memory would not hold them all.
const entriesMax = 500_000

// valuesMax bounds the values of one column that are told apart in changes whose values are
// not known.
const valuesMax = 1024

// The two worlds that are played through: in the best, changes from elsewhere meet nothing
// that was read by a value; in the worst, they meet it all.
const (
	best = iota
	worst
	worlds
)

// entry is an answer that the cache would have.
type entry struct {
	tags   []fence.Tag
	tables []uint32
	// loaded is when its load began, in each world.
	loaded [worlds]time.Time
	bytes  int
}

// memory is what the cache would hold, and what has changed.
type memory struct {
	entries map[digest.Digest]*entry
	bytes   int64
	// tags say when they moved last, and tables when all of one's rows may have, by what
	// passed here; elsewhere is tables for what did not.
	tags      map[fence.Tag]time.Time
	tables    map[uint32]time.Time
	elsewhere map[uint32]time.Time
	// read are the tags that answers depend on, by their class.
	read map[fence.Class][]fence.Tag
	// random chooses among them: the same for the same traffic.
	random *rand.Rand
	// overflows is how often entries were begun anew.
	overflows int
}

func newMemory() memory {
	m := memory{random: rand.New(rand.NewPCG(1, 2))}
	m.forget()
	return m
}

// forget begins anew: everything may have changed.
func (m *memory) forget() {
	m.entries, m.bytes = map[digest.Digest]*entry{}, 0
	m.tags, m.read = map[fence.Tag]time.Time{}, map[fence.Class][]fence.Tag{}
	m.tables, m.elsewhere = map[uint32]time.Time{}, map[uint32]time.Time{}
}

// find reports in which worlds an answer would be served.
func (m *memory) find(key digest.Digest) (held [worlds]bool) {
	e := m.entries[key]
	if e == nil {
		return held
	}
	for world := range held {
		held[world] = m.holds(e, world)
	}
	return held
}

func (m *memory) holds(e *entry, world int) bool {
	loaded := e.loaded[world]
	for _, tag := range e.tags {
		if !m.tags[tag].Before(loaded) {
			return false
		}
	}
	for _, root := range e.tables {
		if !m.tables[root].Before(loaded) || world == worst && !m.elsewhere[root].Before(loaded) {
			return false
		}
	}
	return true
}

// load notes an answer that came from Postgres in those worlds that did not hold it.
func (m *memory) load(key digest.Digest, held [worlds]bool, began time.Time, tags []fence.Tag, tables []uint32, bytes int) {
	if len(m.entries) >= entriesMax {
		m.entries, m.bytes = map[digest.Digest]*entry{}, 0
		m.overflows++
	}
	e := m.entries[key]
	if e == nil {
		e = &entry{}
		m.entries[key] = e
		m.bytes += int64(bytes)
		for _, tag := range tags {
			if of := m.read[tag.Class()]; len(of) < valuesMax && !slices.Contains(of, tag) {
				m.read[tag.Class()] = append(of, tag)
			}
		}
	}
	e.tags, e.tables, e.bytes = tags, tables, bytes
	for world := range held {
		if !held[world] {
			e.loaded[world] = began
		}
	}
}

// change notes what has changed by a moment.
func (m *memory) change(at time.Time, changes []change) {
	for _, c := range changes {
		if c.definitions {
			m.forget()
			continue
		}
		for _, tag := range c.tags {
			m.tags[tag] = at
		}
		for _, class := range c.classes {
			m.changeSome(at, class, c.rows)
		}
		for _, root := range c.tables {
			m.tables[root] = at
		}
	}
}

// changeSome notes that rows have changed of which a column's values are not known: as many
// of those that were read by it are taken for changed, which errs on the side of too many.
func (m *memory) changeSome(at time.Time, class fence.Class, rows int) {
	of := m.read[class]
	if rows >= len(of) {
		for _, tag := range of {
			m.tags[tag] = at
		}
		return
	}
	for range rows {
		m.tags[of[m.random.IntN(len(of))]] = at
	}
}

// changeElsewhere notes that rows of a table have changed of which nobody knows which.
func (m *memory) changeElsewhere(now time.Time, root uint32) {
	m.tags[fence.TableTag(root)] = now
	m.elsewhere[root] = now
}
