package wire

import (
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/accesslog"
	"github.com/freshet/freshet/sidecar/internal/answer"
)

// record begins what the access log has of a statement of the session.
func (i *identity) record() accesslog.Record {
	return accesslog.Record{Role: i.role, Database: i.database, PID: i.cancel.processID()}
}

// logHit has the access log tell of a statement that is answered with an entry.
func (i *identity) logHit(entry *engine.Entry, how Outcome, arrived fence.Instant) {
	now := fence.Now()
	r := i.record()
	if terms := entry.Payload.(*answer.Answer).Terms.Load(); terms != nil {
		r.Shape, r.Tables = terms.ID, terms.Tables
	}
	r.Outcome, r.Took = how.String(), now.Sub(arrived)
	r.Age, r.Kept = entry.Age(now), true
	i.server.access.Note(r)
}

// localOutcome is how the access log calls what the sidecar answers by itself: BEGIN, and
// what follows in a transaction that Postgres does not know of.
const localOutcome = "local"

// logLocal has the access log tell of a statement that the sidecar answers by itself.
func (i *identity) logLocal() {
	r := i.record()
	r.Outcome = localOutcome
	i.server.access.Note(r)
}

// bypassUntimed counts statements that go to Postgres and whose end nobody waits for, and has
// the access log tell of them.
func (i *identity) bypassUntimed(reason string, statements int) {
	i.server.counters.bypass(reason, statements)
	if i.server.access == nil {
		return
	}
	r := i.record()
	r.Outcome, r.Reason = Bypass.String(), reason
	for range statements {
		i.server.access.Note(r)
	}
}

// recordsOf begins what the access log has of the statements of the plan, which go to
// Postgres.
func (s *session) recordsOf(reason string) []accesslog.Record {
	r := s.record()
	r.Reason = reason
	records := make([]accesslog.Record, 0, s.plan.executions)
	for i := range s.plan.wants {
		w := &s.plan.wants[i]
		if w.describes {
			continue
		}
		r.Shape, r.Tables = "", nil
		if s.state() != nil {
			if slot, verdict := s.knownVerdict(w.prepared.Statement); verdict != nil {
				terms := s.server.termsOf(slot)
				r.Shape, r.Tables = terms.ID, terms.Tables
			}
		}
		records = append(records, r)
	}
	r.Shape, r.Tables = "", nil
	for len(records) < s.plan.executions { // what is refused before it is read
		records = append(records, r)
	}
	return records
}

// logRelayed has the access log tell of statements that Postgres has answered.
func (s *Server) logRelayed(records []accesslog.Record, how Outcome, took time.Duration) {
	for _, r := range records {
		r.Outcome, r.Took = how.String(), took
		s.access.Note(r)
	}
}
