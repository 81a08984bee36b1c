package dashboard

import (
	"time"

	"github.com/freshet/freshet/sidecar/internal/count"
	"github.com/freshet/freshet/sidecar/internal/fleet"
	"github.com/freshet/freshet/sidecar/internal/histogram"
)

// Limits of the lists in Stats, so that an answer stays small with any number
// of tables. The numbers beside the lists count everything.
const (
	WatchedMax  = 500
	ProblemsMax = 100
	ShapesMax   = 100
	// ShapesPassedMax bounds ShapesPassed.
	ShapesPassedMax = 50
	// ClientGroupsMax bounds Clients, SessionListMax SessionList, WrittenMax Written.
	ClientGroupsMax = 50
	SessionListMax  = 100
	WrittenMax      = 20
)

// Stats is a reading of one sidecar. Counters count since the process began and
// only grow; they start again at zero with the process. Its JSON form is
// GET /api/v1/stats; fields may be added, and keep their names and meaning.
type Stats struct {
	// Version is the program's version, Revision the commit that it was built from, as far as
	// the build noted one.
	Version  string `json:"version"`
	Revision string `json:"revision"`
	// UptimeSeconds is how long the process has run.
	UptimeSeconds float64 `json:"uptime_seconds"`

	// Ready is what /readyz says, NotReadyReason why not; empty when ready. The
	// server fills both in, from Listening, Ending and FollowerAgeSeconds.
	Ready          bool   `json:"ready"`
	NotReadyReason string `json:"not_ready_reason"`
	// Listening reports whether clients can connect.
	Listening bool `json:"listening"`
	// Ending is set once the sidecar has been told to end: clients may be able to connect
	// for a moment longer, and should not be sent here.
	Ending bool `json:"ending"`
	// Database is the name that clients ask for.
	Database string `json:"database"`
	// Databases are all that this sidecar serves, if they are several.
	Databases []DatabaseState `json:"databases"`
	// Socket is the path of the Unix socket that clients connect to.
	Socket string `json:"socket"`

	// SwitchedOff is set between freshet bypass on and off: every statement goes to Postgres.
	SwitchedOff bool `json:"switched_off"`
	// PoolingProblem, unless empty, says that clients reach Postgres through a pooler which
	// shares its servers among them, or that this is not known yet: every statement goes to Postgres.
	PoolingProblem string `json:"pooling_problem"`
	// InstallProblem, unless empty, says that what is installed in the database is not what this
	// version needs, and which command mends that: nothing is cached.
	InstallProblem string `json:"install_problem"`
	// NeverInstalled says that it was not, either, since the process began.
	NeverInstalled bool `json:"-"`

	// Queries counts executed statements by how they were answered: "hit_l1" from
	// this process's memory, "hit_l2" from Redis, "coalesced" from the load of
	// another client that was under way, "miss" from Postgres and kept, "bypass"
	// from Postgres for one of the reasons in Bypasses. "error" counts those of them that
	// Postgres answered with an error, too, as far as it is one of a statement.
	Queries map[string]uint64 `json:"queries"`
	// Bypasses counts the queries with outcome "bypass" by the name of the reason.
	Bypasses map[string]uint64 `json:"bypasses"`
	// BypassSeconds is the time that Postgres took for them, by the same names.
	BypassSeconds map[string]float64 `json:"bypass_seconds"`
	// Misses counts the queries with outcome "miss" by what there was instead of an entry:
	// "cold" nothing, for as long as that is remembered; "expired" one whose life was over;
	// "invalidated" one that a change has ended; "evicted" one that had gone for others;
	// "unproven" one of which less can be said than the reader demands; "overtaken" a load
	// that a change overtook; "too_large" an answer above the limit.
	Misses map[string]uint64 `json:"misses"`
	// SavedSeconds is the time that Postgres would have taken, had each hit taken as long
	// as the load of its entry did.
	SavedSeconds float64 `json:"saved_seconds"`
	// Shapes lists statements that are cached, those first of which most was saved or
	// loaded: the first ShapesMax of ShapesKnown.
	Shapes      []Shape `json:"shapes"`
	ShapesKnown int     `json:"shapes_known"`
	// ShapesPassed lists statements that are not cached, for the reasons in them, those first for
	// which Postgres took most time: the first ShapesPassedMax.
	ShapesPassed []Shape `json:"shapes_passed"`
	// BypassExamples are a few statements, without a value in them, for reasons in
	// Bypasses.
	BypassExamples map[string][]string `json:"bypass_examples"`
	// BypassRules are what could be done for them: commands, and lines of a configuration.
	BypassRules map[string][]string `json:"bypass_rules"`
	Times       Times               `json:"times"`
	// BypassAdvice says for each reason in Bypasses what can be done about it.
	BypassAdvice map[string]string `json:"bypass_advice"`
	// BypassDocs says for each where the documents tell of it.
	BypassDocs map[string]string `json:"bypass_docs"`
	// Sessions is the number of clients connected now, Clients groups those that may send
	// statements by database and role, those first of which there are most: the first
	// ClientGroupsMax of ClientGroups. Each has one connection to Postgres of its own.
	Sessions     int64         `json:"sessions"`
	Clients      []ClientGroup `json:"clients"`
	ClientGroups int           `json:"client_groups"`
	// SessionList are the clients that have been connected for longest, SessionListMax at
	// most.
	SessionList []Session `json:"session_list"`
	// SessionStates counts all clients by Session.State.
	SessionStates map[string]uint64 `json:"session_states"`
	// UpstreamConnections counts what is open to Postgres: one for each "client", and the
	// sidecar's own, of its "follower", for "analysis" and to "verify".
	UpstreamConnections map[string]int64 `json:"upstream_connections"`
	// Counts are what sessions count.
	count.Counts

	// StalenessSeconds is the promise: no answer from the cache lacks a commit
	// that was acknowledged longer ago than this.
	StalenessSeconds float64 `json:"staleness_seconds"`
	// FollowerAgeSeconds is how long ago the last completed look at the outbox
	// began: every commit acknowledged before that is known. Null before the first
	// look. Above StalenessSeconds, reads go to Postgres.
	FollowerAgeSeconds *float64 `json:"follower_age_seconds"`
	// FollowerAgeP99Seconds is the FollowerAgeSeconds that 99 of 100 readings of the last five
	// minutes did not exceed, one a second. The server fills it in, from its history; it is
	// null while there is none, and where no server is: SHOW freshet.report.
	FollowerAgeP99Seconds *float64 `json:"follower_age_p99_seconds"`
	// FollowerResting says that nobody has read for a while, so that looks are seldom and
	// prove nothing: the next read waits for one.
	FollowerResting bool `json:"follower_resting"`
	// FollowerProblem says why the follower is not looking; empty while it is.
	FollowerProblem string `json:"follower_problem"`
	// FollowerLooks counts completed looks, FollowerResets how often everything
	// known was thrown away (a new incarnation, or a gap).
	FollowerLooks  uint64 `json:"follower_looks"`
	FollowerResets uint64 `json:"follower_resets"`
	// FollowerResetCauses counts the same by their cause.
	FollowerResetCauses map[string]uint64 `json:"follower_reset_causes"`
	// FollowerReconnects counts sessions of the follower that ended in an error.
	FollowerReconnects uint64 `json:"follower_reconnects"`
	// FollowerParts says of each part of the follower whether it has its connection, or
	// needs none at rest, and how often it had to connect again.
	FollowerParts map[string]FollowerPart `json:"follower_parts"`
	// FollowerNotifications counts the rings of the doorbell: notifications that
	// made a look come sooner. Without them changes are found by polling.
	FollowerNotifications uint64 `json:"follower_notifications"`
	// InvalidationEvents counts the changes received from the outbox.
	InvalidationEvents uint64 `json:"invalidation_events"`
	// InvalidationKinds counts the same by what they change at most: "row", values of columns
	// that are watched; "table", a table as a whole; "schema", names, rights or definitions;
	// "own", tags of the application's own.
	InvalidationKinds map[string]uint64 `json:"invalidation_kinds"`
	// InvalidatedEntries counts entries of this process's memory that a change has ended, by
	// what they depended on: "row", rows that have a value; "table", a table as a whole;
	// "schema", names, rights or definitions; "own", tags of the application's own; "reset",
	// as all that was known was thrown away. Who nobody asks for is counted within a minute.
	InvalidatedEntries map[string]uint64 `json:"invalidated_entries"`
	// Hints are what followers that share Redis tell one another.
	Hints Hints `json:"hints"`
	// Outbox is what waits in Postgres to be read or trimmed.
	Outbox Outbox `json:"outbox"`
	// Analysis is how the analysis of statements is.
	Analysis Analysis `json:"analysis"`
	// Postgres is what is known of the server that is followed, as of the last trimming.
	Postgres Postgres `json:"postgres"`
	// Written counts what was received of the changes of tables, those first of which most
	// statements changed rows: the first WrittenMax of TablesWritten.
	Written       []TableWrites `json:"written"`
	TablesWritten int           `json:"tables_written"`
	// WrittenRest sums the others, without a name.
	WrittenRest TableWrites `json:"written_rest"`
	// Happened are the latest changes of definitions and of what is watched, and purges, the oldest
	// first.
	Happened []Happening `json:"happened"`
	// Head is the snapshot of the newest completed look, as pg_snapshot prints it;
	// Incarnation names the life of the database that it belongs to. Both are
	// empty before the first look.
	Head        string `json:"head"`
	Incarnation string `json:"incarnation"`

	// WatchedTables counts the tables whose changes are followed; Watched lists
	// the first WatchedMax of them.
	WatchedTables int     `json:"watched_tables"`
	Watched       []Table `json:"watched"`
	// TablesLost counts tables that were watched and then were not, by the cause: "column",
	// "trigger", "disabled", "dropped" or "installation".
	TablesLost map[string]uint64 `json:"tables_lost"`
	// WatchProblems counts what keeps tables from being watched; Problems lists
	// the first ProblemsMax, each a sentence that names the table.
	WatchProblems int      `json:"watch_problems"`
	Problems      []string `json:"problems"`

	// Verify is what became of the hits that were compared with Postgres.
	Verify Verification `json:"verify"`

	// Config is what became of the configuration since the start.
	Config Config `json:"config"`

	// ResidentBytes is what the whole process takes of the machine's memory. The server fills
	// it in; 0 is not known.
	ResidentBytes uint64 `json:"resident_bytes"`
	// L1 is this process's memory.
	L1 Memory `json:"l1"`
	// Redis is the shared tier.
	Redis Redis `json:"redis"`
	// Leases are loads that are shared between processes.
	Leases Leases `json:"leases"`
	// Fleet lists the sidecars of this database that share Redis, this one first. It is
	// empty without Redis.
	Fleet []fleet.Member `json:"fleet"`
}

// Executed counts the statements that were executed, each once.
func (s *Stats) Executed() (n uint64) {
	for outcome, some := range s.Queries {
		if outcome != "error" {
			n += some
		}
	}
	return n
}

// Reads counts the statements that a cache could have answered, and those that it did.
func (s *Stats) Reads() (hits, reads uint64) {
	hits = s.Queries["hit_l1"] + s.Queries["hit_l2"] + s.Queries["coalesced"]
	bypassed := s.Queries["bypass"]
	return hits, hits + s.Queries["miss"] + bypassed - min(bypassed, byNature(s))
}

// Shape is what became of the statements that differ in nothing but their literals.
type Shape struct {
	// ID names it in rules of the configuration.
	ID        string   `json:"id"`
	Statement string   `json:"statement"`
	Tables    []string `json:"tables"`
	// Tags are what ends its answers when it changes, without a value: rows of a table that
	// have one value of a column, or all of a table. Watch are commands after which less of them would.
	Tags  []string `json:"tags"`
	Watch []string `json:"watch"`
	// Hits were answered from the cache, Loads from Postgres.
	Hits  uint64 `json:"hits"`
	Loads uint64 `json:"loads"`
	// SavedSeconds is what the loads of the entries took that hits were answered with,
	// LoadingSeconds what all loads took.
	SavedSeconds   float64 `json:"saved_seconds"`
	LoadingSeconds float64 `json:"loading_seconds"`
	// Entries and Bytes are what this process's memory holds of it; AgeP50Seconds is how old
	// half of its hits' entries were at most, of a sample.
	Entries       int64   `json:"entries"`
	Bytes         int64   `json:"bytes"`
	AgeP50Seconds float64 `json:"age_p50_seconds"`
	// Mixed is set if the figures before are those of another statement, too: there are more than
	// are told apart.
	Mixed bool `json:"mixed"`
	// Misses counts its loads by cause, as Stats.Misses.
	Misses map[string]uint64 `json:"misses"`
	// Roles are the names of those that have sent it.
	Roles []string `json:"roles"`
	// Reason, unless empty, says why it is not cached, and Detail what that is about. Passed counts
	// those that went to Postgres for a reason, be it one of the moment, PassedSeconds is what it
	// took for them.
	Reason        string  `json:"reason"`
	Detail        string  `json:"detail"`
	Passed        uint64  `json:"passed"`
	PassedSeconds float64 `json:"passed_seconds"`
	// OutOfDate is set if its answers may be out of date, because its statements or rules
	// accept that: AgeSeconds is how old the one was that was served last.
	OutOfDate  bool    `json:"out_of_date"`
	AgeSeconds float64 `json:"age_seconds"`
}

// statementMax bounds the text of a statement that is shown, in bytes; its ID is of all of it.
const statementMax = 4 << 10

func (s *Shape) normalize() {
	s.Statement = shortened(s.Statement, statementMax)
	s.Tables = listOrEmpty(s.Tables)
	s.Tags = listOrEmpty(s.Tags)
	s.Watch = listOrEmpty(s.Watch)
	s.Roles = listOrEmpty(s.Roles)
	s.Misses = mapOrEmpty(s.Misses)
}

// Times are what statements took. The maps hold all their names from the start on.
type Times struct {
	// BoundsSeconds are the upper bounds of the buckets of all that follows but HitAge, but for
	// the last bucket of each, which holds what is longer.
	BoundsSeconds []float64 `json:"bounds_seconds"`
	// Latency is from a client's message to the last byte of its answer, by outcome.
	Latency map[string]histogram.Reading `json:"latency"`
	// Upstream is what Postgres took: for a "load", a "bypass" or a "probe".
	Upstream map[string]histogram.Reading `json:"upstream"`
	// Overhead is the part of the latency that was not Postgres': of a "hit" all of it, of
	// what is relayed ("relay") questions and waits of the sidecar's own included.
	Overhead map[string]histogram.Reading `json:"overhead"`
	// HitAge is how long before its hit an entry was loaded, from "memory" or "redis".
	// The bounds of its buckets are HitAgeBoundsSeconds.
	HitAge              map[string]histogram.Reading `json:"hit_age"`
	HitAgeBoundsSeconds []float64                    `json:"hit_age_bounds_seconds"`
	// Redis is how long exchanges with Redis took: to "get" values, to "set" some, or to ask
	// with a "lease". It is empty without Redis.
	Redis map[string]histogram.Reading `json:"redis"`
	// EventDelay is how long it took at most from a commit until its event had arrived: from
	// the beginning of the look before, which lacked it.
	EventDelay histogram.Reading `json:"event_delay"`
}

// Verification counts hits that were compared with what Postgres says, after they were
// served.
type Verification struct {
	// Share of the hits are compared, and PerSecondMax in a second at most; 0 is none.
	Share        float64 `json:"share"`
	PerSecondMax float64 `json:"per_second_max"`
	// Results counts them by what became of them, each once: "same"; "raced" if Postgres
	// answered otherwise and something was written meanwhile; "stale" if the answer is
	// proven to have been older than promised; "incomparable" if it differs and proves
	// nothing; "error", "timeout", "skipped_role" and "skipped_load" if it was not compared.
	Results map[string]uint64 `json:"results"`
	// Seconds is the time that this has taken, waits included.
	Seconds float64 `json:"seconds"`
	// LastStale is the latest that was stale, null if none was.
	LastStale *StaleAnswer `json:"last_stale"`
	// Distrusted are the ids of the shapes that pass through because an answer was stale, "all"
	// if every statement does; null where no sidecar is.
	Distrusted []string `json:"distrusted"`
}

// StaleAnswer is an answer that was proven to be stale.
type StaleAnswer struct {
	At time.Time `json:"at"`
	// Statement is its text without a value.
	Statement string   `json:"statement"`
	Tables    []string `json:"tables"`
	// AgeSeconds is how old the entry was.
	AgeSeconds float64 `json:"age_seconds"`
}

// Config counts how often the configuration was read again.
type Config struct {
	Reloads  uint64 `json:"reloads"`
	Failures uint64 `json:"failures"`
	// Problem is that of the last time, empty if there was none: what was in force
	// before is so still.
	Problem string `json:"problem"`
}

// Hints count messages about changes between the followers of sidecars that share Redis.
type Hints struct {
	// Said are those of this sidecar, Heard those of others.
	Said  uint64 `json:"said"`
	Heard uint64 `json:"heard"`
	// Relying says that another one is heard, and looks often for this one too.
	Relying bool `json:"relying"`
}

// Outbox is the state of the table that holds the changes, as of the last trimming.
type Outbox struct {
	// Rows is an estimate of Postgres', Bytes are those on disk with the index. OldestSeconds is
	// the age of the mark behind which everything was trimmed.
	Rows          int64   `json:"rows"`
	Bytes         int64   `json:"bytes"`
	OldestSeconds float64 `json:"oldest_seconds"`
	// UnattendedSince is when somebody last followed before the last time that changes
	// were not recorded, because nobody did for long. Null if this sidecar found no
	// such time.
	UnattendedSince *time.Time `json:"unattended_since"`
}

// ClientGroup are the clients of one database that came as one role.
type ClientGroup struct {
	Database string `json:"database"`
	Role     string `json:"role"`
	// Each is one of these: Waiting for an answer, InTransaction with nothing to wait for,
	// or Idle.
	Waiting       int `json:"waiting"`
	InTransaction int `json:"in_transaction"`
	Idle          int `json:"idle"`
	// OldestSeconds is how long ago the first of them has connected.
	OldestSeconds float64 `json:"oldest_seconds"`
}

// Analysis tells what statements depend on, on connections of its own.
type Analysis struct {
	// Analysed counts kinds of statements since the start, Failed those of which nothing could be told,
	// and Waiting those whose turn it will be.
	Analysed uint64 `json:"analysed"`
	Failed   uint64 `json:"failed"`
	Waiting  int    `json:"waiting"`
	// Problem is the error of the latest, empty if it succeeded.
	Problem string `json:"problem"`
}

// FollowerPart is one part of the follower: "looker", "doorbell" or "keeper".
type FollowerPart struct {
	Working    bool   `json:"working"`
	Reconnects uint64 `json:"reconnects"`
}

// Session is one client.
type Session struct {
	// PID is Postgres' process for the client: see pg_stat_activity.
	PID      uint32 `json:"pid"`
	Database string `json:"database"`
	Role     string `json:"role"`
	// Application is what the client called itself when it connected.
	Application string `json:"application"`
	// State is "waiting" for an answer, "in_transaction" with nothing to wait for, or "idle".
	State string `json:"state"`
	// Since is when it connected.
	Since time.Time `json:"since"`
}

// Postgres is what is known of the server that is followed. All is empty before the first
// trimming.
type Postgres struct {
	Version string `json:"version"`
	// Role is the one that follows, Superuser whether it is one, Owner who owns what is
	// installed, and Missing what the role lacks to follow.
	Role      string   `json:"role"`
	Superuser bool     `json:"superuser"`
	Owner     string   `json:"owner"`
	Missing   []string `json:"missing"`
	// Publications are those FOR ALL TABLES: their subscribers stop at the first change.
	Publications []string `json:"publications"`
	// Pooler is set if a pooler is between the sidecar and Postgres.
	Pooler bool `json:"pooler"`
	// Replicas counts the servers that replicate it. Replica is set if clients are served
	// from one of them.
	Replicas int  `json:"replicas"`
	Replica  bool `json:"replica"`
}

// TableWrites counts what was received of the changes of one table.
type TableWrites struct {
	Name string `json:"name"`
	// Statements have changed rows, Invalidations are the tags that they moved: what
	// answers depend on.
	Statements    uint64 `json:"statements"`
	Invalidations uint64 `json:"invalidations"`
	// EntriesEnded counts entries of this process's memory that they have ended.
	EntriesEnded uint64 `json:"entries_ended"`
	// StatementsPerSecond and InvalidationsPerSecond are of the last ten seconds or so.
	StatementsPerSecond    float64 `json:"statements_per_second"`
	InvalidationsPerSecond float64 `json:"invalidations_per_second"`
	// At is when the last of them was received.
	At time.Time `json:"at"`
}

// Happening is a change of definitions ("ddl"), a table that is watched since ("install"), or an end
// of answers that somebody has asked for ("purge").
type Happening struct {
	// Number counts them, from 1 on.
	Number uint64    `json:"number"`
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	// Tables are those that it is about, as far as they are known, and More counts others. Where there
	// are none, it is about all.
	Tables []string `json:"tables"`
	More   int      `json:"more"`
}

// EndedBy is an end of answers of one statement.
type EndedBy struct {
	// At is when it was noticed: at once if somebody asks, else within half a minute.
	At time.Time `json:"at"`
	// Table is the one that changed, empty if none or one that is not known any more; By is what of it
	// did, as Stats.InvalidatedEntries names that.
	Table string `json:"table"`
	By    string `json:"by"`
	// Answers counts those that have ended so within the same second.
	Answers uint64 `json:"answers"`
}

// TableState says whether answers from a table are kept.
type TableState string

// The states of tables.
const (
	TableWatched TableState = "watched"
	// TableDoubtful was or is to be watched, and cannot be relied on.
	TableDoubtful TableState = "doubtful"
	// TableUnwatched is read by statements that are not cached for that reason.
	TableUnwatched TableState = "unwatched"
)

// Table is a table that is watched, or should be.
type Table struct {
	// Name is schema and table.
	Name string `json:"name"`
	// Columns are those by whose values changes are told apart.
	Columns []string `json:"columns"`
	// State is empty for watched. Why says what is wrong otherwise, and what to do; Since
	// is when that was found, null if that is not known.
	State TableState `json:"state,omitempty"`
	Why   string     `json:"why,omitempty"`
	Since *time.Time `json:"since,omitempty"`
	// Statements, Invalidations, EntriesEnded and At are as in TableWrites; 0 and null if there
	// were none.
	Statements    uint64     `json:"statements,omitempty"`
	Invalidations uint64     `json:"invalidations,omitempty"`
	EntriesEnded  uint64     `json:"entries_ended,omitempty"`
	At            *time.Time `json:"at,omitempty"`
	// StatementsPerSecond and InvalidationsPerSecond are of the last ten seconds or so.
	StatementsPerSecond    float64 `json:"statements_per_second,omitempty"`
	InvalidationsPerSecond float64 `json:"invalidations_per_second,omitempty"`
	// Entries counts those of this process's memory that depend on the table.
	Entries int64 `json:"entries,omitempty"`
}

// Memory is the state of the tier in this process.
type Memory struct {
	Items      uint64 `json:"items"`
	Bytes      uint64 `json:"bytes"`
	LimitBytes uint64 `json:"limit_bytes"`
	// Evictions counts entries that had to go for others. EvictionsOf counts those that have
	// gone by why: "capacity", good ones for others; "expired" and "invalidated", those that
	// had ended, for others or for a new answer. What was purged is "invalidated".
	Evictions   uint64            `json:"evictions"`
	EvictionsOf map[string]uint64 `json:"evictions_of"`
	// Rejections counts entries that were not taken in.
	Rejections uint64 `json:"rejections"`
	// TooLarge and Overtaken count answers that were not offered: above the limit, or
	// overtaken by an event while they were loaded.
	TooLarge  uint64 `json:"too_large"`
	Overtaken uint64 `json:"overtaken"`
	// MissRatios estimate what memory of another size would miss. The list is empty until a
	// few hundred reads of a few keys of the sample have been met.
	MissRatios []MissRatio `json:"miss_ratios"`
}

// MissRatio is an estimate for memory that is Factor times as large.
type MissRatio struct {
	Factor     float64 `json:"factor"`
	LimitBytes uint64  `json:"limit_bytes"`
	Estimate   float64 `json:"estimate"`
}

// RedisState says how the shared tier is.
type RedisState string

// The states of the shared tier.
const (
	RedisOff  RedisState = "off"  // none is configured
	RedisIdle RedisState = "idle" // one is configured, and was not asked for anything yet
	RedisUp   RedisState = "up"   // it answers
	RedisDown RedisState = "down" // it does not, and is asked again from time to time
	// RedisRefusing: it answers, and refuses what it is asked for.
	RedisRefusing RedisState = "refusing"
)

// redisStates are all of them.
var redisStates = []RedisState{RedisOff, RedisIdle, RedisUp, RedisRefusing, RedisDown}

// Leases count loads on behalf of all processes, waits for those of others, and waits
// that brought nothing.
type Leases struct {
	Won    uint64 `json:"won"`
	Waited uint64 `json:"waited"`
	Vain   uint64 `json:"vain"`
}

// Redis is the state of the shared tier.
type Redis struct {
	State RedisState `json:"state"`
	// Refusal is what Redis says if it refuses; empty otherwise.
	Refusal string `json:"refusal"`
	// Errors counts calls that failed or took too long; a failed call is a miss.
	Errors uint64 `json:"errors"`
	// ErrorKinds counts the same by kind: "timeout", "network", or what Redis said: "auth",
	// "oom", "readonly", "other".
	ErrorKinds map[string]uint64 `json:"error_kinds"`
	// Broken counts entries that could not be read: of another version, corrupt,
	// or not ours. Expired and Outdated count those that were found and of no use any
	// more, as their life was over or an event had overtaken them: that is normal.
	Broken   uint64 `json:"broken"`
	Expired  uint64 `json:"expired"`
	Outdated uint64 `json:"outdated"`
	// UsedBytes is what Redis takes of its memory, MaxBytes its limit, 0 if it has none, and Policy what
	// it does at that. Policy is empty where Redis does not say, because the user may not ask (INFO).
	UsedBytes int64  `json:"used_bytes"`
	MaxBytes  int64  `json:"max_bytes"`
	Policy    string `json:"policy"`
	// Compresses says whether values are compressed where that pays. RecordBytes were to be
	// written since the start, and WrittenBytes were left of them.
	Compresses   bool   `json:"compresses"`
	RecordBytes  uint64 `json:"record_bytes"`
	WrittenBytes uint64 `json:"written_bytes"`
	// Dropped counts entries that were not written because too many waited. Kept counts
	// those that were not meant to be, because Redis is not asked for their like.
	Dropped uint64 `json:"dropped"`
	Kept    uint64 `json:"kept"`
	// Shapes lists, most loaded first, what Redis is used for: the first ShapesMax.
	Shapes []RedisShape `json:"shapes"`
}

// RedisShape says of statements that differ in nothing but their literals whether Redis
// is asked for their answers, and why. Times are averages of the latest, 0 where there
// were none yet.
type RedisShape struct {
	Statement string `json:"statement"`
	// Used is set if every answer is asked for and put there, and not a sample alone.
	// Why is "pays" where that is expected to be sooner than to ask Postgres at once,
	// "no_gain" where not, "long_load" where loads take so long that sidecars share them,
	// "learning" at first, and "forced" where --redis-policy says so.
	Used bool   `json:"used"`
	Why  string `json:"why"`
	// LoadSeconds is what Postgres takes, AskSeconds what Redis takes to answer, and
	// FillSeconds what it takes to put one answer there.
	LoadSeconds float64 `json:"load_seconds"`
	AskSeconds  float64 `json:"ask_seconds"`
	FillSeconds float64 `json:"fill_seconds"`
	// Found is the share of questions to which Redis had the answer.
	Found float64 `json:"found"`
	Loads uint64  `json:"loads"`
}

// normalize completes s for readers that want every field to have its type, and
// cuts the lists to their limits. It changes no map or list of its caller.
func (s *Stats) normalize() {
	s.normalizeStatements()
	s.normalizeBypasses()
	s.normalizeClients()
	s.normalizeInvalidation()
	s.normalizeTiers()
	s.Databases = listOrEmpty(s.Databases)
	s.Verify.Results = mapOrEmpty(s.Verify.Results)
	s.Problems = firstOf(s.Problems, ProblemsMax)
}

// normalizeStatements completes and cuts what tells how statements were answered, and in what time.
func (s *Stats) normalizeStatements() {
	queries := make(map[string]uint64, len(outcomeNames))
	for _, name := range outcomeNames {
		queries[name] = s.Queries[name]
	}
	s.Queries = queries
	s.Misses = mapOrEmpty(s.Misses)
	s.Shapes = normalShapes(s.Shapes, ShapesMax)
	s.ShapesPassed = normalShapes(s.ShapesPassed, ShapesPassedMax)

	s.Times.BoundsSeconds, s.Times.HitAgeBoundsSeconds = histogram.Bounds, histogram.AgeBounds
	s.Times.Latency = mapOrEmpty(s.Times.Latency)
	s.Times.Upstream = mapOrEmpty(s.Times.Upstream)
	s.Times.Overhead = mapOrEmpty(s.Times.Overhead)
	s.Times.HitAge = mapOrEmpty(s.Times.HitAge)
	s.Times.Redis = mapOrEmpty(s.Times.Redis)
}

// normalizeBypasses completes and cuts what tells of what went to Postgres uncached.
func (s *Stats) normalizeBypasses() {
	s.Bypasses = mapOrEmpty(s.Bypasses)
	s.BypassSeconds = mapOrEmpty(s.BypassSeconds)
	s.BypassAdvice = mapOrEmpty(s.BypassAdvice)
	s.BypassDocs = mapOrEmpty(s.BypassDocs)
	s.BypassRules = mapOrEmpty(s.BypassRules)
	examples := make(map[string][]string, len(s.BypassExamples))
	for reason, statements := range s.BypassExamples {
		statements = copied(statements)
		for i, statement := range statements {
			statements[i] = shortened(statement, statementMax)
		}
		examples[reason] = statements
	}
	s.BypassExamples = examples
}

// normalizeClients completes and cuts what tells of who is connected, and the connections to Postgres for them.
func (s *Stats) normalizeClients() {
	s.UpstreamConnections = mapOrEmpty(s.UpstreamConnections)
	s.SessionStates = mapOrEmpty(s.SessionStates)
	s.Clients = firstOf(s.Clients, ClientGroupsMax)
	s.SessionList = firstOf(s.SessionList, SessionListMax)
}

// normalizeInvalidation completes and cuts what tells of the server that is followed, its tables, and their changes.
func (s *Stats) normalizeInvalidation() {
	s.FollowerParts = mapOrEmpty(s.FollowerParts)
	s.FollowerResetCauses = mapOrEmpty(s.FollowerResetCauses)
	s.InvalidationKinds = mapOrEmpty(s.InvalidationKinds)
	s.InvalidatedEntries = mapOrEmpty(s.InvalidatedEntries)
	s.TablesLost = mapOrEmpty(s.TablesLost)
	s.Watched = firstOf(s.Watched, WatchedMax)
	for i := range s.Watched {
		s.Watched[i].Columns = listOrEmpty(s.Watched[i].Columns)
	}
	s.Written = firstOf(s.Written, WrittenMax)
	s.Happened = copied(s.Happened)
	for i := range s.Happened {
		s.Happened[i].Tables = copied(s.Happened[i].Tables)
	}
	s.Postgres.Missing = listOrEmpty(s.Postgres.Missing)
	s.Postgres.Publications = listOrEmpty(s.Postgres.Publications)
}

// normalizeTiers completes and cuts what tells of the tiers: the memory, Redis, and the sidecars that share Redis.
func (s *Stats) normalizeTiers() {
	s.L1.EvictionsOf = mapOrEmpty(s.L1.EvictionsOf)
	s.L1.MissRatios = listOrEmpty(s.L1.MissRatios)
	s.Redis.ErrorKinds = mapOrEmpty(s.Redis.ErrorKinds)
	s.Redis.Shapes = firstOf(s.Redis.Shapes, ShapesMax)
	s.Fleet = copied(s.Fleet)
}

// normalShapes is a copy of the first shapes, normalized.
func normalShapes(shapes []Shape, most int) []Shape {
	shapes = firstOf(shapes, most)
	for i := range shapes {
		shapes[i].normalize()
	}
	return shapes
}

// mapOrEmpty is m, or an empty map if there is none: null in JSON has no type.
func mapOrEmpty[M ~map[K]V, K comparable, V any](m M) M {
	if m == nil {
		return M{}
	}
	return m
}

// listOrEmpty is list, or an empty one if there is none.
func listOrEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// copied is a copy of list, empty if there is none.
func copied[T any](list []T) []T {
	return append([]T{}, list...)
}

// firstOf is a copy of the first of list, at most as many.
func firstOf[T any](list []T, most int) []T {
	return copied(list[:min(len(list), most)])
}
