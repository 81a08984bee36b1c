package wire

import (
	"testing"

	"github.com/freshet/freshet/invalidation/analysis"
)

// A question stops the decision if it has a reason. Only a question that is asked of reads notes
// that the unit is harmless.
func TestDecisionStopsAtTheFirstReason(t *testing.T) {
	t.Parallel()
	var d decision
	if d.stops("") || d.stopsIf(false, "no") || d.stopsReadIf(false, "no") || d.reason != "" || d.harmless {
		t.Errorf("a question without a reason stops, or leaves %+v, want nothing decided", d)
	}
	if !d.stopsIf(true, "a write") || d.reason != "a write" || d.harmless {
		t.Errorf("a write is decided as %+v, want it stopped and not harmless", d)
	}
	if !d.stopsReadIf(true, "a read") || d.reason != "a read" || !d.harmless {
		t.Errorf("a read is decided as %+v, want it stopped and harmless", d)
	}
}

// A statement that is no read is counted as passed through for that reason, though an unanswered
// statement or an open group would be a reason too.
func TestStatementsThatAreNoReadsAreCountedAsSuch(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	c := dialRaw(t, s.dsn())
	do := func(sql string) []byte { return join(msgParse("", sql), msgBind(""), msgExecute("", 0)) }
	send := func(until string, messages ...[]byte) {
		c.send(join(messages...))
		c.until(until)
	}
	slow := msgQuery("SELECT pg_sleep(0.01)")
	before := s.Report()
	send("ZZZZ", slow, msgQuery("DISCARD ALL"), msgQuery("SET work_mem = '1MB'"), msgQuery("DEALLOCATE ALL")) // behind a statement that is unanswered
	send("ZZ", slow, do("SET work_mem = '2MB'"), msgSync)
	send("C", do("RESET work_mem"), msgFlush)
	send("Z", msgSync)
	after := s.Report()
	noReads := after.Bypasses[string(analysis.ReasonNotSelect)] - before.Bypasses[string(analysis.ReasonNotSelect)]
	if passed := after.Queries["bypass"] - before.Queries["bypass"]; noReads != 5 || passed != 7 {
		t.Errorf("%d of %d passed through for being no reads, want 5 of 7: %v", noReads, passed, after.Bypasses)
	}
}
