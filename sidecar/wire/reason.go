package wire

// Reasons for which the wire passes a statement through, beside those of the
// analysis. The names are part of the API: counters, metrics and documents
// show them. Advice tells what a user can do about each.
const (
	reasonNotSelect        = "not_select"
	reasonInTransaction    = "in_transaction"
	reasonFailed           = "failed_transaction"
	reasonPipelined        = "behind_unanswered"
	reasonOpenGroup        = "open_group"
	reasonNamedPortal      = "named_portal"
	reasonRowLimit         = "row_limit"
	reasonPortalReused     = "portal_reused"
	reasonUnknownStatement = "unknown_statement"
	reasonTooLong          = "message_too_long"
	reasonNotDescribed     = "not_described"
	reasonNoticed          = "notice"
	reasonProbeFailed      = "session_not_understood"
	reasonIsolation        = "isolation"
	reasonTemporary        = "temporary_tables"
	reasonEncoding         = "client_encoding"
	reasonTemporaryPath    = "temporary_path"
	reasonMessages         = "message_level"
	reasonSetting          = "unusual_setting"
	reasonLibrary          = "library_loaded"
	reasonDemands          = "consistency_not_understood"
	reasonIncarnation      = "other_server"
	reasonNotFollowing     = "not_following"
	reasonUnproven         = "freshness_unproven"
	reasonAnalysisPending  = "analysis_pending"
	reasonValue            = "parameter_not_understood"
	reasonFunctionCall     = "function_call"
	reasonRevalidated      = "statement_revalidated"
	reasonParsedUnder      = "parsed_under_other_settings"
	reasonMalformed        = "malformed_message"
	reasonConfused         = "protocol_not_understood"
	reasonAnalysisFailed   = "analysis_failed"
	reasonSchemaMoving     = "schema_changing"
	reasonReplicaLevel     = "replica_not_bounded"
	reasonReplicaBehind    = "replica_not_vouched_for"
	reasonSpared           = "sooner_from_postgres"
)

var advice = map[string]string{
	reasonNotSelect:        "Only SELECT, WITH, VALUES and TABLE can be answered from the cache.",
	reasonInTransaction:    "Statements go to Postgres from the first one on that has to run in the transaction (a write, a lock, SET), and from BEGIN on in other isolation levels than READ COMMITTED: put cached reads first, or before the transaction.",
	reasonFailed:           "The transaction has failed: Postgres says so itself until it is rolled back.",
	reasonPipelined:        "Earlier statements of the same connection were still unanswered: answers keep their order.",
	reasonOpenGroup:        "The client asked for part of the answer before its Sync (Flush), and had executed something or did not wait: the rest follows from Postgres.",
	reasonNamedPortal:      "Cursors and named portals belong to the server: run the statement without one.",
	reasonRowLimit:         "The client may fetch the rest of the result later (a row limit in Execute, in a transaction): fetch it whole, or outside of transactions.",
	reasonPortalReused:     "A portal was executed twice, as when a result is fetched in pieces, or executed without being bound.",
	reasonUnknownStatement: "The statement was prepared in a way that the sidecar did not see (PREPARE, a failed Parse).",
	reasonTooLong:          "The statement or its parameters are longer than 256 KiB.",
	reasonNotDescribed:     "The description of the statement is not known yet: the next time it will be.",
	reasonNoticed:          "Postgres said something about the statement when it was prepared (a notice or warning), which the cache could not repeat: see what it says.",
	reasonProbeFailed:      "The session's settings could not be read: is Freshet installed in this database (freshet install)?",
	reasonIsolation:        "The session's default isolation is not READ COMMITTED: its reads belong to Postgres.",
	reasonTemporary:        "The session has temporary tables, which may hide others.",
	reasonEncoding:         "The client's encoding is not UTF8: its texts are not analysed.",
	reasonTemporaryPath:    "The search path names pg_temp: to resolve it could make the temporary schema. Leave it out where there are no temporary tables.",
	reasonMessages:         "client_min_messages is log or a debug level: what Postgres then says of each statement, only Postgres can.",
	reasonSetting:          "A setting makes answers random, forbids some, reads damaged pages or sends plans: SET gin_fuzzy_search_limit = 0, restrict_nonsystem_relation_kind = '', ignore_checksum_failure = off, zero_damaged_pages = off, auto_explain.log_level = log, and connect without ignore_system_indexes.",
	reasonLibrary:          "A library was loaded into the session (LOAD, session_preload_libraries, local_preload_libraries, sepgsql), which may change any answer: connect without it.",
	reasonDemands:          "SET freshet.consistency, freshet.staleness or freshet.after has a value that is not understood; a warning says which.",
	reasonIncarnation:      "This connection reached another server or database than the one that is followed.",
	reasonNotFollowing:     "The follower has not completed a look since the start or since a failover.",
	reasonUnproven:         "The follower could not prove in time that the cache is fresh enough: is Postgres slow or out of reach?",
	reasonAnalysisPending:  "The shape of the statement is being analysed: the next time it may hit.",
	reasonValue:            "A bound value cannot be read in its canonical form, or is a clock word such as 'now'.",
	reasonFunctionCall:     "The function call protocol goes to Postgres.",
	reasonRevalidated:      "The schema, the role or the search path has changed since the statement was prepared: Postgres checks it once.",
	reasonParsedUnder:      "The statement has constants (a date, an escape, …) that Postgres read under other settings than those of now, or may have: it was prepared before SET, or used behind a write in a transaction. Pass them as parameters, or prepare it anew.",
	reasonMalformed:        "The message is not one that Postgres accepts: Postgres says what is wrong with it.",
	reasonConfused:         "An unexpected message was seen: this connection is passed through for the rest of its life.",
	reasonAnalysisFailed:   "The statement could not be analysed a moment ago (Postgres out of reach, a lock): it is tried again every second.",
	reasonReplicaLevel:     "The connection leads to a replica, and the session demands more than bounded staleness: SET freshet.consistency = 'bounded', or connect to the primary.",
	reasonReplicaBehind:    "The replica is not known to follow the primary of --primary, is too far behind it, or is out of reach.",
	reasonSpared:           "The session writes after each single read, and Postgres answers this one sooner than the sidecar could ask what it needs behind a write: nothing is wrong.",
	reasonSchemaMoving:     "A schema change, or what is watched, is being taken in: the next time it may be captured.",
}

// Advice returns what a user can do about a reason of this package, and false
// if the reason belongs to another.
func Advice(reason string) (string, bool) {
	text, ok := advice[reason]
	return text, ok
}
