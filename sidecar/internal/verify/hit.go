package verify

import (
	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/sidecar/internal/probe"
)

// Hit is one answer that a client got from the cache. Nothing in it may change any more.
type Hit struct {
	Entry *engine.Entry
	// State is that of the session.
	State *probe.State
	// SQL and ParamTypes are the statement's, Bound is the Bind message behind the names,
	// nil for a simple Query.
	SQL        string
	ParamTypes []uint32
	Bound      []byte
	// Shape is the statement without its values, for logs. Tables are those that it reads,
	// Roots their OIDs.
	Shape  string
	Tables []string
	Roots  []uint32
	// Determined is that of the analysis.
	Determined bool
}
