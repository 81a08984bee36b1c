// Package check finds out whether Freshet keeps its promises while everything
// around it fails.
//
// It starts a real PostgreSQL, a real Redis and several sidecars as processes,
// and lets writers and readers loose on them over many sessions, directly and
// through every sidecar, while a schedule of faults, drawn from a seed, kills,
// freezes, cuts and confuses what it can reach. Every read is judged against
// registers of what was acknowledged.
//
// It guarantees: what it counts as a violation is one, whatever the clocks of
// servers say. A commit counts as acknowledged from the moment when the call
// that committed returned, a read begins just before its call; both by this
// process's monotonic clock. A commit whose call failed is never expected, and
// never surprising. Nothing is left out of the judgement but reads under way
// while the database itself lost acknowledged commits; these are counted as
// excluded (see epoch).
//
// It shares no code with what it checks, and knows of it what a client and an
// operator know: the wire protocol, the command line, the documented tables.
//
// What that is worth is found out with mutants, which lack a rule of the protocol:
// for each of them a script forces, step by step, what the rule is there for.
//
// Run and the playing of scripts may go on several times at once; each has servers
// of its own.
package check
