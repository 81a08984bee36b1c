package shapes

import (
	"reflect"
	"testing"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
)

func TestEffectOfAVerdict(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		verdict analysis.Verdict
		want    *Effect
	}{
		"a read":                      {analysis.Verdict{Cacheable: true}, &Effect{Analysed: true, Generation: 3}},
		"a read that others may see":  {analysis.Verdict{Cacheable: true, Exempt: []string{"public.t"}}, nil},
		"what may write anything":     {analysis.Verdict{}, nil},
		"a write of no watched table": {analysis.Verdict{Effect: &analysis.Effect{}}, &Effect{Analysed: true, Generation: 3}},
		"a write": {
			analysis.Verdict{Effect: &analysis.Effect{Roots: []uint32{7}}},
			&Effect{Analysed: true, Generation: 3, Tags: []fence.Tag{fence.NewTag(fence.TableText(7)), fence.NewTag(fence.WholesaleText(7))}},
		},
	} {
		if got := effectOf(&c.verdict, 3); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
