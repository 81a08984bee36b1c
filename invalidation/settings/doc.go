// Package settings decides of each setting of PostgreSQL 14 to 18 what it has to do
// with answers: whether it is part of a key, with which values a session passes
// through and for which reason, and how all that is asked for. What a session's names
// mean, it asks for too.
//
// It guarantees that every setting that a server has is decided, as a test holds on
// each version. It opens no connection. What it asks says the same under any search
// path.
package settings

// The reasons for which a session with some settings passes through. The names are
// part of the API: counters, documents and clients show them.
const (
	ReasonMessages  = "message_level"
	ReasonIsolation = "isolation"
	ReasonEncoding  = "client_encoding"
	ReasonSetting   = "unusual_setting"
	ReasonLibrary   = "library_loaded"
)
