// Package count names what sessions count, once: the server counts with these fields,
// the statistics have them in their JSON form, and the metrics are made from their
// tags. Who adds a counter adds a field here and counts with it.
package count

import (
	"reflect"
	"strings"
	"sync/atomic"
)

// Of has a field for each counter. Each counts since the process began and only
// grows. The tags are its name in the statistics, its name in the metrics and the
// help text of the metric. Counters that are one metric stand together: the first has its
// help, and label is what tells each from the others there, as name=value. A counter
// without a metric sums up others.
type Of[T any] struct {
	UpstreamQueries    T `json:"upstream_queries" metric:"freshet_upstream_queries_total" help:"Statements sent to Postgres for clients."`
	UpstreamProbes     T `json:"upstream_probes" metric:"freshet_upstream_probes_total" help:"Questions that the sidecar asked Postgres on clients' connections."`
	TransactionsHeld   T `json:"transactions_held" metric:"freshet_transactions_held_total" help:"Transactions whose BEGIN was held back."`
	TransactionsOpened T `json:"transactions_opened" metric:"freshet_transactions_opened_total" help:"Transactions held back of which Postgres was told later."`
	SessionsTotal      T `json:"sessions_total" metric:"freshet_sessions_started_total" help:"Clients that ever connected."`
	SessionsRefused    T `json:"sessions_refused"`
	RefusedByPostgres  T `json:"refused_by_postgres" metric:"freshet_sessions_refused_total" label:"reason=postgres_refused" help:"Clients that got no upstream connection, or were sent away when they connected, by the reason."`
	RefusedUnreachable T `json:"refused_unreachable" metric:"freshet_sessions_refused_total" label:"reason=unreachable"`
	RefusedByLimit     T `json:"refused_by_limit" metric:"freshet_sessions_refused_total" label:"reason=limit"`
	RefusedByFiles     T `json:"refused_by_files" metric:"freshet_sessions_refused_total" label:"reason=files"`
	RefusedForPassword T `json:"refused_for_password" metric:"freshet_sessions_refused_total" label:"reason=auth"`
	RefusedByPeer      T `json:"refused_by_peer" metric:"freshet_sessions_refused_total" label:"reason=peer"`
	RefusedByUser      T `json:"refused_by_user" metric:"freshet_sessions_refused_total" label:"reason=user"`
	RefusedAtEnd       T `json:"refused_at_end" metric:"freshet_sessions_refused_total" label:"reason=draining"`
	ProtocolErrors     T `json:"protocol_errors" metric:"freshet_protocol_errors_total" help:"Clients sent away for malformed messages."`
	Panics             T `json:"panics" metric:"freshet_panics_total" help:"Clients sent away by a fault of the sidecar's own: please report it."`
	Warmed             T `json:"warmed" metric:"freshet_warmed_total" help:"Loads that no client asked for, of answers that a change had ended."`
	WarmedRead         T `json:"warmed_read" metric:"freshet_warmed_read_total" help:"Answers of such loads that were read before a change ended them."`
	WarmRefused        T `json:"warm_refused" metric:"freshet_warm_refused_total" help:"Answers that were not loaded again for want of an idle session, of a place among those that are watched, or because Postgres was busy."`
	Cancels            T `json:"cancels" metric:"freshet_cancels_total" help:"Cancel requests passed on to Postgres."`
	AccessLines        T `json:"access_lines" metric:"freshet_access_log_lines_total" help:"Lines of the access log that were written."`
	AccessDropped      T `json:"access_dropped" metric:"freshet_access_log_dropped_total" help:"Lines of the access log that were not written: the disk is too slow, or full."`
}

type (
	// Counters are counted with, by all sessions at once. The zero value has counted
	// nothing. They must not be copied.
	Counters = Of[atomic.Uint64]
	// Counts are a reading of Counters.
	Counts = Of[uint64]
)

// Read returns what c has counted so far. Counters are read one after the other: a
// reading is of about one moment.
func Read(c *Counters) Counts {
	var counts Counts
	from, to := reflect.ValueOf(c).Elem(), reflect.ValueOf(&counts).Elem()
	for i := range from.NumField() {
		to.Field(i).SetUint(from.Field(i).Addr().Interface().(*atomic.Uint64).Load())
	}
	return counts
}

// Metric is what the metrics show of counters: a single one, or some that a label tells
// apart.
type Metric struct {
	Name, Help string
	// Label is "" of a single counter.
	Label string
	Of    []Labelled
}

// Labelled is one counter of a Metric.
type Labelled struct {
	// Value is the one that the Metric's label has.
	Value string
	Read  func(*Counts) uint64
}

// Metrics returns all counters that have one, in the order of the fields.
func Metrics() []Metric {
	fields := reflect.TypeFor[Counts]()
	var metrics []Metric
	for i := range fields.NumField() {
		tag := fields.Field(i).Tag
		name := tag.Get("metric")
		if name == "" {
			continue
		}
		label, value, _ := strings.Cut(tag.Get("label"), "=")
		if len(metrics) == 0 || metrics[len(metrics)-1].Name != name {
			metrics = append(metrics, Metric{Name: name, Help: tag.Get("help"), Label: label})
		}
		m := &metrics[len(metrics)-1]
		m.Of = append(m.Of, Labelled{value, func(c *Counts) uint64 { return reflect.ValueOf(c).Elem().Field(i).Uint() }})
	}
	return metrics
}
