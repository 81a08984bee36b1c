package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"github.com/freshet/freshet/invalidation"
)

// namesMax is how many names a finding lists.
const namesMax = 3

// list writes the first few names, and how many more there are.
func list(names []string) string {
	if len(names) <= namesMax {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:namesMax], ", "), len(names)-namesMax)
}

// installed checks what all tables share.
func (e *examination) installed(ctx context.Context) (err error) {
	if e.installation, err = invalidation.Inspect(ctx, e.conn); err != nil {
		return err
	}
	i := &e.installation
	user := e.conn.Config().User
	switch {
	case i.Owner == "":
		e.add(Fail, "installed", "nothing is installed in this database: nothing is cached", "freshet install --watch 'public.*' --follower-role "+user+"   (as a superuser, or as who may create event triggers)")
	case len(i.Base) > 0:
		e.add(Fail, "installed", list(i.Base), "freshet install --watch 'public.*' --follower-role "+user+"   (as "+i.Owner+", or a superuser)")
	case len(i.Missing) > 0:
		e.add(Fail, "installed", user+" lacks "+list(i.Missing), "freshet install --watch … --follower-role "+user+"   (as "+i.Owner+")")
	case i.Refused != nil:
		e.add(Fail, "installed", "no event can be written: "+i.Refused.Error(), "freshet install, as "+i.Owner)
	case i.Unreported != "":
		e.add(Warn, "installed", "changes of the schema are noticed late, within the staleness bound: "+i.Unreported, "")
	default:
		e.add(OK, "installed", "schema freshet of "+i.Owner+", event triggers enabled, events can be written", "")
	}
	return nil
}

// inPlace reports whether there is something to say about tables and the outbox.
func (e *examination) inPlace() bool {
	return e.installation.Owner != "" && len(e.installation.Base) == 0
}

// tables checks which tables are watched.
func (e *examination) tables(context.Context) error {
	if !e.inPlace() {
		return nil
	}
	i, named := &e.installation, list
	if e.AllTables {
		named = func(names []string) string { return strings.Join(names, ", ") }
	}
	for _, problem := range i.Problems {
		e.add(Warn, "tables", problem, "freshet install --watch …")
	}
	text := fmt.Sprintf("%d of %s watched", i.Watched, english.Plural(i.Watched+len(i.Unwatched), "table", ""))
	if len(i.Unwatched) > 0 {
		text += "; not " + named(i.Unwatched)
	}
	switch {
	case i.Watched == 0:
		e.add(Warn, "tables", text+": everything passes through", "freshet install --watch 'public.*'")
	case len(i.Keyless) > 0:
		e.add(OK, "tables", text+"; without a primary key, so that any change counts for every row unless columns are named: "+named(i.Keyless), "")
	default:
		e.add(OK, "tables", text, "")
	}
	return nil
}

// publications checks whether somebody's subscriber would stop.
func (e *examination) publications(ctx context.Context) error {
	all, err := invalidation.PublicationsForAll(ctx, e.conn)
	if err != nil {
		return err
	}
	switch {
	case len(all) > 0:
		e.add(Warn, "publications", list(all)+": FOR ALL TABLES, the tables of schema freshet among them: subscribers without these stop", "publish schemas or tables by name")
	case len(e.installation.Publications) > 0:
		e.add(Warn, "publications", list(e.installation.Publications)+": contains tables of schema freshet: subscribers without these stop", "ALTER PUBLICATION … DROP …")
	default:
		e.add(OK, "publications", "none contains tables of schema freshet", "")
	}
	return nil
}

// outbox checks that somebody empties it.
func (e *examination) outbox(context.Context) error {
	i := &e.installation
	if !e.inPlace() || len(i.Missing) > 0 {
		return nil
	}
	text := fmt.Sprintf("about %s, %s, trimmed up to %s ago", english.Plural(int(i.Outbox.Rows), "row", ""), humanize.IBytes(uint64(max(i.Outbox.Bytes, 0))), i.Outbox.Oldest.Round(time.Second))
	switch {
	case !i.Vacuumed:
		e.add(Warn, "outbox", text+"; autovacuum is off: it grows with every event", "ALTER TABLE freshet.outbox RESET (autovacuum_enabled), and autovacuum = on")
	case i.Outbox.Oldest > 3*e.Retention && i.Outbox.Rows > 0:
		e.add(Warn, "outbox", text+": nobody follows", "start freshet serve, or freshet uninstall where nobody needs it")
	default:
		e.add(OK, "outbox", text, "")
	}
	return nil
}
