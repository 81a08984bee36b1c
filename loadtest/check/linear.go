package check

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	// roundOps is how many operations a client makes in one round. A round is one
	// history: it begins and ends with nobody under way.
	roundOps = 12
	// roundPace is the least time between two operations of a client.
	roundPace = 10 * time.Millisecond
	// judgeMax bounds the search for a linear order of one history.
	judgeMax = 5 * time.Second
	// never is when a call returned that brought no answer.
	never = int64(1) << 62
	// unknown is the state of a register about which nothing is known yet.
	unknown = int64(-1)
)

// operation is the input of one call, and its output: the version read or made.
type operation struct {
	key    int
	write  bool
	direct bool // not through a sidecar
	// doubtful is set for a write whose commit was not acknowledged.
	doubtful bool
}

// versions is the model of a register whose writes count up by one.
var versions = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, linearRows)
		for _, o := range history {
			k := o.Input.(operation).key
			parts[k] = append(parts[k], o)
		}
		return parts
	},
	Init: func() any { return unknown },
	Step: func(state, input, output any) (bool, any) {
		before, in, version := state.(int64), input.(operation), output.(int64)
		switch {
		case in.doubtful && before != version-1:
			return true, before // it was not committed, or not yet
		case in.write:
			return before == unknown || before == version-1, version
		default:
			return before == unknown || before == version, version
		}
	},
}

// linear runs rounds of strong reads and writes until ctx ends, and has the
// history of each judged.
func (w *world) linear(ctx context.Context, clients []*session) {
	defer func() {
		for _, s := range clients {
			s.close()
		}
	}()
	var doubts []porcupine.Operation
	var of *epoch
	for ctx.Err() == nil {
		e := w.epoch.Load()
		if e != of {
			of, doubts = e, nil
		}
		label := w.label()
		history := w.round(ctx, clients)
		label = w.labelOf(label)
		if e == nil || w.epoch.Load() != e {
			for range history {
				w.tally.exclude(label)
			}
			continue
		}
		w.judgeHistory(history, doubts, label)
		doubts = appendDoubts(doubts, history)
	}
}

// doubtsMax bounds the unacknowledged writes that are remembered: what was not
// committed long after its connection was cut never will be.
const doubtsMax = 64

// appendDoubts keeps the writes that may still be committed for the histories
// to come.
func appendDoubts(doubts, history []porcupine.Operation) []porcupine.Operation {
	for _, o := range history {
		if o.Input.(operation).doubtful {
			o.Call = 0
			doubts = append(doubts, o)
		}
	}
	return doubts[max(0, len(doubts)-doubtsMax):]
}

// round lets every client make its operations, and returns what happened.
func (w *world) round(ctx context.Context, clients []*session) []porcupine.Operation {
	parts := make([][]porcupine.Operation, len(clients))
	var running sync.WaitGroup
	for i, s := range clients {
		running.Go(func() {
			p := pacer{each: roundPace}
			for range roundOps {
				p.wait(ctx)
				if ctx.Err() != nil || !s.ready(ctx) {
					continue
				}
				if o, ok := s.operate(); ok {
					o.ClientId = i
					parts[i] = append(parts[i], o)
				}
			}
		})
	}
	running.Wait()
	var all []porcupine.Operation
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

// operate makes one operation. ok is false if it cannot have had an effect.
func (s *session) operate() (o porcupine.Operation, ok bool) {
	in := operation{key: s.random.IntN(linearRows), write: s.random.IntN(8) == 0, direct: s.door == direct}
	id := rowCount - linearRows + in.key
	var version, mark int64
	o = porcupine.Operation{Input: in, Call: s.world.clock()}
	if !in.write {
		err := s.one(readRowSQL, []any{id}, &version, &mark)
		o.Return, o.Output = s.world.clock(), version
		return o, err == nil
	}
	s.world.hold.RLock()
	defer s.world.hold.RUnlock()
	if s.world.epoch.Load() != s.epoch || s.exec("BEGIN") != nil {
		return o, false
	}
	r, err := s.write(key{row, id}, writeRowSQL, s.world.marks.next(s.epoch))
	if err != nil {
		return o, false
	}
	o.Output, o.Return = r.version, never
	if s.exec("COMMIT") != nil {
		in.doubtful = true
		o.Input = in
		return o, true
	}
	o.Return = s.world.clock()
	if s.world.epoch.Load() == s.epoch {
		s.epoch.register(r.key).acknowledge(r.version, r.mark, time.Now())
		s.world.tally.wrote()
	}
	return o, true
}

// judgeHistory judges a history with the doubtful writes of earlier ones, and
// counts its operations.
func (w *world) judgeHistory(history, doubts []porcupine.Operation, label string) {
	if len(history) == 0 {
		return
	}
	broken := ""
	switch porcupine.CheckOperationsTimeout(versions, slices.Concat(history, doubts), judgeMax) {
	case porcupine.Illegal:
		broken = "a history has no linear order"
	case porcupine.Unknown:
		w.tally.note(noteUndecided, 1)
		return
	}
	w.tally.note(noteHistories, 1)
	for _, o := range history {
		in := o.Input.(operation)
		if !in.direct && !in.write {
			w.tally.read(label)
		}
		w.tally.count(Linear, label, 0, broken, "linear group")
		broken = "" // one history, one violation
	}
}

// startLinear starts the group whose histories are judged: strong sessions on
// every sidecar and one on PostgreSQL itself.
func (w *world) startLinear(ctx context.Context, start func(func())) {
	var clients []*session
	for door := range w.options.Sidecars {
		number := firstLinear + 2*door
		clients = append(clients, w.newSession("linear", number, door, levelStrong, prepared))
		clients = append(clients, w.newSession("linear", number+1, door, levelStrong, simple))
	}
	number := firstLinear + 2*w.options.Sidecars
	clients = append(clients, w.newSession("linear", number, direct, levelDirect, prepared))
	start(func() { w.linear(ctx, clients) })
}
