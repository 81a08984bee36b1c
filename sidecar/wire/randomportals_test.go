package wire

import "strings"

// portalScenes are the scenes of sessions that name their portals, read portals in pieces, and
// send the next unit before the last one is answered.
var portalScenes = []scene{
	{1, (*scenery).change},
	{1, (*scenery).table},
	{3, (*scenery).prepare},
	{2, (*scenery).use},
	{4, (*scenery).portal},
	{4, (*scenery).portalsOfBlock},
	{3, (*scenery).batch},
	{3, (*scenery).pipeline},
	{1, (*scenery).cursor},
}

// portalName returns the name of a portal: mostly the unnamed one, and h is also the name of the
// cursor WITH HOLD that cursor declares.
func (s *scenery) portalName() string { return chosen(s, "", "", "c", "d", "h") }

// limit returns how many rows an Execute asks for; 0 asks for all.
func (s *scenery) limit() uint32 { return chosen[uint32](s, 0, 0, 1, 2, 100) }

// fetched returns the messages that bind a statement to a portal and execute it, maybe with a
// limit, a Describe, a second Execute, a Close or a Flush, and without a Sync.
func (s *scenery) fetched() []byte {
	portal, statement := s.portalName(), s.name()
	messages := [][]byte{binding{portal: portal, statement: statement}.message()}
	if statement != "" && s.random.IntN(3) == 0 { // not of the unnamed statement, whose description may differ: see the list of differences in docs/protocol.md
		messages = append(messages, msgDescribe('P', portal))
	}
	messages = append(messages, msgExecute(portal, s.limit()))
	switch s.random.IntN(6) {
	case 0:
		messages = append(messages, msgExecute(portal, s.limit()))
	case 1, 2:
		messages = append(messages, msgClose('P', portal))
	case 3:
		messages = append(messages, msgFlush)
	}
	return join(messages...)
}

// portal reads portals outside of blocks, where a Sync ends every portal: the last Execute finds
// none.
func (s *scenery) portal() []turn {
	again := s.fetched()
	return ofOne(synced(again), synced(again), synced(s.fetched()), synced(msgExecute(chosen(s, "c", "d"), 0)))
}

// portalsOfBlock opens portals in a transaction and leaves them open, goes on reading them by
// Execute and by FETCH, and binds other portals under the same names.
func (s *scenery) portalsOfBlock() []turn {
	name := s.name()
	turns := ofOne(s.parse(name, s.sql()), used(name), query("BEGIN"))
	if s.random.IntN(3) == 0 { // executes the unnamed portal again that the read before has left open
		turns = append(turns, ofOne(used(name), synced(msgExecute("", 0)))...)
	}
	for range 1 + s.random.IntN(5) {
		turns = append(turns, ofOne(chosen(s,
			synced(s.fetched()), synced(s.fetched()), synced(s.fetched()), used(name),
			synced(msgExecute(chosen(s, "c", "d"), s.limit())), synced(msgDescribe('P', chosen(s, "c", "d"))), synced(msgClose('P', chosen(s, "c", "d"))),
			query("FETCH c"), query("CLOSE d"), query("SAVEPOINT a1"), query("ROLLBACK TO a1"), query("RELEASE a1"),
			query("INSERT INTO public.noted VALUES (1)"), query(s.sql()), synced(once(s.sql())),
		))...)
	}
	return append(turns, ofOne(query(chosen(s, "ROLLBACK", "COMMIT")), synced(s.fetched()))...)
}

// batch sends groups of several reads, some of which may be in the cache.
func (s *scenery) batch() []turn {
	var all [][]byte
	for range 2 + s.random.IntN(4) {
		all = append(all, chosen(s, once(s.sql()), once(s.sql()), join(msgBind("p"), msgExecute("", s.limit())), s.fetched(), msgDescribe('S', "p"),
			join(msgParse("", s.sql()), msgDescribe('S', ""))))
	}
	same := synced(all...)
	return ofOne(same, same, synced(once(s.sql())), same)
}

// pipeline sends several units in one write; some may fail, and some change a setting.
func (s *scenery) pipeline() []turn {
	var sent []byte
	n := 0
	add := func(steps ...step) {
		for _, step := range steps {
			sent, n = append(sent, step.send...), n+1
		}
	}
	for range 2 + s.random.IntN(5) {
		switch s.random.IntN(8) {
		case 0:
			add(s.setter())
		case 1:
			add(query("BEGIN"), used("p"), synced(s.fetched()), query(chosen(s, "COMMIT", "ROLLBACK")))
		case 2:
			add(query(s.sql()))
		case 3:
			add(s.parse(s.name(), s.sql()), used("p"))
		case 4:
			add(synced(s.fetched()))
		default:
			add(synced(once(s.sql())))
		}
	}
	same := step{sent, strings.Repeat("Z", n)}
	return ofOne(same, same)
}

// cursor declares a cursor that outlives its transaction, under a name that portals have too.
func (s *scenery) cursor() []turn {
	return ofOne(query("DECLARE h CURSOR WITH HOLD FOR "+s.sql()), synced(s.fetched()), query("FETCH h"), synced(s.fetched()), query("CLOSE h"))
}
