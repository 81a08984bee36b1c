package wire

import (
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/analysis"
)

// Watch tells an Analyzer what a follower says is watched at this moment. It is
// the Watch function of analysis.Options.
func Watch(f Follower) func() analysis.Watch {
	return func() analysis.Watch { return Watched(f.State()) }
}

// Watched is one state of what is watched, as the analysis wants it.
func Watched(s *invalidation.State) analysis.Watch { return watched{s} }

type watched struct{ state *invalidation.State }

// Table implements analysis.Watch. A table goes by the name of its root.
func (w watched) Table(oid uint32) (analysis.WatchedTable, bool) {
	t, ok := w.state.Table(oid)
	if !ok {
		return analysis.WatchedTable{}, false
	}
	root, ok := w.state.Table(t.Root)
	return analysis.WatchedTable{Root: t.Root, Name: root.Schema + "." + root.Name, Columns: t.Columns}, ok
}
