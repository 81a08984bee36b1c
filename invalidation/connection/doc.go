// Package connection opens sessions with Postgres whose settings can be relied on,
// for the parts of Freshet that have sessions of their own.
//
// Whatever stands between, the settings asked for are in force when Open returns, or
// it returns an error that names the one that is not. They are set after connecting,
// because poolers refuse unknown start-up parameters or drop them without a word. A
// pooler that gives a session's statements to several servers is found and refused.
//
// It keeps no state; its functions may be called concurrently.
package connection
