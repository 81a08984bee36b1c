package invalidation

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Preview says what Install would do.
type Preview struct {
	// Shared says, a sentence each, what it would do for all tables: nothing if that is empty.
	Shared []string
	// Watched are the tables that would be watched, with Changed where triggers would be put
	// on them; Skipped and Early are as in Report.
	Watched []Installed
	Skipped []Skipped
	Early   []string
}

// PreviewInstall finds out what Install would do now, and changes nothing. What stands in the
// way is an error as of Install, as far as it is known without trying.
func PreviewInstall(ctx context.Context, conn *pgx.Conn, o Options) (Preview, error) {
	patterns, err := parsePatterns(o.Watch)
	if err != nil {
		return Preview{}, err
	}
	p, err := preparePlan(ctx, conn, patterns, o.FollowerRoles, false)
	if err != nil {
		return Preview{}, err
	}
	p.force = o.Force
	if p.suspended {
		return Preview{}, errSuspended
	}
	if err := p.check(ctx, conn, false); err != nil {
		return Preview{}, err
	}
	preview := Preview{Shared: p.sharedWords(), Skipped: p.skipped, Early: p.early}
	for _, t := range p.trees {
		preview.Watched = append(preview.Watched, Installed{t.root.Schema, t.root.Name, t.columns, len(t.members), len(t.missing) > 0})
	}
	return preview, nil
}

// sharedWords says what there is to do for all tables.
func (p plan) sharedWords() (words []string) {
	if p.fresh && len(p.base) > 0 {
		words = append(words, "make schema freshet: the outbox, what followers need, the functions that triggers call")
	} else {
		for _, problem := range p.base {
			words = append(words, "mend the schema freshet: "+problem)
		}
	}
	for _, problem := range p.events {
		words = append(words, "make the event triggers, if the role may: "+problem)
	}
	if len(p.followers) > 0 && (p.lacking || p.sharedChanges()) {
		for _, role := range p.followers {
			words = append(words, "give role "+role+" what following and analysing needs")
		}
	}
	return words
}
