package world

import (
	"context"
	"sync"

	"github.com/freshet/freshet/cache/fence"
)

// Mirror is a standby of a World, which shows what the world held when it was
// last copied.
type Mirror struct {
	w *World

	mu    sync.Mutex
	head  *fence.Head
	value int
	// confirms, unless nil, is the answer to every Confirm.
	confirms error
	asked    int
}

// NewMirror returns a standby that shows what w holds.
func NewMirror(w *World) *Mirror {
	m := &Mirror{w: w}
	m.Replay()
	return m
}

// Replay lets the mirror show what the newest head includes.
func (m *Mirror) Replay() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.head, m.value = m.w.Fence.Head(), m.w.Read()
}

// Show lets the mirror show a value that the world does not.
func (m *Mirror) Show(value int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.value = value
}

// Read returns the number that the mirror shows.
func (m *Mirror) Read() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.value
}

// Begin is a Replica's.
func (m *Mirror) Begin() (fence.Label, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fence.LabelAt(m.head), true
}

// Confirm is a Replica's.
func (m *Mirror) Confirm(context.Context, fence.Label, fence.Instant, fence.Instant) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	return m.confirms
}

// Refuse lets every Confirm from now on fail.
func (m *Mirror) Refuse(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.confirms = err
}

// Asked returns how often Confirm was called.
func (m *Mirror) Asked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}
