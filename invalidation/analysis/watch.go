package analysis

import "github.com/freshet/freshet/invalidation"

// WatchedBy tells what a follower says is watched at this moment: it is for
// Options.Watch.
func WatchedBy(f interface{ State() *invalidation.State }) func() Watch {
	return func() Watch { return Watched(f.State()) }
}

// Watched is one state of what is watched.
func Watched(s *invalidation.State) Watch { return watchedState{s} }

type watchedState struct{ state *invalidation.State }

// Reported tells whether event triggers report changes of the schema.
func (w watchedState) Reported() bool { return w.state.Reported() }

// Table implements Watch. A table goes by the name of its root.
func (w watchedState) Table(oid uint32) (WatchedTable, bool) {
	t, ok := w.state.Table(oid)
	if !ok {
		return WatchedTable{}, false
	}
	root, ok := w.state.Table(t.Root)
	return WatchedTable{Root: t.Root, Name: root.Schema + "." + root.Name, Columns: t.Columns}, ok
}
