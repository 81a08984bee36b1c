package check

import (
	"sync"
	"sync/atomic"
)

// marks names writes, so that a read can tell which one it was shown.
type marks struct {
	last atomic.Int64
	// refused holds the marks of writes that are meant not to be committed. They
	// are some thousands in a long run.
	refused sync.Map
}

// next names a write of an epoch.
func (m *marks) next(e *epoch) int64 { return e.number<<markEpochShift | m.last.Add(1) }

// nextDoomed names a write that is going to be rolled back.
func (m *marks) nextDoomed(e *epoch) int64 {
	mark := m.next(e)
	m.refused.Store(mark, struct{}{})
	return mark
}

// given reports whether a mark can be one of these.
func (m *marks) given(mark int64) bool {
	return mark > 0 && mark&(1<<markEpochShift-1) <= m.last.Load()
}

// doomed reports whether the write of a mark was never to be seen.
func (m *marks) doomed(mark int64) bool {
	_, found := m.refused.Load(mark)
	return found
}
