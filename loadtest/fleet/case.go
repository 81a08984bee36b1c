package fleet

// Case is what was found with one fleet.
type Case struct {
	Sidecars int  `json:"sidecars"`
	Shared   Kind `json:"shared"`

	// Connections are those that the sidecars hold to Postgres while no client is there,
	// for each of them; ConnectionsBy names their kinds.
	Connections   float64            `json:"connections_per_sidecar"`
	ConnectionsBy map[string]float64 `json:"connections_by"`

	// Cold is what the first reads of keys cost.
	Cold Cold `json:"cold"`
	// Quiet is what the fleet costs while nobody reads or writes, Writing while rows are
	// written and nobody reads, past the sidecars.
	Quiet   Cost `json:"quiet"`
	Writing Cost `json:"writing"`
	// Shown is how long after its acknowledgement a commit was shown by all sidecars:
	// where nothing else is written, and where rows are written all the time.
	ShownQuiet   Shown `json:"shown_quiet"`
	ShownWriting Shown `json:"shown_writing"`
	// Joining is what a sidecar found that started when the others were warm.
	Joining Joining `json:"joining"`
	// Reads counts all that were judged.
	Reads Reads `json:"reads"`
}

// Cold is what cold keys cost.
type Cold struct {
	// Keys were each asked for at all sidecars at once; Loads of them reached Postgres, by
	// its own count.
	Keys  int   `json:"keys"`
	Loads int64 `json:"loads"`
}

// PerKey is loads for each key.
func (c Cold) PerKey() float64 { return float64(c.Loads) / float64(max(c.Keys, 1)) }

// Cost is what a fleet uses in a second.
type Cost struct {
	Seconds float64 `json:"seconds"`
	// Events is how many rows were written.
	Events int64 `json:"events"`
	// PostgresCores are those that the sessions of followers and analyses took, together;
	// Statements is how many of them they sent in a second, by Postgres' own count of
	// transactions, less those of the writer.
	PostgresCores float64 `json:"postgres_cores"`
	Statements    float64 `json:"statements_per_second"`
	// SidecarCores are those of all sidecars, RedisCores those of all of Redis.
	SidecarCores float64 `json:"sidecar_cores"`
	RedisCores   float64 `json:"redis_cores"`
	// RedisCommands is how many there were in a second, RedisBytes what they took, in and out.
	RedisCommands float64 `json:"redis_commands_per_second"`
	RedisBytes    float64 `json:"redis_bytes_per_second"`
}

// Shown is how long commits took until all showed them, in milliseconds.
type Shown struct {
	Commits int     `json:"commits"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	Max     float64 `json:"max_ms"`
}

// Joining is what the first reads of a late sidecar came from. Each row is read once.
type Joining struct {
	Reads int `json:"reads"`
	// First and All are the shares of the first joiningFirst reads and of all that were
	// answered without Postgres.
	First float64 `json:"hit_ratio_first"`
	All   float64 `json:"hit_ratio"`
}

// Reads are those that were judged.
type Reads struct {
	Judged int64 `json:"judged"`
	// Behind showed less than had been acknowledged before they were sent, by OldestMS at
	// most; Stale of them by more than the sidecars promise.
	Behind   int64   `json:"behind"`
	Stale    int64   `json:"stale"`
	OldestMS float64 `json:"oldest_ms"`
}
