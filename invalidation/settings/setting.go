package settings

import (
	"slices"
	"strings"
)

// group are settings of which the same holds, for the same reason. One that
// is neither keyed nor has a reason changes no answer.
type group struct {
	// why says what they have to do with answers.
	why string
	// names, with blanks between them.
	names string
	// keyed settings are part of every key.
	keyed bool
	// parse is set if they change what a text means before it is executed: the
	// analysis applies them to its own session.
	parse bool
	// start is set if a value counts that a connection began with.
	start bool
	// value is the SQL that reads it, where current_setting does not.
	value string
	// only are the values that a session is served with, nil for all; admits decides
	// instead where it is set. With other values a session passes through, for reason.
	only   []string
	admits func(value string) bool
	reason string
}

// setting is one of them.
type setting struct {
	name string
	*group
	// since and until are the major versions that have it, 0 for all.
	since, until int
	// optional is set if a server may be without it: a module's, a distribution's, or
	// one that came with a minor release.
	optional bool
}

// all is what is decided of each.
var all = readGroups()

func readGroups() (all []setting) {
	for i := range groups {
		for _, text := range strings.Fields(groups[i].names) {
			s := setting{group: &groups[i]}
			s.read(text)
			all = append(all, s)
		}
	}
	return all
}

// read takes a name apart: behind it may stand @16+ (since version 16), @-15 (until
// 15), @15+-15 (only in 15), and a ? if it is optional.
func (s *setting) read(text string) {
	text, s.optional = strings.CutSuffix(text, "?")
	name, versions, _ := strings.Cut(text, "@")
	s.name = name
	for versions != "" {
		last := versions[0] == '-'
		versions = strings.TrimPrefix(versions, "-")
		number := int(versions[0]-'0')*10 + int(versions[1]-'0')
		if last {
			s.until = number
		} else {
			s.since = number
		}
		versions = strings.TrimPrefix(versions[2:], "+")
	}
}

// objects reports whether a session with this value passes through. nil means that
// the server does not have the setting.
func (s *setting) objects(value []byte) bool {
	switch {
	case s.reason == "":
		return false
	case value == nil:
		return !s.optional
	case s.admits != nil:
		return !s.admits(string(value))
	default:
		return !slices.Contains(s.only, string(value))
	}
}

// named are the names of the settings that are as wanted.
func named(wanted func(*setting) bool) (names []string) {
	for i := range all {
		if wanted(&all[i]) {
			names = append(names, all[i].name)
		}
	}
	return names
}

// Keyed can change the result of a statement that the analysis accepts, or the
// notices that come with it: they are part of every key.
var Keyed = named(func(s *setting) bool { return s.keyed })

// ForParsing are those that change what a text means before it is executed: the
// analysis applies them to its own session.
var ForParsing = named(func(s *setting) bool { return s.parse })

// Conditional are those that are not keyed and with some values of which a session
// passes through: Objection says so.
var Conditional = named(func(s *setting) bool { return s.reason != "" && !s.start && !s.keyed })

// AtStart are those of which a value counts that a connection began with:
// StartObjection says whether a session passes through because of it.
var AtStart = namesOf(startConditions)

// The settings with which a session is served only if they have one of some values;
// those that a connection begins with apart.
var (
	conditions      = conditionsOf(false)
	startConditions = conditionsOf(true)
)

func conditionsOf(start bool) (those []*setting) {
	for i := range all {
		if s := &all[i]; s.reason != "" && s.start == start {
			those = append(those, s)
		}
	}
	return those
}

func namesOf(those []*setting) (names []string) {
	for _, s := range those {
		names = append(names, s.name)
	}
	return names
}

// Objection is the reason of the first setting that a session is not served with,
// empty if there is none. values holds Keyed and Conditional.
func Objection(values map[string][]byte) string { return objection(conditions, values) }

// StartObjection is Objection for AtStart.
func StartObjection(values map[string][]byte) string { return objection(startConditions, values) }

func objection(conditions []*setting, values map[string][]byte) string {
	for _, c := range conditions {
		if c.objects(values[c.name]) {
			return c.reason
		}
	}
	return ""
}

// sessionLibrariesSQL are the session_preload_libraries that the role or the database
// has of its own. The setting itself is kept from ordinary roles.
const sessionLibrariesSQL = `(SELECT COALESCE(pg_catalog.string_agg(pg_catalog.split_part(c, '=', 2), ','), '')` +
	` FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c` +
	` WHERE c OPERATOR(pg_catalog.~~*) 'session_preload_libraries=%'` +
	` AND (s.setrole OPERATOR(pg_catalog.=) 0 OR s.setrole OPERATOR(pg_catalog.=) pg_catalog.quote_ident(SESSION_USER)::pg_catalog.regrole::pg_catalog.oid)` +
	` AND (s.setdatabase OPERATOR(pg_catalog.=) 0 OR s.setdatabase OPERATOR(pg_catalog.=)` +
	` (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())))`

// harmlessLibraries reports whether all libraries of a list are known to leave
// answers alone: they watch, or concern what is no read.
func harmlessLibraries(list string) bool {
	for name := range strings.SplitSeq(list, ",") {
		switch strings.TrimPrefix(strings.Trim(name, ` "`), "$libdir/") {
		case "", "auto_explain", "pg_stat_statements", "plpgsql", "safeupdate", "supautils":
		default:
			return false
		}
	}
	return true
}
