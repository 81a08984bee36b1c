package count

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func TestEveryCounterIsReadAndNamed(t *testing.T) {
	t.Parallel()
	metricName := regexp.MustCompile(`^freshet_[a-z_]+_total$`)
	seen := map[string]bool{}
	fields := reflect.TypeFor[Counts]()
	for i, metric := range Metrics() {
		var c Counters
		counter := reflect.ValueOf(&c).Elem().Field(i).Addr().Interface().(interface{ Add(uint64) uint64 })
		counter.Add(3)
		counts := Read(&c)
		if got := metric.Of(&counts); got != 3 {
			t.Errorf("%s: counted 3, read %d", metric.Name, got)
		}
		reflect.ValueOf(&counts).Elem().Field(i).SetZero()
		if counts != (Counts{}) {
			t.Errorf("%s: another counter moved too: %+v", metric.Name, counts)
		}
		name := fields.Field(i).Tag.Get("json")
		if name == "" || strings.ToLower(name) != name || !metricName.MatchString(metric.Name) || !strings.HasSuffix(metric.Help, ".") {
			t.Errorf("%s: names %q and %q, help %q", fields.Field(i).Name, name, metric.Name, metric.Help)
		}
		if seen[name] || seen[metric.Name] {
			t.Errorf("%s: a name is taken", metric.Name)
		}
		seen[name], seen[metric.Name] = true, true
	}
}
