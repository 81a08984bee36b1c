package shapes

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/probe"
)

// scripted is an analysis whose end a test decides.
type scripted struct {
	analyze func(analysis.Request) (*analysis.Verdict, error)
	asked   atomic.Int64
}

func (s *scripted) Analyze(_ context.Context, r analysis.Request) (*analysis.Verdict, error) {
	if r.SQL == "SELECT 1" {
		return nil, nil // the one that a book begins with
	}
	s.asked.Add(1)
	return s.analyze(r)
}

func (s *scripted) Forget() {}

// refused is a verdict that holds for every statement of its template.
func refused(analysis.Request) (*analysis.Verdict, error) {
	return &analysis.Verdict{Reason: analysis.ReasonNotSelect}, nil
}

// inBook runs a test with a book and a clock of its own.
func inBook(t *testing.T, analyze func(analysis.Request) (*analysis.Verdict, error), test func(*testing.T, *Book, *scripted)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &scripted{analyze: analyze}
		b := NewBook(a, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			b.Run(ctx)
			close(ended)
		}()
		defer func() {
			stop()
			<-ended
		}()
		test(t, b, a)
	})
}

var state, otherState = &probe.State{ID: digest.Of([]byte("one"))}, &probe.State{ID: digest.Of([]byte("other"))}

func TestStatementsOfOneShapeShareItsSlot(t *testing.T) {
	inBook(t, refused, func(t *testing.T, b *Book, a *scripted) {
		first, verdict, _ := b.Find(t.Context(), state, "SELECT a FROM t WHERE b = 5", nil)
		if first == nil || verdict == nil || first.Verdict() != verdict || first.Pending() || first.Shape == 0 {
			t.Fatalf("the first statement of a shape gets %+v, %+v", first, verdict)
		}
		if slot, known, _ := b.Known(state, "SELECT a FROM t WHERE b = 6", nil); slot != first || known != verdict {
			t.Errorf("another literal gets %+v, %+v", slot, known)
		}
		for name, ask := range map[string]func() *Slot{
			"another text":  func() *Slot { s, _, _ := b.Find(t.Context(), state, "SELECT b FROM t WHERE b = 5", nil); return s },
			"another state": func() *Slot { s, _, _ := b.Find(t.Context(), otherState, "SELECT a FROM t WHERE b = 5", nil); return s },
			"a parameter's type": func() *Slot {
				s, _, _ := b.Find(t.Context(), state, "SELECT a FROM t WHERE b = 5", []uint32{23})
				return s
			},
			"another of the same": func() *Slot {
				s, _, _ := b.Find(t.Context(), state, "SELECT a FROM t WHERE b = 5", []uint32{25})
				return s
			},
		} {
			if slot := ask(); slot == nil || slot == first || slot.Shape == first.Shape {
				t.Errorf("%s gets the slot %+v", name, slot)
			}
		}
		if n := a.asked.Load(); n != 5 || len(b.All()) != 5 {
			t.Errorf("%d analyses of %d shapes, want 5", n, len(b.All()))
		}
	})
}

// What may be a literal's fault is found out of each text.
func TestRefusalsOfALiteralAreOfTheirTextAlone(t *testing.T) {
	literals := func(r analysis.Request) (*analysis.Verdict, error) {
		return &analysis.Verdict{Reason: analysis.ReasonClockLiteral, Detail: r.SQL}, nil
	}
	inBook(t, literals, func(t *testing.T, b *Book, _ *scripted) {
		for _, sql := range []string{"SELECT a FROM t WHERE b = 'now'", "SELECT a FROM t WHERE b = 'then'"} {
			if _, known, _ := b.Known(state, sql, nil); known != nil {
				t.Errorf("%s is known by another: %+v", sql, known)
			}
			if slot, verdict, _ := b.Find(t.Context(), state, sql, nil); slot == nil || verdict == nil || verdict.Detail != sql {
				t.Errorf("%s gets %+v", sql, verdict)
			}
		}
	})
}

// The interleaving: a schema change is noticed while a verdict is found out. The verdict
// may be of before it, and is used for nothing that is stored.
func TestSchemaChangeDuringAnAnalysis(t *testing.T) {
	var end chan struct{} // nil before the test's clock runs
	slow := func(r analysis.Request) (*analysis.Verdict, error) {
		<-end
		return refused(r)
	}
	inBook(t, slow, func(t *testing.T, b *Book, a *scripted) {
		end = make(chan struct{})
		before, _ := b.slotOf("SELECT a FROM t")
		synctest.Wait()
		if n := a.asked.Load(); n != 1 {
			t.Fatalf("%d analyses are under way, want 1", n)
		}
		b.SchemaChanged()
		close(end)
		<-before.done
		if b.Current(before) || before.Generation == b.Generation() {
			t.Error("a verdict of before the change counts as of now")
		}
		if slot, verdict, _ := b.Known(state, "SELECT a FROM t", nil); slot != nil || verdict != nil {
			t.Errorf("behind the change %+v is known", verdict)
		}
		if now, verdict, _ := b.Find(t.Context(), state, "SELECT a FROM t", nil); now == before || verdict == nil || !b.Current(now) {
			t.Errorf("behind the change the statement gets %+v", now)
		}
	})
}

// slotOf is a slot that is in the queue, or was.
func (b *Book) slotOf(sql string) (*Slot, bool) {
	slot, _, shared := b.slot(state, sql, nil, true)
	return slot, shared
}

// A statement waits a moment, and passes through; the verdict is there for the next.
func TestSlowAnalysisIsNotWaitedFor(t *testing.T) {
	slow := func(r analysis.Request) (*analysis.Verdict, error) {
		time.Sleep(3 * analysisWaitMax)
		return refused(r)
	}
	inBook(t, slow, func(t *testing.T, b *Book, _ *scripted) {
		began := time.Now()
		slot, verdict, _ := b.Find(t.Context(), state, "SELECT a FROM t", nil)
		if waited := time.Since(began); slot == nil || verdict != nil || !slot.Pending() || waited != analysisWaitMax {
			t.Errorf("behind %v it gets %+v, %+v", waited, slot, verdict)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if _, verdict, _ := b.Find(gone, state, "SELECT a FROM t", nil); verdict != nil || time.Since(began) != analysisWaitMax {
			t.Errorf("whose client has left waits until %v", time.Since(began))
		}
		time.Sleep(3 * analysisWaitMax)
		if _, verdict, _ := b.Known(state, "SELECT a FROM t", nil); verdict == nil {
			t.Error("the verdict did not come")
		}
	})
}

// A failure, or a fault of the analysis, stands for a while; then it is tried again.
func TestFailedAnalysesAreTriedAgain(t *testing.T) {
	tries := 0
	failing := func(r analysis.Request) (*analysis.Verdict, error) {
		switch tries++; tries {
		case 1:
			return nil, errors.New("no connection")
		case 2:
			panic("a fault")
		default:
			return refused(r)
		}
	}
	inBook(t, failing, func(t *testing.T, b *Book, a *scripted) {
		for try := range int64(2) {
			for range 3 { // the first fails, the others hear of it
				if slot, verdict, _ := b.Find(t.Context(), state, "SELECT a FROM t", nil); slot == nil || verdict != nil || slot.Pending() || a.asked.Load() != try+1 {
					t.Errorf("after %d tries it gets %+v, %+v", a.asked.Load(), slot, verdict)
				}
			}
			time.Sleep(analysisRetryAfter)
		}
		if _, verdict, _ := b.Find(t.Context(), state, "SELECT a FROM t", nil); verdict == nil {
			t.Error("it is not tried again")
		}
	})
}

// Nobody waits for a place in the queue.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	b := NewBook(&scripted{analyze: refused}, slog.New(slog.DiscardHandler)) // which does not run
	for n := range analysisQueueMax {
		if slot, _ := b.slotOf("SELECT a" + string(rune('a'+n%26)) + string(rune('a'+n/26)) + " FROM t"); slot == nil {
			t.Fatalf("there is no place for number %d", n)
		}
	}
	if slot, verdict, _ := b.Find(t.Context(), state, "SELECT z FROM t", nil); slot != nil || verdict != nil {
		t.Errorf("beyond the queue's end there is %+v", slot)
	}
	if len(b.All()) != analysisQueueMax {
		t.Errorf("the book has %d shapes, want %d", len(b.All()), analysisQueueMax)
	}
}
