package run

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/sidecar/internal/rules"
)

// distrusted are the shapes of which verification has found an answer to be stale: where an
// operator wants that, their statements pass through until somebody purges. They are rules
// beside those of the configuration, so that what was kept before, or is being loaded
// meanwhile, is not served either (wire.Server.SetRules). The database remembers them
// (invalidation.Distrust), for other sidecars and for after a restart.
type distrusted struct {
	mu sync.Mutex
	// setRules puts rules in force.
	setRules func(*rules.Set)
	// configured are the rules of the configuration, bypass is Options.VerifyBypass.
	configured []rules.Rule
	bypass     bool
	// shapes are those that are distrusted, by their ids, or all: what the database said last,
	// and what was found since. One that could not be noted there is in force until the
	// database says the next time which are.
	shapes map[string]bool
}

// begin is called once, before anybody is served.
func (d *distrusted) begin(setRules func(*rules.Set), configured []rules.Rule, bypass bool) {
	d.mu.Lock()
	d.setRules = setRules
	d.mu.Unlock()
	d.configure(configured, bypass)
}

// configure puts other rules in force, and says whether shapes are to pass through.
func (d *distrusted) configure(configured []rules.Rule, bypass bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.configured, d.bypass = configured, bypass
	d.enforceLocked()
}

// add distrusts a shape at once, and reports whether shapes are to pass through.
func (d *distrusted) add(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.bypass {
		return false
	}
	if d.shapes == nil {
		d.shapes = map[string]bool{}
	}
	d.shapes[id] = true
	d.enforceLocked()
	return true
}

// listed takes what the database says to be distrusted.
func (d *distrusted) listed(list []invalidation.Distrusted) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(list) == 0 && len(d.shapes) == 0 {
		return
	}
	d.shapes = make(map[string]bool, len(list))
	for _, of := range list {
		d.shapes[of.Shape] = true
	}
	d.enforceLocked()
}

// ids are the shapes that pass through, "all" among them if every statement does.
func (d *distrusted) ids() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.bypass {
		return []string{}
	}
	ids := slices.AppendSeq([]string{}, maps.Keys(d.shapes))
	slices.Sort(ids)
	return ids
}

func (d *distrusted) enforceLocked() {
	all := slices.Clone(d.configured)
	never := rules.Terms{Never: true}
	if !d.bypass {
		d.setRules(rules.NewSet(all))
		return
	}
	for id := range d.shapes {
		rule := rules.Rule{ID: id, Distrusted: true, Terms: never}
		if id == invalidation.DistrustedAll {
			rule.ID, rule.Text = "", "…"
		}
		all = append(all, rule)
	}
	d.setRules(rules.NewSet(all))
}

// distrust has a shape pass through, by its text, here and in every sidecar.
func (s *stack) distrust(ctx context.Context, shape string, roots []uint32) error {
	id := rules.ShapeID(shape)
	if !s.distrusted.add(id) {
		return nil
	}
	return s.write(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return invalidation.Distrust(ctx, conn, invalidation.Distrusted{Shape: id, Roots: roots})
	})
}
