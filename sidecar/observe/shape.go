package observe

import (
	"time"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

const (
	// shapesMax bounds the shapes of statements that are told apart.
	shapesMax = 4096
	// verdictsMax bounds the verdicts kept; beyond it they are begun anew.
	verdictsMax = 16384
	// missesPerWish is how many loads of a shape have a column watched that would have made
	// its tags precise: fewer than serve waits for, as what is said here is for who begins
	// with these columns.
	missesPerWish = 2
	// columnsMax is how many columns of a table are asked for at most, as serve does.
	columnsMax = 12
)

// shape is what statements have in common that differ in their literals alone.
type shape struct {
	text string
	// reads and all are its executions, keys how many different answers were asked for.
	all, reads, keys uint64
	hits             [worlds]uint64
	misses           uint64
	spent            time.Duration
	saved            [worlds]time.Duration
	tables           []string
	reason           string // of the last that would have passed through
}

// shapeOf finds the shape of a statement.
func (o *Observer) shapeOf(sql string) *shape {
	template, ok := analysis.NewTemplate(sql, true)
	name := template.Key
	if !ok {
		name = sql
	}
	s := o.shapes[name]
	if s == nil {
		if len(o.shapes) >= shapesMax {
			return o.others
		}
		s = &shape{text: shapes.WithoutValues(sql, true)}
		o.shapes[name] = s
	}
	return s
}

// verdictKey names what a verdict was asked for.
type verdictKey struct {
	meaning     *meaning
	text, types string
	// exact is set for one statement, else it is for those of a template.
	exact bool
}
