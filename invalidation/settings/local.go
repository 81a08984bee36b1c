package settings

import (
	"slices"
	"strings"
)

// localNames are settings that every role may change, that change no answer, of which no
// client is told, and whose values are accepted at any time or at none. (TestLocal)
var localNames = strings.Fields(`
	cpu_index_tuple_cost cpu_operator_cost cpu_tuple_cost cursor_tuple_fraction effective_cache_size
	enable_bitmapscan enable_hashagg enable_hashjoin enable_indexonlyscan enable_indexscan enable_material
	enable_memoize enable_mergejoin enable_nestloop enable_seqscan enable_sort from_collapse_limit geqo
	jit jit_above_cost join_collapse_limit lock_timeout max_parallel_workers_per_gather plan_cache_mode
	random_page_cost seq_page_cost statement_timeout synchronous_commit work_mem`)

// moduleNames begin the names of settings that a library may define once it is loaded. Of
// one of ours the sidecar has to be asked.
var moduleNames = strings.Fields(`
	freshet plpgsql plperl pltcl plpython plpython3u pg_trgm pg_stat_statements pg_stat_kcache auto_explain
	sepgsql postgis postgres_fdw dblink hnsw ivfflat vector timescaledb citus cron pgaudit pg_hint_plan rum
	pglogical pgroonga bm25 paradedb pgtle age orafce pg_prewarm passwordcheck auth_delay basic_archive anon`)

// Local says what a setting of one transaction, whose name is in lower case, has to do with
// answers: changes is false if it changes none. free is set if it is one of the
// application's own, of which every value is as good as another.
func Local(name string) (changes, free bool) {
	module, _, custom := strings.Cut(name, ".")
	if custom {
		free = !slices.Contains(moduleNames, module)
		return !free, free
	}
	return !slices.Contains(localNames, name), false
}
