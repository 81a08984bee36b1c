// Package probe finds out what an answer depends on besides its statement: the role, the
// database, the search path and the settings of the session that asks, and the consistency
// that it demands.
//
// It has the Question, which leaves a connection as it was, and reads the answer into a
// State. Package settings decides what each setting has to do with answers; in doubt a
// state has a Reason why its session is not served. What is known for certain has a state:
// Known keeps that. KeptBy knows the texts of which Postgres keeps what some setting said.
//
// It is pure: the session sends the question. A State does not change once it was taken
// over, and may be read by any goroutine; a Known belongs to one.
package probe
