package dashboard

import (
	"context"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/sidecar/dashboard/figures"
)

// Times are what reads took, for the page to show. The zero value is ready, and it must not
// be copied. It is what a DB is opened with and a page made with:
//
//	times := &dashboard.Times{}
//	db, err := cache.Open(ctx, pool, cache.Options{OnRead: times.OnRead})
//	page := dashboard.New(db, dashboard.Options{Times: times})
type Times struct{ noted figures.ReadTimes }

// outcomes are how the page names what became of reads.
var outcomes = map[cache.Outcome]string{
	cache.OutcomeHit: "hit_l1", cache.OutcomeRemote: "hit_l2", cache.OutcomeJoined: "coalesced", cache.OutcomeLoaded: "miss",
	cache.OutcomeNotKept: "bypass", cache.OutcomeStale: "error", cache.OutcomeFailed: "error",
}

// OnRead is to be cache.Options.OnRead, or to be called by what is. It may be called
// concurrently, and allocates nothing.
func (t *Times) OnRead(_ context.Context, r cache.Read) {
	noted := figures.ReadTime{Outcome: outcomes[r.Outcome], Took: r.Took, Age: r.Age}
	if r.SQL != "" { // the load of a function consists of others, which are told by themselves
		noted.Postgres = r.Load
		if r.Outcome == cache.OutcomeNotKept {
			noted.Postgres = r.Took
		}
	}
	t.noted.Note(noted)
}
