package invalidation

import "github.com/freshet/freshet/cache/fence"

// endKind says what of that which an answer depends on has ended it.
type endKind int

const (
	endedByRow    endKind = iota // rows that have a value
	endedByTable                 // a table as a whole
	endedBySchema                // names, rights or definitions
	endedByOwn                   // a tag of the application's own
	endedByReset                 // all that was known was thrown away
	endKinds
)

// String gives the name used in statistics, metrics and documents.
func (k endKind) String() string { return [...]string{"row", "table", "schema", "own", "reset"}[k] }

// meanings say what the tags of a state's tables stand for. Values are too many: they are
// found by their column's class, which others may share, so that there may be several roots.
type meanings struct {
	tags    map[fence.Tag]meaning
	classes map[fence.Class][]uint32
}

type meaning struct {
	kind endKind
	root uint32
}

func (s *State) meanings() *meanings {
	s.meaning.once.Do(func() {
		m := &s.meaning.meanings
		m.tags = map[fence.Tag]meaning{fence.NewTag(fence.SchemaText): {kind: endedBySchema}}
		m.classes = map[fence.Class][]uint32{}
		for _, t := range s.byOID {
			m.tags[fence.TableTag(t.Root)] = meaning{endedByTable, t.Root}
			m.tags[fence.WholesaleTag(t.Root)] = meaning{endedByTable, t.Root}
			m.tags[fence.RelationSchemaTag(t.Root)] = meaning{endedBySchema, t.Root}
			for _, column := range t.Columns {
				class := fence.NewClass(t.Root, column)
				m.classes[class] = append(m.classes[class], t.Root)
			}
		}
	})
	return &s.meaning.meanings
}

// of tells what has ended an answer with tags, of which one moved; root is 0 if it was no
// table, or one that is not watched any more.
func (m *meanings) of(moved fence.Tag, tags []fence.Tag) meaning {
	if moved == 0 {
		return meaning{kind: endedByReset}
	}
	if moved.OfRoles() {
		return meaning{kind: endedBySchema}
	}
	if known, ok := m.tags[moved]; ok {
		return known
	}
	among := m.classes[moved.Class()]
	for _, tag := range tags {
		if tag == fence.OwnWholesaleTag && len(among) == 0 {
			return meaning{kind: endedByOwn}
		}
		// Who reads a table by values has the tag of all of them, too.
		of, ok := m.tags[tag]
		for _, root := range among {
			if ok && of.root == root {
				return meaning{endedByRow, root}
			}
		}
	}
	return meaning{kind: endedByRow}
}

// NoteEnded counts an answer that an event has ended: moved is the one of its tags that the
// event names, 0 if all that was known was thrown away. It waits for nothing, and returns by what
// it was ended, as FollowerStats.Ended names that, and the root of the table, 0 if it was none.
func (f *Follower) NoteEnded(moved fence.Tag, tags []fence.Tag) (by string, root uint32) {
	why := f.State().meanings().of(moved, tags)
	c := &f.stats
	c.endedOf[why.kind].Add(1)
	if why.root == 0 {
		return why.kind.String(), 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if w, known := c.written[why.root]; known || len(c.written) < writtenMax {
		if c.written == nil {
			c.written = map[uint32]Written{}
		}
		w.Ended++
		c.written[why.root] = w
	}
	return why.kind.String(), why.root
}
