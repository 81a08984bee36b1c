package shop

import (
	"slices"
	"time"

	"github.com/freshet/freshet/loadtest/demo/shop/checker"
)

// Report is what a Workload measured since it opened. Times are as the clients
// saw them, from the call until the last row was read; those of reads that an
// error ended are missing.
type Report struct {
	// Elapsed is how long the shop has been open.
	Elapsed time.Duration
	// Checks are the verdicts on every read through a door.
	Checks checker.Report
	// Statements are the pages that readers show.
	Statements []StatementReport
	// Asked and Reached are the sums over the statements.
	Asked, Reached uint64
	// Writes were made through the doors; OfficeWrites at PostgreSQL itself, of
	// which Discounts changed a whole category.
	Writes, OfficeWrites, Discounts uint64
	// Visible is how long after the acknowledgement of a price changed at
	// PostgreSQL itself the first read that showed it began, through each door;
	// NeverVisible counts those that twice the bound was not enough for.
	Visible      Times
	NeverVisible uint64
	Probe        ProbeReport
	Stampedes    StampedeReport
	// Errors were returned to clients, or kept them from connecting again;
	// ErrorExamples are the first of them.
	Errors        uint64
	ErrorExamples []string
	// Lost are those that were due to PostgreSQL being away: see Without.
	Lost uint64
}

// StatementReport is about one page.
type StatementReport struct {
	Name string
	// Asked is how often readers and writers asked through a door, Reached how
	// often PostgreSQL executed it for them, by its own count.
	Asked, Reached uint64
	// Through are the readers' times through the doors, Direct those of the
	// questions that chance sent to PostgreSQL itself.
	Through, Direct Times
}

// ProbeReport is about product pages that only the probe reads and nobody writes.
type ProbeReport struct {
	// Direct are times at PostgreSQL itself.
	Direct Times
	// First reads, second reads through the same door, and first reads through
	// another door after the first.
	First, Again, Elsewhere ArmReport
}

// ArmReport tells reads apart by PostgreSQL's own count: Reached are those for
// which it executed the query, Spared the others.
type ArmReport struct{ Spared, Reached Times }

// StampedeReport is about the crowds.
type StampedeReport struct {
	Count uint64 // of crowds
	// Asked is how many questions the crowds had, Reached how many of them
	// PostgreSQL executed, by its own count.
	Asked, Reached uint64
	// Served is how long it took until everyone in a crowd had an answer.
	Served Times
}

// Elapsed is how long the shop has been open: zero until all are connected.
func (w *Workload) Elapsed() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.began.IsZero():
		return 0
	case w.ended.IsZero():
		return time.Since(w.began)
	}
	return w.ended.Sub(w.began)
}

// Report returns what was measured so far.
func (w *Workload) Report() Report {
	w.mu.Lock()
	reached := w.reached
	r := Report{Errors: w.errors, ErrorExamples: slices.Clone(w.errorExamples)}
	w.mu.Unlock()
	r.Lost = w.outage.lostSoFar()
	r.Elapsed = w.Elapsed()
	for _, st := range browsing {
		use := w.statements[st]
		s := StatementReport{Name: st.name, Asked: use.asked.Load(), Reached: reached[st],
			Through: use.through.summary(), Direct: use.direct.summary()}
		r.Asked += s.Asked
		r.Reached += s.Reached
		r.Statements = append(r.Statements, s)
	}
	r.Checks = w.checker.Report()
	r.Writes, r.OfficeWrites, r.Discounts = w.writes.Load(), w.officeWrites.Load(), w.discounts.Load()
	r.Visible, r.NeverVisible = w.visible.summary(), w.neverVisible.Load()
	r.Probe = ProbeReport{Direct: w.probe.direct.summary(), First: w.probe.first.report(),
		Again: w.probe.again.report(), Elsewhere: w.probe.elsewhere.report()}
	r.Stampedes = StampedeReport{Count: w.stampedes.Load(), Asked: w.crowdAsked.Load(),
		Reached: w.crowdReached.Load(), Served: w.crowd.summary()}
	return r
}

func (a arm) report() ArmReport {
	return ArmReport{Spared: a.spared.summary(), Reached: a.reached.summary()}
}
