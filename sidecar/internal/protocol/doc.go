// Package protocol holds the bytes of Postgres' wire protocol, version 3: messages
// and how they are told apart, the units in which a client's messages are handled,
// start-up packets, the rows and text arrays with which the sidecar's own questions
// are answered.
//
// It is pure: it reads and appends bytes, and knows neither connections nor what a
// message means to a session. Whatever the bytes are, it does not panic, and what it
// returns are parts of them; nothing is copied unless its comment says so.
package protocol
