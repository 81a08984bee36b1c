package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
)

const (
	// pushEvery is the time between two pushes, pushMax how long one may take.
	pushEvery = 15 * time.Second
	pushMax   = 5 * time.Second
	// pathDefault is where collectors take metrics, for a URL that names no path.
	pathDefault = "/v1/metrics"
)

// Options say what is pushed, and where.
type Options struct {
	// URL is the collector's: see CheckURL.
	URL string
	// Gatherer has the metrics.
	Gatherer prometheus.Gatherer
	// Version and Instance tell apart who pushes. OTEL_SERVICE_NAME and
	// OTEL_RESOURCE_ATTRIBUTES of the environment count for more.
	Version, Instance string
	// Logger is told of pushes that fail.
	Logger *slog.Logger
}

// Pusher pushes metrics. New makes one.
type Pusher struct {
	options  Options
	exporter *otlpmetrichttp.Exporter
	reader   *metric.ManualReader
	provider *metric.MeterProvider
}

// CheckURL returns the address that a URL stands for, or what is wrong with it.
func CheckURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("write http://HOST:4318 or https://HOST/PATH, where a collector takes OTLP over HTTP")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("leave out users, passwords and what follows ?: what a collector wants besides stands in OTEL_EXPORTER_OTLP_HEADERS of the environment")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = pathDefault
	}
	return u.String(), nil
}

// New checks the options, and connects to nothing.
func New(o Options) (*Pusher, error) {
	address, err := CheckURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("push metrics to %q: %w", o.URL, err)
	}
	exporter, err := otlpmetrichttp.New(context.Background(), otlpmetrichttp.WithEndpointURL(address), otlpmetrichttp.WithTimeout(pushMax),
		otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{})) // the next push says it all again
	if err != nil {
		return nil, fmt.Errorf("push metrics to %s: %w", address, err)
	}
	own := resource.NewSchemaless(attribute.String("service.name", "freshet"), attribute.String("service.version", o.Version), attribute.String("service.instance.id", o.Instance))
	who, err := resource.Merge(own, resource.Environment())
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	reader := metric.NewManualReader(metric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(o.Gatherer))))
	return &Pusher{o, exporter, reader, metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(who))}, nil
}

// Run pushes at once, from time to time, and when ctx ends. It returns nil.
func (p *Pusher) Run(ctx context.Context) error {
	ticker := time.NewTicker(pushEvery)
	defer ticker.Stop()
	for {
		p.push(ctx)
		select {
		case <-ctx.Done():
			p.end()
			return nil
		case <-ticker.C:
		}
	}
}

func (p *Pusher) push(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pushMax)
	defer cancel()
	var all metricdata.ResourceMetrics
	err := p.reader.Collect(ctx, &all)
	if err == nil {
		err = p.exporter.Export(ctx, &all)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		p.options.Logger.Warn("cannot push metrics", "error", err, "remedy", "see what listens at the address of --otlp, and what it answers; /metrics has the same numbers")
	}
}

// end pushes what was counted last, and lets go of the connection.
func (p *Pusher) end() {
	ctx, cancel := context.WithTimeout(context.Background(), pushMax)
	defer cancel()
	p.push(ctx)
	for _, shutdown := range []func(context.Context) error{p.provider.Shutdown, p.exporter.Shutdown} {
		if err := shutdown(ctx); err != nil {
			p.options.Logger.Debug("end the pushing of metrics", "error", err)
		}
	}
}
