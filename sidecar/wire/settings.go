package wire

import (
	"slices"
	"strings"
)

// settingGroup are settings of which the same holds, for the same reason. One that
// is neither keyed nor has a reason changes no answer.
type settingGroup struct {
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
	*settingGroup
	// since and until are the major versions that have it, 0 for all.
	since, until int
	// optional is set if a server may be without it: a module's, a distribution's, or
	// one that came with a minor release.
	optional bool
}

// settings is what is decided of each.
var settings = allSettings()

func allSettings() (all []setting) {
	for i := range settingGroups {
		for _, text := range strings.Fields(settingGroups[i].names) {
			s := setting{settingGroup: &settingGroups[i]}
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
	for i := range settings {
		if wanted(&settings[i]) {
			names = append(names, settings[i].name)
		}
	}
	return names
}

// keyedSettings can change the result of a statement that the analysis accepts,
// or the notices that come with it.
var keyedSettings = named(func(s *setting) bool { return s.keyed })

// parseSettings are those that the analysis applies to its own session.
var parseSettings = named(func(s *setting) bool { return s.parse })

// conditions are the settings with which a session is served only if they have one
// of some values; those that a connection begins with apart.
var (
	conditions      = conditionsOf(false)
	startConditions = conditionsOf(true)
)

func conditionsOf(start bool) (those []*setting) {
	for i := range settings {
		if s := &settings[i]; s.reason != "" && s.start == start {
			those = append(those, s)
		}
	}
	return those
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
