// Package reasons names what a statement passes through for, and says what a user
// can do about each: the reasons of a session and those of the analysis, as one list.
//
// The names are part of the API: counters, metrics, documents and clients show them.
package reasons

import (
	"iter"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/invalidation/settings"
)

// The reasons of a session, beside those of the analysis.
const (
	NotSelect        = "not_select"
	InTransaction    = "in_transaction"
	Failed           = "failed_transaction"
	Pipelined        = "behind_unanswered"
	OpenGroup        = "open_group"
	NamedPortal      = "named_portal"
	RowLimit         = "row_limit"
	PortalReused     = "portal_reused"
	UnknownStatement = "unknown_statement"
	TooLong          = "message_too_long"
	Noticed          = "notice"
	ProbeFailed      = "session_not_understood"
	Isolation        = settings.ReasonIsolation
	Temporary        = "temporary_tables"
	Encoding         = settings.ReasonEncoding
	TemporaryPath    = "temporary_path"
	Messages         = settings.ReasonMessages
	Setting          = settings.ReasonSetting
	Library          = settings.ReasonLibrary
	Settings         = "settings_not_known"
	Demands          = "consistency_not_understood"
	Incarnation      = "other_server"
	NotFollowing     = "not_following"
	Unproven         = "freshness_unproven"
	AnalysisPending  = "analysis_pending"
	Value            = "parameter_not_understood"
	FunctionCall     = "function_call"
	Revalidated      = "statement_revalidated"
	ParsedUnder      = "parsed_under_other_settings"
	Malformed        = "malformed_message"
	Confused         = "protocol_not_understood"
	AnalysisFailed   = "analysis_failed"
	SchemaMoving     = "schema_changing"
	ReplicaLevel     = "replica_not_bounded"
	ReplicaBehind    = "replica_not_vouched_for"
	Spared           = "sooner_from_postgres"
	SwitchedOff      = "switched_off"
	CommentOff       = "switched_off_by_comment"
	Comment          = "comment_not_understood"
	AllOff           = "switched_off_for_all"
	Shared           = "servers_shared"
	Ruled            = "switched_off_by_rule"
	Distrusted       = "found_stale"
)

// advice holds one line for each reason of a session.
var advice = map[string]string{
	Settings:         "The answer depends on a setting of the application's own whose value is not known, or on one too many: at most 32 are asked for.",
	NotSelect:        "Only SELECT, WITH, VALUES and TABLE can be answered from the cache.",
	InTransaction:    "Statements go to Postgres from the first one on that may have changed something in the transaction (a write, SET, a function of a user's), and from BEGIN on in other isolation levels than READ COMMITTED: put cached reads first, or before the transaction.",
	Failed:           "The transaction has failed: Postgres says so itself until it is rolled back.",
	Pipelined:        "Earlier statements of the same connection were still unanswered: answers keep their order.",
	OpenGroup:        "The client asked for part of the answer before its Sync (Flush), and had changed something, begun a transaction or did not wait: the rest follows from Postgres.",
	NamedPortal:      "A cursor belongs to the server, and so does a portal with a name in a transaction that has begun, or beside a cursor WITH HOLD: run the statement without one, or put it first.",
	RowLimit:         "The client may fetch the rest of the result later (a row limit in Execute, in a transaction, which the result reaches): fetch it whole, or outside of transactions.",
	PortalReused:     "A portal was executed twice in one group, or executed without being bound, or closed without being executed.",
	UnknownStatement: "The statement was prepared in a way that the sidecar did not see (PREPARE, a failed Parse).",
	TooLong:          "The statement or its parameters are longer than 256 KiB.",
	Noticed:          "Postgres said something about the statement when it was prepared (a notice or warning), which the cache could not repeat: see what it says.",
	ProbeFailed:      "The session's settings could not be read: is Freshet installed in this database (freshet install)?",
	Isolation:        "The session's default isolation is not READ COMMITTED: its reads belong to Postgres.",
	Temporary:        "The session has temporary tables, functions or types, which may hide others: drop them when they are no longer needed.",
	Encoding:         "The client's encoding is not UTF8: its texts are not analysed.",
	TemporaryPath:    "The search path names pg_temp: to resolve it could make the temporary schema. Leave it out where there are no temporary tables.",
	Messages:         "client_min_messages is log or a debug level: what Postgres then says of each statement, only Postgres can.",
	Setting:          "A setting makes answers random, forbids some, reads damaged pages or sends plans: SET gin_fuzzy_search_limit = 0, restrict_nonsystem_relation_kind = '', ignore_checksum_failure = off, zero_damaged_pages = off, auto_explain.log_level = log, and connect without ignore_system_indexes.",
	Library:          "A library was loaded into the session (LOAD, session_preload_libraries, local_preload_libraries, sepgsql), which may change any answer: connect without it.",
	Demands:          "SET freshet.consistency, freshet.staleness, freshet.after or freshet.cache has a value that is not understood; a warning says which.",
	Incarnation:      "This connection reached another server or database than the one that is followed.",
	NotFollowing:     "The follower has not completed a look since the start or since a failover.",
	Unproven:         "The follower could not prove in time that the cache is fresh enough: is Postgres slow or out of reach?",
	AnalysisPending:  "The shape of the statement is being analysed: the next time it may hit.",
	Value:            "A bound value cannot be read in its canonical form, or is a clock word such as 'now'.",
	FunctionCall:     "The function call protocol goes to Postgres.",
	Revalidated:      "The schema, the role or the search path has changed since the statement was prepared: Postgres checks it once.",
	ParsedUnder:      "The statement has constants (a date, an escape, …) that Postgres read under other settings than those of now, or may have: it was prepared before SET, or used behind a write in a transaction. Pass them as parameters, or prepare it anew.",
	Malformed:        "The message is not one that Postgres accepts: Postgres says what is wrong with it.",
	Confused:         "An unexpected message was seen: this connection is passed through for the rest of its life.",
	AnalysisFailed:   "The statement could not be analysed a moment ago (Postgres out of reach, a lock): it is tried again every second.",
	ReplicaLevel:     "The connection leads to a replica, and the session demands more than bounded staleness: SET freshet.consistency = 'bounded', or connect to the primary.",
	ReplicaBehind:    "The replica is not known to follow the primary of --primary, is too far behind it, or is out of reach.",
	Spared:           "The session writes after each single read, and Postgres answers this one sooner than the sidecar could ask what it needs behind a write: nothing is wrong.",
	SwitchedOff:      "The session has said SET freshet.cache = 'off': SET freshet.cache = 'on', or RESET it.",
	CommentOff:       "A comment in the statement says freshet: off.",
	Comment:          "A comment in the statement speaks to freshet and is not understood: write /* freshet: off */ or /* freshet: ttl=30s */, or leave it out.",
	AllOff:           "The sidecar was told to answer nothing from the cache: freshet bypass off ends that.",
	Shared:           "Clients reach Postgres through a pooler in transaction mode, or it is not known yet that they do not: let --upstream name Postgres itself, or a pooler in session mode.",
	Ruled:            "A rule of the configuration (tables, shapes) says cache: no for the statement, or for a table that it reads.",
	Distrusted:       "Verification has proven an answer to such a statement stale (--verify-on-stale=bypass): find out which event was lost (freshet doctor, the log), then freshet purge --table, for a table that it reads, or --all.",
	SchemaMoving:     "A schema change, or what is watched, is being taken in: the next time it may be captured.",
}

// Advice says what a user can do about a reason; empty for a name that is none.
func Advice(reason string) string {
	if text, ok := advice[reason]; ok {
		return text
	}
	return analysis.Reason(reason).Advice()
}

// docsURL is where the documents are published.
const docsURL = "https://github.com/freshet/freshet/blob/main/docs/"

// places are the parts of the documents that tell of reasons, where there is a better one than the
// list of all.
var places = map[string]string{
	string(analysis.ReasonUnwatchedTable): "operations.md#install",
	string(analysis.ReasonUserFunction):   "operations.md#functions-of-your-own",
	string(analysis.ReasonRowSecurity):    "operations.md#row-security",

	InTransaction: "protocol.md#transactions",
	Failed:        "protocol.md#transactions",
	Settings:      "protocol.md#settings",
	Setting:       "protocol.md#settings",
	ParsedUnder:   "protocol.md#settings",
	Demands:       "protocol.md#demands-of-a-client",
	SwitchedOff:   "protocol.md#demands-of-a-client",
	CommentOff:    "protocol.md#demands-of-a-client",
	Comment:       "protocol.md#demands-of-a-client",
	ProbeFailed:   "operations.md#the-role-that-serve-runs-as",
	NotFollowing:  "operations.md#when-something-dies",
	Incarnation:   "operations.md#when-something-dies",
	ReplicaLevel:  "operations.md#read-replicas",
	ReplicaBehind: "operations.md#read-replicas",
	AllOff:        "operations.md#the-switch",
	Shared:        "operations.md#poolers",
	Ruled:         "operations.md#rules-for-single-tables-and-statements",
	Distrusted:    "operations.md#verification",
}

// Docs is the address of what the documents say about a reason; empty for a name that is none.
func Docs(reason string) string {
	if place, ok := places[reason]; ok {
		return docsURL + place
	}
	if _, ok := advice[reason]; ok {
		return docsURL + "protocol.md#reasons-of-the-session-and-the-moment"
	}
	if analysis.Reason(reason).Advice() == "" {
		return ""
	}
	return docsURL + "protocol.md#reasons-of-the-statement"
}

// All yields every reason with its advice.
func All() iter.Seq2[string, string] {
	return func(yield func(reason, advice string) bool) {
		for reason, text := range advice {
			if !yield(reason, text) {
				return
			}
		}
		for _, reason := range analysis.Reasons() {
			if !yield(string(reason), reason.Advice()) {
				return
			}
		}
	}
}
