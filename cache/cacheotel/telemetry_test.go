package cacheotel_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/cache/cacheotel"
	"github.com/freshet/freshet/cache/cachetest"
	"github.com/freshet/freshet/loadtest/allocations"
	"github.com/freshet/freshet/loadtest/servers"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(servers.Shared(m, servers.Needs{Postgres: true}))
}

// told is a Telemetry, and what it has told the SDK.
type told struct {
	*cacheotel.Telemetry
	traces *trace.TracerProvider
	meters *metric.MeterProvider
	spans  *tracetest.SpanRecorder
	reader *metric.ManualReader
}

func newTold(t *testing.T) *told {
	o := &told{spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader()}
	o.traces = trace.NewTracerProvider(trace.WithSpanProcessor(o.spans))
	o.meters = metric.NewMeterProvider(metric.WithReader(o.reader))
	t.Cleanup(func() {
		if err := errors.Join(o.traces.Shutdown(context.Background()), o.meters.Shutdown(context.Background())); err != nil {
			t.Error(err)
		}
	})
	var err error
	if o.Telemetry, err = cacheotel.New(o.traces, o.meters); err != nil {
		t.Fatal(err)
	}
	return o
}

// metrics are what was measured, by name.
func (o *told) metrics(t *testing.T) map[string]metricdata.Aggregation {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := o.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	found := map[string]metricdata.Aggregation{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[m.Name] = m.Data
		}
	}
	return found
}

// reads are the counts of reads of a function, by outcome.
func (o *told) reads(t *testing.T, name string) map[string]int64 {
	t.Helper()
	counts := map[string]int64{}
	sum, _ := o.metrics(t)["freshet.reads"].(metricdata.Sum[int64])
	for _, point := range sum.DataPoints {
		if of, _ := point.Attributes.Value("freshet.name"); of.AsString() == name {
			outcome, _ := point.Attributes.Value("freshet.outcome")
			counts[outcome.AsString()] += point.Value
		}
	}
	return counts
}

var errBroken = errors.New("broken")

// square is a wrapped function of a world; that of 0 fails.
func square(t *testing.T, o *told) func(context.Context, int) (int, error) {
	w := cachetest.New(t, cache.Options{OnRead: o.OnRead, Staleness: time.Hour})
	return cache.Wrap(w.DB(), "square", func(_ context.Context, n int) (int, error) {
		if n == 0 {
			return 0, errBroken
		}
		return n * n, nil
	}, cache.Policy[int, int]{DependsOn: func(n, _ int) []cache.Dependency { return []cache.Dependency{cache.Row("a.b", "c", n)} }})
}

func TestReadsAreMeasured(t *testing.T) {
	t.Parallel()
	o := newTold(t)
	get := square(t, o)
	for _, n := range []int{2, 2, 2, 3, 0} {
		if _, err := get(t.Context(), n); (err != nil) != (n == 0) {
			t.Fatal(err)
		}
	}
	got := o.reads(t, "square")
	if len(got) != 3 || got["hit"] != 2 || got["loaded"] != 2 || got["failed"] != 1 {
		t.Errorf("%v", got)
	}
	loads, _ := o.metrics(t)["freshet.load.duration"].(metricdata.Histogram[float64])
	if len(loads.DataPoints) == 0 || loads.DataPoints[0].Count < 2 || loads.DataPoints[0].Sum <= 0 {
		t.Errorf("%+v", loads)
	}
	if spans := o.spans.Ended(); len(spans) != 0 {
		t.Errorf("%d spans for who is not traced", len(spans))
	}
}

func TestReadsAreTraced(t *testing.T) {
	t.Parallel()
	o := newTold(t)
	get := square(t, o)
	ctx, span := o.traces.Tracer("test").Start(t.Context(), "request")
	for _, n := range []int{2, 2, 0} {
		if _, err := get(ctx, n); (err != nil) != (n == 0) {
			t.Fatal(err)
		}
	}
	span.End()
	spans := o.spans.Ended()
	if len(spans) != 3 || spans[0].Name() != "freshet read" || spans[1].Name() != "freshet read" {
		t.Fatalf("%d spans", len(spans))
	}
	for i, outcome := range []string{"loaded", "failed"} {
		s := spans[i]
		if s.Parent().SpanID() != span.SpanContext().SpanID() || !s.StartTime().Before(s.EndTime()) ||
			!slices.Contains(s.Attributes(), attribute.String("freshet.outcome", outcome)) || !slices.Contains(s.Attributes(), attribute.String("freshet.name", "square")) {
			t.Errorf("%+v", s)
		}
	}
	if s := spans[1].Status(); s.Code.String() != "Error" {
		t.Errorf("the failed read is %+v", s)
	}
	if events := spans[2].Events(); len(events) != 1 || events[0].Name != "freshet.hit" {
		t.Errorf("%+v", events)
	}
}

// A hit that is counted and not traced allocates nothing either.
func TestObservedHitDoesNotAllocate(t *testing.T) {
	o := newTold(t)
	ctx, calls := t.Context(), int64(0)
	if n := allocations.Fewest(1000, func() {
		calls++
		o.OnRead(ctx, cache.Read{Name: "square", Outcome: cache.OutcomeHit, Took: 100})
	}); n != 0 {
		t.Errorf("%v allocations a hit", n)
	}
	if got := o.reads(t, "square")["hit"]; got != calls {
		t.Errorf("%d of %d hits are counted", got, calls)
	}
}

// The age of the head of a real database is there, and the example does what it says.
func TestHeadAge(t *testing.T) {
	server := servers.SharedPostgres(t)
	dsn := server.DSN(server.CreateDatabase(t))
	t.Setenv("DATABASE_URL", dsn)
	o := newTold(t)
	before, meters := otel.GetMeterProvider(), o.meters
	otel.SetMeterProvider(meters)
	defer otel.SetMeterProvider(before)
	seen := 0.0
	program(func() {
		gauge, _ := o.metrics(t)["freshet.head.age"].(metricdata.Gauge[float64])
		for _, point := range gauge.DataPoints {
			seen = point.Value
		}
	})
	if seen <= 0 || seen > 60 {
		t.Errorf("the head's age is %v s", seen)
	}
	if _, there := o.metrics(t)["freshet.head.age"]; there {
		t.Error("the gauge outlives its end")
	}
	if got := o.reads(t, ""); got["not_kept"] != 1 {
		t.Errorf("%v", got)
	}
}
