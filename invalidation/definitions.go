package invalidation

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// Where event triggers are missing or switched off, nothing says that somebody changed
// the schema. Then looks compare definitions themselves, at least every so often
// (FollowerOptions.Definitions), and whenever Suspect was called:
//
//  1. The definitions are read by the look's own statement, so they are those of the
//     head. Between two statements a change could commit that the head includes and
//     nobody has noticed.
//  2. A look that finds others than those known reports them itself, with an event,
//     and is made again: looks in between did not compare, and their heads may include
//     the change. An answer that was loaded then, by a verdict of before, is labelled
//     with such a head. Without the event's id, the head now could be equal to that
//     one, if nobody has written since, and would admit it.
//     (TestHeadThatIncludesWhatNobodyNoticed)
//  3. A change that is not committed yet, however old, is in no head, and is found
//     when it is: a row's version is compared, not the newest of them.
//     (TestDefinitionsOfALateTransaction)
//  4. A look that does not compare says that everything acknowledged before it began
//     is included. So the fence is told how much older that may be for definitions,
//     and looks that are later than that after the last comparison compare, too.
//     (TestDefinitionsAreAsFreshAsData)
//  5. At the start, and when event triggers are missing from now on or are there again,
//     nothing is known of changes before: nothing older is trusted. Who was running
//     when they came back may not report yet: comparing goes on until these
//     transactions have ended. (TestEventTriggersComeBack)

//go:embed schema/definitions.sql
var definitionsTemplate string

// definitionsDefault is FollowerOptions.Definitions when it is 0.
const definitionsDefault = 500 * time.Millisecond

// defining are the catalogs that hold definitions, and which of their rows count,
// unless all do.
var defining = []struct{ catalog, condition string }{
	{"pg_aggregate", ""}, {"pg_am", ""}, {"pg_amop", ""}, {"pg_amproc", ""},
	{"pg_attrdef", "x.adrelid NOT IN (SELECT t.oid FROM temporary t)"},
	{"pg_attribute", "x.attrelid NOT IN (SELECT t.oid FROM temporary t)"},
	{"pg_cast", ""},
	{"pg_class", "x.relpersistence <> 't'"},
	{"pg_collation", ""},
	{"pg_constraint", "x.conrelid NOT IN (SELECT t.oid FROM temporary t)"},
	{"pg_conversion", ""}, {"pg_description", "x.classoid = 'pg_namespace'::regclass"}, {"pg_enum", ""}, {"pg_event_trigger", ""},
	{"pg_extension", ""}, {"pg_foreign_table", ""},
	{"pg_index", "x.indrelid NOT IN (SELECT t.oid FROM temporary t)"},
	{"pg_inherits", "x.inhrelid NOT IN (SELECT t.oid FROM temporary t)"},
	{"pg_language", ""},
	{"pg_namespace", "x.nspname !~ '^pg_(toast_)?temp_'"},
	{"pg_opclass", ""}, {"pg_operator", ""}, {"pg_opfamily", ""}, {"pg_partitioned_table", ""}, {"pg_policy", ""}, {"pg_proc", ""},
	{"pg_range", ""},
	{"pg_rewrite", "x.ev_class NOT IN (SELECT t.oid FROM temporary t)"},
	{"pg_subscription_rel", ""}, {"pg_transform", ""},
	{"pg_trigger", "x.tgrelid NOT IN (SELECT t.oid FROM temporary t)"},
	{"pg_ts_config", ""}, {"pg_ts_config_map", ""}, {"pg_ts_dict", ""}, {"pg_ts_parser", ""}, {"pg_ts_template", ""},
	{"pg_type", "x.typnamespace NOT IN (SELECT t.relnamespace FROM temporary t)"},
}

// definitionsSQL sums them up. age counts from the newest id down, of which age('3')
// tells, and says 2147483647 of rows as old as the cluster.
var definitionsSQL = func() string {
	sums := make([]string, len(defining))
	for i, d := range defining {
		where := ""
		if d.condition != "" {
			where = " WHERE " + d.condition
		}
		sums[i] = fmt.Sprintf("\n\t(SELECT concat(count(*), ' ', bit_xor(hashtidextended(x.ctid, CASE WHEN age(x.xmin) < 2147483647 THEN age(x.xmin)::int8 - age('3'::xid) ELSE 0 END))) FROM %s x%s)", d.catalog, where)
	}
	return strings.Replace(definitionsTemplate, "{{catalogs}}", strings.Join(sums, ","), 1)
}()

// definitions is what a looker knows of them.
type definitions struct {
	// value is what they were in the look that compared last and began at began, ""
	// if nobody compares. at is its snapshot: in that they need not be read again.
	// began is 0 if somebody suspects a change since: then the next look compares.
	value, at string
	began     fence.Instant
	// settling are the transactions that ran when the event triggers came back.
	settling []string
}

// comparing reports whether looks have to compare definitions.
func (l *looker) comparing() bool { return !l.f.State().Reported() || l.definitions.value != "" }

// lookComparing makes a look, which compares definitions where that is due. redefined
// says that they are others than those known, if any were.
func (l *looker) lookComparing(ctx context.Context, began fence.Instant) (s *sighting, redefined bool, err error) {
	l.comparedEvery = time.Duration(l.f.definitions.Load())
	if !l.comparing() {
		if s, err = look(ctx, l.conn, l.head); err != nil || !s.unreporting {
			return s, false, err
		}
		if err := l.audit(ctx); err != nil {
			return nil, false, err
		}
	}
	settled, err := l.settled(ctx)
	if err != nil {
		return nil, false, err
	}
	known := l.definitions
	if known.value != "" && known.began != 0 && !settled && began.Sub(known.began) < l.comparedEvery {
		s, err = look(ctx, l.conn, l.head)
		return s, false, err
	}
	if s, err = lookDefinitions(ctx, l.conn, l.head, known.at); err != nil {
		return nil, false, err
	}
	if redefined = known.value == "" || s.at != known.at && s.definitions != known.value; redefined {
		if _, err := l.conn.Exec(ctx, unreportedSQL, fence.SchemaText); err != nil {
			return nil, false, fmt.Errorf("report a change of the schema: %w", explainMissing(err, l.conn.Config().User))
		}
		if s, err = lookDefinitions(ctx, l.conn, l.head, ""); err != nil {
			return nil, false, err
		}
		l.definitions.value = s.definitions
	}
	l.definitions.at, l.definitions.began = s.at, began
	if settled {
		l.definitions = definitions{}
	}
	return s, redefined, nil
}

// settled reports whether this is the last time that definitions have to be compared:
// event triggers are in place, and all transactions have ended that may not know them.
func (l *looker) settled(ctx context.Context) (bool, error) {
	d := &l.definitions
	if !l.f.State().Reported() || d.value == "" {
		d.settling = nil
		return false, nil
	}
	var running []string
	if err := l.conn.QueryRow(ctx, busySQL).Scan(&running); err != nil {
		return false, fmt.Errorf("ask which transactions run: %w", err)
	}
	if d.settling == nil {
		d.settling = running
	}
	d.settling = slices.DeleteFunc(d.settling, func(name string) bool { return !slices.Contains(running, name) })
	return len(d.settling) == 0, nil
}
