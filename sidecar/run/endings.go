package run

import (
	"slices"
	"sync"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/dashboard"
)

const (
	// endingsMax is how many endings are kept of each shape: the oldest goes first.
	endingsMax = 20
	// endingsShapesMax bounds the shapes of which some are kept: the one goes first of which none was
	// noticed for longest.
	endingsShapesMax = 512
)

// endings are what has ended answers lately, by the numbers of their shapes. The zero value holds
// none. Its methods may be called concurrently.
type endings struct {
	mu sync.Mutex
	of map[uint64][]ending // the newest last
}

// ending is one of them, or several of one kind within a second.
type ending struct {
	at   time.Time
	by   string
	root uint32 // of the table, 0 if it was none
	n    uint64
}

func (e *endings) note(shape uint64, by string, root uint32, now time.Time) {
	now = now.Truncate(time.Second)
	e.mu.Lock()
	defer e.mu.Unlock()
	list, known := e.of[shape]
	for i := len(list) - 1; i >= 0 && list[i].at.Equal(now); i-- {
		if list[i].by == by && list[i].root == root {
			list[i].n++
			return
		}
	}
	if !known {
		e.makeRoomLocked()
		list = make([]ending, 0, endingsMax)
	}
	if len(list) == endingsMax {
		list = append(list[:0], list[1:]...)
	}
	e.of[shape] = append(list, ending{now, by, root, 1})
}

func (e *endings) makeRoomLocked() {
	if e.of == nil {
		e.of = map[uint64][]ending{}
	}
	if len(e.of) < endingsShapesMax {
		return
	}
	oldest, last := uint64(0), time.Time{}
	for shape, list := range e.of {
		if at := list[len(list)-1].at; last.IsZero() || at.Before(last) {
			oldest, last = shape, at
		}
	}
	delete(e.of, oldest)
}

// latest are those of shapes together, the newest first.
func (e *endings) latest(shapes []uint64) (all []ending) {
	e.mu.Lock()
	for _, shape := range shapes {
		all = append(all, e.of[shape]...)
	}
	e.mu.Unlock()
	slices.SortStableFunc(all, func(a, b ending) int { return b.at.Compare(a.at) })
	return all[:min(len(all), endingsMax)]
}

// noteEnded is told of each answer that an event has ended.
func (s *stack) noteEnded(shape uint64, moved fence.Tag, tags []fence.Tag) {
	by, root := s.follower.NoteEnded(moved, tags)
	s.endings.note(shape, by, root, time.Now())
}

// endingsOf lists what has ended answers of a shape lately, by its ID.
func (s *stack) endingsOf(id string) []dashboard.EndedBy {
	state, all := s.follower.State(), []dashboard.EndedBy{}
	for _, e := range s.endings.latest(s.server.ShapeNumbers(id)) {
		ended := dashboard.EndedBy{At: e.at, By: e.by, Answers: e.n}
		if t, ok := state.Table(e.root); ok {
			ended.Table = t.Schema + "." + t.Name
		}
		all = append(all, ended)
	}
	return all
}
