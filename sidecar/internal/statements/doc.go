// Package statements knows the prepared statements of one session, as its client sees them
// and as Postgres does: messages are on their way, and some are answered without Postgres.
// A Set is the one owner of their names, of the unnamed one, of what a message that
// Postgres skips would have changed, and of what Postgres keeps of a text that it has
// parsed under the settings of then.
//
// It keeps these rules:
//
//  1. What is believed of a message that Postgres then skipped, or refused, is taken back,
//     and only that: see TakeBack.
//  2. A simple query ends the unnamed statement, for whoever hears of it: see SimpleQuery.
//  3. A statement whose constants a setting may touch is relied on only if Postgres has
//     looked at it under the present settings and no others, for certain: see ReadsNow.
//
// It is pure: the session sends what a Set says. A Set belongs to one goroutine. Of a
// Prepared any goroutine may read and write what is atomic.
package statements
