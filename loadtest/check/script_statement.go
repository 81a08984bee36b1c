package check

// statementScripts are about what a statement keeps from its Parse and its Describe.
var statementScripts = []Script{
	{Name: "sessions have different settings", bound: longBound, sidecars: 1, play: readUnderSettings},
	{Name: "a setting is switched behind a Parse", bound: longBound, sidecars: 1, play: switchBehindParse},
	{Name: "a table is analysed before an answer from the cache", bound: longBound, sidecars: 1, play: analyseBeforeHit},
	{Name: "a setting is switched between an unnamed Parse and its Bind", bound: longBound, sidecars: 1, play: switchBeforeBind},
	{Name: "a table is altered between an unnamed Parse and its Bind", bound: longBound, sidecars: 1, play: alterBeforeBind},
	{Name: "a table is altered behind a description", bound: longBound, sidecars: 1, play: alterBehindDescription},
}

// switcher opens a pooled connection at a sidecar.
func (st *stage) switcher(door int) *switcher {
	s := st.newSwitcher(len(st.sessions), door, levelBounded)
	st.connected(s.session)
	st.with(s.session, func() { s.begin() })
	return s
}

// shaped opens a session that reads by descriptions.
func (st *stage) shaped(door int) *shaped {
	s := st.newShaped(len(st.sessions), door, levelBounded)
	st.connected(s.session)
	return s
}

// readUnderSettings has sessions send the same, of which the sidecar has what it is to one
// of them.
func readUnderSettings(st *stage) {
	one, other := st.switcher(0), st.switcher(0)
	for i := range constants {
		st.untilCached(one.session, func() { one.once(i) })
		st.with(other.session, func() { other.set(meaning{i, 1}) })
		for range statementReads {
			st.with(other.session, func() { other.once(i) })
		}
	}
}

// switchBehindParse has one session execute under a value what it parsed under another,
// of which the sidecar has what it is to those who parsed it under this one.
func switchBehindParse(st *stage) {
	one, other := st.switcher(0), st.switcher(0)
	for i := range constants {
		st.with(one.session, func() { one.parse("kept", i, false) })
		for _, s := range []*switcher{one, other} {
			st.with(s.session, func() { s.setPrepared(meaning{i, 1}) })
		}
		st.with(other.session, func() { other.parse("kept", i, false) })
		st.untilCached(other.session, func() { other.use("kept") })
		for range statementReads {
			st.with(one.session, func() { one.use("kept") })
		}
	}
}

// analyseBeforeHit has PostgreSQL look anew at a statement whose next use is answered from
// the cache, and then a setting switched.
func analyseBeforeHit(st *stage) {
	s := st.switcher(0)
	for i := range constants {
		st.with(s.session, func() { s.parse("kept", i, false) })
		use := func() { s.use("kept") }
		st.untilCached(s.session, use)
		st.alter(analyseConstantsSQL)
		st.untilCached(s.session, use)
		st.with(s.session, func() { s.setPrepared(meaning{i, 1}) })
		st.with(s.session, use)
	}
}

// analyseConstantsSQL does what ANALYZE does when it finds the table changed.
const analyseConstantsSQL = "UPDATE pg_class SET reltuples = reltuples + 1 WHERE oid = 'constants'::regclass"

// statementReads is how often a statement is used. The first uses go to PostgreSQL for
// other reasons.
const statementReads = 3

// switchBeforeBind has a session parse what is answered from the cache, switch a setting
// without a Query, and bind.
func switchBeforeBind(st *stage) {
	s := st.switcher(0)
	for i := range constants {
		described := func() { s.parse("", i, true) }
		st.untilCached(s.session, described)
		st.parseAnother(s.session)
		st.untilCached(s.session, described)
		st.with(s.session, func() { s.setPrepared(meaning{i, 1}) })
		st.with(s.session, func() { s.use("") })
	}
}

// parseAnother has PostgreSQL parse another unnamed statement, so that the next one is not
// the one that it has.
func (st *stage) parseAnother(s *session) {
	st.with(s, func() { _, _ = s.obtain(parse("", "SELECT 1")) }) // with sees it fail
}

// alterBeforeBind has a session parse what is answered from the cache, and bind it when
// its columns have become others.
func alterBeforeBind(st *stage) {
	s := st.shaped(0)
	described := func() { s.parse("", true) }
	for _, change := range alterShapes {
		st.untilCached(s.session, described)
		st.parseAnother(s.session)
		st.untilCached(s.session, described)
		st.deafen(0)
		st.alter(change)
		st.with(s.session, func() { s.use("", 0) })
		st.hear(0)
	}
}

// alterBehindDescription has a session execute what PostgreSQL has described to it, when
// another one has loaded rows of other columns, of which the sidecar has not heard.
func alterBehindDescription(st *stage) {
	for i, change := range alterShapes {
		one, other := st.shaped(0), st.shaped(0)
		st.with(one.session, func() { one.parse("kept", true) })
		st.with(other.session, func() { other.parse("kept", false) })
		for _, s := range []*shaped{one, other} {
			st.untilCached(s.session, func() { s.use("kept", i) })
		}
		st.deafen(0)
		st.alter(change)
		for range statementReads {
			st.untilCached(other.session, func() { other.once(i+1, false) })
			st.with(one.session, func() { one.use("kept", i+1) })
		}
		st.hear(0)
	}
}

// alter changes the schema, or what is known of a table, past all sidecars.
func (st *stage) alter(sql string) {
	st.try(func() error { return execute(st.ctx, st.fleet.dsn(), sql) })
}
