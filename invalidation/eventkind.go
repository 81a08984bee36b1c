package invalidation

import (
	"strings"

	"github.com/freshet/freshet/cache/fence"
)

// eventKind says what an event changes, at most.
type eventKind int

const (
	eventOfRows   eventKind = iota // rows, told apart by values of columns that are watched
	eventOfTable                   // a table as a whole
	eventOfSchema                  // names, rights or definitions
	eventOwn                       // tags of the application's own
	eventKinds
)

// String gives the name used in statistics, metrics and documents.
func (k eventKind) String() string { return [...]string{"row", "table", "schema", "own"}[k] }

// kindOfEvent tells by the tags of one row of the outbox. One that changes rows alone has
// tags of values, and that of the table, but not that of all its values.
func kindOfEvent(texts []string) eventKind {
	kind := eventOwn
	rows := false
	for _, text := range texts {
		_, value, valued := strings.Cut(text, "/")
		switch {
		case isSchemaText(text), fence.IsRoleText(text):
			return eventOfSchema
		case strings.HasPrefix(text, fence.OwnPrefix):
		case value == "*": // fence.WholesaleText
			kind = eventOfTable
		case valued:
			rows = true
		case kind == eventOwn:
			kind = eventOfRows
		}
	}
	if kind == eventOfRows && !rows {
		return eventOfTable // no column of it is watched
	}
	return kind
}
