// Package analysis answers one question about a SQL statement: which tags does
// its answer depend on, or for which named reason may it not be cached?
//
// The server is the analyser. A bare extended-protocol Parse on a side session
// with debug_print_rewritten on makes Postgres send back its own rewritten
// query tree: names resolved, views expanded, operators and functions by OID.
// The tree is read by field name, every node that is not known is refused, and
// guards ("every row of this table that matters has this value in this column")
// are derived from what is left. What its functions find by type when they run is
// not in the tree: that is known by function and by type.
//
// It guarantees that a cacheable verdict names, for every base table the
// statement reads, a tag that moves whenever a change of that table can change
// the answer, given that the caller's cache key holds database, role, resolved
// search_path and the settings that change how values are read and printed.
//
// It does not run the statement, does not write, does not keep verdicts (the
// caller does, and asks [Analyzer.Current] before each use), and knows nothing
// of the client's transaction.
//
// The caller keeps verdicts by [Template] key (or, where there is no template,
// by the statement's text) together with everything else in a [Request], a few
// per key where [Verdict.Covers] tells them apart.
//
// An Analyzer and a Verdict may be used by any number of goroutines.
package analysis
