package run

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/dashboard"
)

// databaseName is what clients ask for who want the plain upstream's database.
func (o *Options) databaseName() string {
	if o.Upstream.Config == nil {
		return ""
	}
	return o.Upstream.name()
}

// CheckDatabases finds names that mean two databases, two names of one, and memory that
// does not suffice. New does so too.
func (o *Options) CheckDatabases() error {
	names := map[string]bool{o.databaseName(): true}
	places := map[string]string{o.Upstream.place(): o.databaseName()}
	for _, d := range o.Databases {
		switch {
		case d.Name == "" || d.Upstream.Config == nil:
			return misuse("each of the databases needs a name that clients ask for, and a DSN")
		case d.Name == o.databaseName():
			return misuse("database %s is that of the upstream itself: leave it out", d.Name)
		case names[d.Name]:
			return misuse("database %s stands twice among the databases: leave one out", d.Name)
		case d.Follow.Config != nil && d.Primary.Config != nil:
			return misuse("database %s: follow is for a pooler before the primary, and primary leads to that already: leave one out", d.Name)
		}
		names[d.Name] = true
		if other, taken := places[d.Upstream.place()]; taken {
			return misuse("databases %s and %s lead to the same one: %s", other, d.Name, twinsRefused)
		}
		places[d.Upstream.place()] = d.Name
	}
	if len(o.Databases) > 0 && o.share() < int64(o.EntryMax) {
		return misuse("the memory does not suffice for %d databases: each gets a share, which has to hold the largest answer that is kept", len(o.Databases)+1)
	}
	return nil
}

// pages are those of the databases beside the plain upstream's.
func (s *Sidecar) pages() (all []dashboard.Database) {
	for _, of := range s.others {
		all = append(all, dashboard.Database{Name: of.name, StatsFunc: of.report, TablesFunc: of.tables, ShapesFunc: of.shapes, EndingsFunc: of.endingsOf, ExplainFunc: of.explain, PurgeFunc: of.purgeWhat})
	}
	return all
}

// states says in short how the databases are, if they are several.
func (s *Sidecar) states() (all []dashboard.DatabaseState) {
	if len(s.others) == 0 {
		return nil
	}
	for _, of := range s.all() {
		all = append(all, of.state())
	}
	return all
}

func (s *stack) state() dashboard.DatabaseState {
	stats := s.brief()
	hits, reads := stats.Reads()
	return dashboard.DatabaseState{
		Name: s.name, NotReady: dashboard.NotReady(&stats), Sessions: stats.Sessions, Hits: hits, Reads: reads,
		FollowerAgeSeconds: stats.FollowerAgeSeconds, WatchedTables: len(s.follower.State().Tables()),
	}
}

// name is what Postgres calls the database: where none is asked for, as the role.
func (d Database) name() string { return cmp.Or(d.Config.Database, d.Config.User) }

// place names a database, as far as its DSN tells.
func (d Database) place() string {
	return fmt.Sprintf("%s\x00%d\x00%s", d.Config.Host, d.Config.Port, d.name())
}

// twinsRefused says why a database has one name.
const twinsRefused = "what is written by one name would be seen late by the other; let clients ask for one name"

// twinsEvery is how often databases are compared.
const twinsEvery = time.Second

// watchTwins looks for two names of one database, which DSNs need not tell: what clients
// of one write is no mark for clients of the other, who would see it late. Then the second
// passes everything through. A replica has a name of its own: it only serves sessions that
// accept to lag.
func (s *Sidecar) watchTwins(ctx context.Context) {
	ticker := time.NewTicker(twinsEvery)
	defer ticker.Stop()
	for {
		s.compareTwins()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (s *Sidecar) compareTwins() {
	first := map[fence.Incarnation]string{}
	for _, of := range s.all() {
		head := of.fence.Head()
		if head == nil || of.standby != nil {
			continue
		}
		problem := ""
		if other, taken := first[head.Incarnation]; taken {
			problem = fmt.Sprintf("databases %s and %s are the same one: %s", other, of.name, twinsRefused)
		} else {
			first[head.Incarnation] = of.name
		}
		of.noteTwin(problem)
	}
}

// share is the memory of each database that has no part of its own.
func (o *Options) share() int64 {
	rest, sharers := o.MemoryBytes, int64(1)
	for _, d := range o.Databases {
		if rest -= d.MemoryBytes; d.MemoryBytes == 0 {
			sharers++
		}
	}
	return rest / sharers
}

// plain are the options of the plain upstream's database.
func (o *Options) plain() Options {
	own := *o
	own.MemoryBytes = o.share()
	return own
}

// of are the options of one of the databases.
func (o *Options) of(d NamedDatabase) Options {
	own := *o
	own.Upstream, own.Primary, own.Follow, own.Watch = d.Upstream, d.Primary, d.Follow, d.Watch
	own.MemoryBytes = cmp.Or(d.MemoryBytes, o.share())
	return own
}
