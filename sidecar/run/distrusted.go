package run

import (
	"maps"
	"slices"
	"sync"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/sidecar/internal/rules"
)

// distrustedMax bounds the shapes that are distrusted one by one. With one beyond, every
// statement is.
const distrustedMax = 256

// distrusted are the shapes of which verification has found an answer to be stale: where an
// operator wants that, their statements pass through until somebody purges. They are rules
// beside those of the configuration, so that what was kept before, or is being loaded
// meanwhile, is not served either (wire.Server.SetRules).
//
// The event that ends the stale answers is written first, and is no purge:
//
//  1. an operator purges a table; the event is on its way;
//  2. verification finds an answer of the table to be stale, and distrusts its shape;
//  3. the event of 1 is received: the shape is trusted again, though nobody has purged since.
//
// So verification distrusts only after a look that began when its own event was written, and
// that look brought the event of 1, too. Forced by
// TestShapeIsDistrustedBehindItsEvent.
type distrusted struct {
	mu sync.Mutex
	// setRules puts rules in force.
	setRules func(*rules.Set)
	// configured are the rules of the configuration, bypass is Options.VerifyBypass.
	configured []rules.Rule
	bypass     bool
	// roots are the tables of each shape, by its id.
	roots map[string][]uint32
	// all is set if every statement is distrusted.
	all bool
}

// begin is called once, before anybody is served.
func (d *distrusted) begin(setRules func(*rules.Set), configured []rules.Rule, bypass bool) {
	d.mu.Lock()
	d.setRules = setRules
	d.mu.Unlock()
	d.configure(configured, bypass)
}

// configure puts other rules in force. Where shapes are not to pass through any more, all are
// trusted again.
func (d *distrusted) configure(configured []rules.Rule, bypass bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.configured, d.bypass = configured, bypass
	if !bypass || d.roots == nil {
		d.roots, d.all = map[string][]uint32{}, false
	}
	d.enforceLocked()
}

// add distrusts a shape, by its text.
func (d *distrusted) add(shape string, roots []uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.bypass {
		return
	}
	id := rules.ShapeID(shape)
	if _, known := d.roots[id]; !known && len(d.roots) >= distrustedMax {
		d.all = true
	} else {
		d.roots[id] = roots
	}
	d.enforceLocked()
}

// purged trusts the shapes again that a purge concerns.
func (d *distrusted) purged(p invalidation.PurgeEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.roots) == 0 && !d.all {
		return
	}
	maps.DeleteFunc(d.roots, func(_ string, roots []uint32) bool { return p.Concerns(roots) })
	d.all = d.all && !p.All
	d.enforceLocked()
}

// ids are the shapes that are distrusted, "all" among them if every statement is.
func (d *distrusted) ids() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := slices.AppendSeq([]string{}, maps.Keys(d.roots))
	if d.all {
		ids = append(ids, "all")
	}
	slices.Sort(ids)
	return ids
}

func (d *distrusted) enforceLocked() {
	all := slices.Clone(d.configured)
	never := rules.Terms{Never: true}
	for id := range d.roots {
		all = append(all, rules.Rule{ID: id, Distrusted: true, Terms: never})
	}
	if d.all {
		all = append(all, rules.Rule{Text: "…", Distrusted: true, Terms: never})
	}
	d.setRules(rules.NewSet(all))
}
