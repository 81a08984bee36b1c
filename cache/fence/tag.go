package fence

import "github.com/cespare/xxhash/v2"

// Tag stands for something that a query's answer depends on: a table, the rows
// of a table that have a value, the schema. It is a hash of a text that the
// writer's trigger and the reader's analysis spell alike. Two texts that share
// a Tag cost a needless miss, never a stale hit.
type Tag uint64

// NewTag returns the tag of a text.
func NewTag(text string) Tag { return Tag(xxhash.Sum64String(text)) }

// Event is one committed change: the writer's top-level transaction and the
// tags that it moved.
type Event struct {
	XID  XID
	Tags []Tag
}
