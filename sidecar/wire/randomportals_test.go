package wire

import "strings"

// portalScenes are played by sessions that name their portals, read them in pieces, and do
// not wait for answers.
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

// portalNames are those of portals; one of a cursor WITH HOLD is among them.
func (s *scenery) portalName() string { return chosen(s, "", "", "c", "d", "h") }

func (s *scenery) limit() uint32 { return chosen[uint32](s, 0, 0, 1, 2, 100) }

// fetched binds a statement to a portal and reads it, with a limit or twice or described or
// closed, without its Sync.
func (s *scenery) fetched() []byte {
	portal, statement := s.portalName(), s.name()
	messages := [][]byte{binding{portal: portal, statement: statement}.message()}
	if statement != "" && s.random.IntN(3) == 0 { // of the unnamed one: see the list of differences
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

// portal reads portals outside of blocks, where each ends with its Sync.
func (s *scenery) portal() []turn {
	again := s.fetched()
	return ofOne(synced(again), synced(again), synced(s.fetched()), synced(msgExecute(chosen(s, "c", "d"), 0)))
}

// portalsOfBlock leaves portals in a transaction, reads them on, fetches from them by SQL, and
// makes others with their names.
func (s *scenery) portalsOfBlock() []turn {
	name := s.name()
	turns := ofOne(s.parse(name, s.sql()), used(name), query("BEGIN"))
	if s.random.IntN(3) == 0 { // the portal without a name, which the read before has left
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

// batch asks for several reads in one group, of which some may be known.
func (s *scenery) batch() []turn {
	var all [][]byte
	for range 2 + s.random.IntN(4) {
		all = append(all, chosen(s, once(s.sql()), once(s.sql()), join(msgBind("p"), msgExecute("", s.limit())), s.fetched(), msgDescribe('S', "p"),
			join(msgParse("", s.sql()), msgDescribe('S', ""))))
	}
	same := synced(all...)
	return ofOne(same, same, synced(once(s.sql())), same)
}

// pipeline sends several units in one write, of which some may fail, and some set.
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

// cursor has a cursor outlive its transaction, with the name of a portal.
func (s *scenery) cursor() []turn {
	return ofOne(query("DECLARE h CURSOR WITH HOLD FOR "+s.sql()), synced(s.fetched()), query("FETCH h"), synced(s.fetched()), query("CLOSE h"))
}
