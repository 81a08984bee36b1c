package verify

// Result is what became of one hit that was to be verified. Each has exactly one.
type Result int

// The results.
const (
	// Same: Postgres answered the same.
	Same Result = iota
	// Raced: it answered otherwise, and an event that came meanwhile says that something
	// was written: the hit may have been the answer of the moment before.
	Raced
	// Stale: the answer is proven to be of no state that the hit was allowed to show.
	Stale
	// Incomparable: it answered otherwise, and that proves nothing: the answer depends on
	// the order in which Postgres finds rows, on who connected, or was another each time.
	Incomparable
	// Failed: it could not be asked, or no look said what was written.
	Failed
	// TimedOut: the statement took longer than it may.
	TimedOut
	// SkippedRole: the session's role or settings could not be taken over.
	SkippedRole
	// SkippedLoad: too many waited.
	SkippedLoad

	results
)

// String gives the name used in statistics, metrics and documents.
func (r Result) String() string {
	return [...]string{"same", "raced", "stale", "incomparable", "error", "timeout", "skipped_role", "skipped_load"}[r]
}

// Results are the names of all.
func Results() []string {
	names := make([]string, results)
	for r := range results {
		names[r] = r.String()
	}
	return names
}
