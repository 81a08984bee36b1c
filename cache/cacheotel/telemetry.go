package cacheotel

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/freshet/freshet/cache"
)

// scope is the name of what makes the measurements and the spans.
const scope = "github.com/freshet/freshet/cache/cacheotel"

// subjectsMax bounds what is told apart, or so; a program wraps a number of functions that
// it knows. Those beyond count as if they had no name.
const subjectsMax = 4096

// Telemetry hears of reads. New makes one.
//
// It measures, by freshet.name, the function's, which statements do not have:
//
//	freshet.reads          count, by freshet.outcome too: cache.Outcome
//	freshet.load.duration  histogram in seconds of the loads that readers made
//	freshet.head.age       gauge in seconds, without a name: see Observe
//
// In traces a hit is an event of its reader's span, "freshet.hit". Every other read is a
// span of its own, a child of its reader's: "freshet read", with the outcome, the reason
// and the error. What pgx's tracer makes of the statements of a load stands beside it.
// Readers whose span is not recorded get neither.
type Telemetry struct {
	tracer trace.Tracer
	meter  metric.Meter

	reads metric.Int64Counter
	loads metric.Float64Histogram

	mu    sync.RWMutex
	known map[subject]*labels
}

// subject is what is measured apart.
type subject struct {
	name    string
	outcome cache.Outcome
}

// labels are the attributes of a subject, made once: hits are many.
type labels struct {
	reads []metric.AddOption
	loads []metric.RecordOption
	event []trace.EventOption
	span  trace.SpanStartEventOption
}

// New returns a Telemetry that measures by meters and traces by tracers. Either may be
// that of the package otel, or of its package noop where one is not wanted. Its OnRead is
// to be cache.Options.OnRead.
func New(tracers trace.TracerProvider, meters metric.MeterProvider) (*Telemetry, error) {
	t := &Telemetry{tracer: tracers.Tracer(scope), meter: meters.Meter(scope), known: map[subject]*labels{}}
	var err error
	t.reads, err = t.meter.Int64Counter("freshet.reads", metric.WithUnit("{read}"), metric.WithDescription("Reads that have ended, by how they were answered."))
	if err != nil {
		return nil, fmt.Errorf("make the count of reads: %w", err)
	}
	t.loads, err = t.meter.Float64Histogram("freshet.load.duration", metric.WithUnit("s"), metric.WithDescription("How long the loads took that readers made."),
		metric.WithExplicitBucketBoundaries(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
	if err != nil {
		return nil, fmt.Errorf("make the histogram of loads: %w", err)
	}
	return t, nil
}

// Observe adds freshet.head.age of a DB: how long ago the newest look at its database
// began, which is what a read may be behind. It ends with stop, to be called before
// DB.Close.
func (t *Telemetry) Observe(db *cache.DB) (stop func() error, err error) {
	age, err := t.meter.Float64ObservableGauge("freshet.head.age", metric.WithUnit("s"), metric.WithDescription("How long ago the newest look at the database began."))
	if err != nil {
		return nil, fmt.Errorf("make the gauge of the head's age: %w", err)
	}
	registration, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		if d := db.Stats().HeadAge; d > 0 {
			o.ObserveFloat64(age, d.Seconds())
		}
		return nil
	}, age)
	if err != nil {
		return nil, fmt.Errorf("register the gauge of the head's age: %w", err)
	}
	return registration.Unregister, nil
}

// OnRead is a cache.Options.OnRead.
func (t *Telemetry) OnRead(ctx context.Context, r cache.Read) {
	of := t.labels(r)
	t.reads.Add(ctx, 1, of.reads...)
	if r.Load > 0 {
		t.loads.Record(ctx, r.Load.Seconds(), of.loads...)
	}
	reader := trace.SpanFromContext(ctx)
	switch {
	case !reader.IsRecording():
	case r.Outcome == cache.OutcomeHit:
		reader.AddEvent("freshet.hit", of.event...)
	default:
		t.span(ctx, r, of)
	}
}

// span makes one of a read that has ended.
func (t *Telemetry) span(ctx context.Context, r cache.Read, of *labels) {
	now := time.Now()
	_, span := t.tracer.Start(ctx, "freshet read", of.span, trace.WithTimestamp(now.Add(-r.Took)))
	if r.SQL != "" {
		span.SetAttributes(attribute.String("db.query.text", r.SQL))
	}
	if r.Reason != "" {
		span.SetAttributes(attribute.String("freshet.reason", r.Reason))
	}
	if r.Err != nil {
		span.RecordError(r.Err, trace.WithTimestamp(now))
	}
	if r.Outcome == cache.OutcomeFailed {
		span.SetStatus(codes.Error, "the read failed")
	}
	span.End(trace.WithTimestamp(now))
}

// labels returns those of a read.
func (t *Telemetry) labels(r cache.Read) *labels {
	of := subject{r.Name, r.Outcome}
	t.mu.RLock()
	found, many := t.known[of], len(t.known) >= subjectsMax
	t.mu.RUnlock()
	if found != nil {
		return found
	}
	if many {
		return labelled(subject{outcome: r.Outcome})
	}
	made := labelled(of)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[of] = made
	return made
}

func labelled(of subject) *labels {
	outcome := attribute.String("freshet.outcome", of.outcome.String())
	var name []attribute.KeyValue
	if of.name != "" {
		name = append(name, attribute.String("freshet.name", of.name))
	}
	return &labels{
		reads: []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(append(name, outcome)...))},
		loads: []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(name...))},
		event: []trace.EventOption{trace.WithAttributes(name...)},
		span:  trace.WithAttributes(append(name, outcome)...),
	}
}
