package count

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func TestEveryCounterIsReadAndNamed(t *testing.T) {
	t.Parallel()
	fields := reflect.TypeFor[Counts]()
	seen := map[string]bool{}
	metered := 0
	for i := range fields.NumField() {
		field := fields.Field(i)
		name := field.Tag.Get("json")
		if name == "" || strings.ToLower(name) != name || seen[name] {
			t.Errorf("%s: has no name in the statistics, or one that is taken: %q", field.Name, name)
		}
		seen[name] = true
		if field.Tag.Get("metric") == "" {
			continue
		}
		metered++
		var c Counters
		reflect.ValueOf(&c).Elem().Field(i).Addr().Interface().(interface{ Add(uint64) uint64 }).Add(3)
		counts := Read(&c)
		moved := 0
		for _, metric := range Metrics() {
			for _, one := range metric.Of {
				if got := one.Read(&counts); got != 0 {
					moved++
					if got != 3 || metric.Name != field.Tag.Get("metric") {
						t.Errorf("%s: counted 3, read %d as %s", field.Name, got, metric.Name)
					}
				}
			}
		}
		if moved != 1 {
			t.Errorf("%s: %d values of metrics moved", field.Name, moved)
		}
	}
	of := 0
	for _, metric := range Metrics() {
		of += len(metric.Of)
	}
	if of != metered {
		t.Errorf("%d counters have a metric, and %d are in one", metered, of)
	}
}

func TestMetricsAreNamed(t *testing.T) {
	t.Parallel()
	metricName := regexp.MustCompile(`^freshet_[a-z_]+_total$`)
	seen := map[string]bool{}
	for _, metric := range Metrics() {
		if seen[metric.Name] || !metricName.MatchString(metric.Name) || !strings.HasSuffix(metric.Help, ".") {
			t.Errorf("%s is no name, or is there twice, or its help is none: %q", metric.Name, metric.Help)
		}
		seen[metric.Name] = true
		values := map[string]bool{}
		for _, one := range metric.Of {
			if (one.Value == "") != (metric.Label == "") || values[one.Value] {
				t.Errorf("%s: the value %q of the label %q", metric.Name, one.Value, metric.Label)
			}
			values[one.Value] = true
		}
		if metric.Label == "" && len(metric.Of) != 1 {
			t.Errorf("%s has %d counters and no label", metric.Name, len(metric.Of))
		}
	}
}
