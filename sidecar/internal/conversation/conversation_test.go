package conversation

import (
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// talking is a conversation of a connection on which nothing was said yet.
func talking() *Conversation {
	c := New()
	c.Begin(protocol.StatusIdle)
	return c
}

// hear has a conversation hear one message of Postgres.
func (c *Conversation) hear(kind byte, body []byte) Heard {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.HearLocked(kind, body)
}

// bodies are those of messages of Postgres that have to be understood, by their letters.
// F stands for an error that ends the connection.
var bodies = map[byte][]byte{
	'Z': {protocol.StatusIdle}, 'C': []byte("SELECT 1\x00"), 'T': {0, 0}, 't': {0, 0}, 'D': {0, 0},
	'E': []byte("SERROR\x00VERROR\x00C22012\x00Mno\x00\x00"), 'F': []byte("SFATAL\x00VFATAL\x00C57P01\x00Mno\x00\x00"),
}

// said is the message of Postgres that a letter stands for.
func said(letter byte) (kind byte, body []byte) {
	body = slices.Clone(bodies[letter])
	if letter == 'F' {
		return 'E', body
	}
	return letter, body
}

// becomes tells what became of a message: f it is forwarded, h hidden, r replaced.
func (h Heard) becomes() string { return "fhr"[h.Action : h.Action+1] }

// Every message that Postgres can send, whatever is due. A cell tells what becomes of it,
// as a capital letter if it also ends what was due; ! is a message that nobody
// understands.
func TestEveryMessageWhateverIsDue(t *testing.T) {
	t.Parallel()
	const messages = "123tTnDCIsGWHdcVZNASEF~"
	for name, row := range map[string]struct {
		due   Expectation
		cells string // by messages
	}{
		"Parse":               {Expectation{Kind: Parse}, "F!!ffff!!!ffffff!fffFf!"},
		"Bind":                {Expectation{Kind: Bind}, "!F!ffff!!!ffffff!fffFf!"},
		"Describe, statement": {Expectation{Kind: Describe, Statement: true}, "!!!fFFf!!!ffffff!fffFf!"},
		"Describe, portal":    {Expectation{Kind: Describe}, "!!!fFFf!!!ffffff!fffFf!"},
		"Execute":             {Expectation{Kind: Execute}, "!!!ffffFFFffffff!fffFf!"},
		"Close":               {Expectation{Kind: Close}, "!!Fffff!!!ffffff!fffFf!"},
		"Sync":                {Expectation{Kind: Sync}, "!!!ffff!!!ffffffFfffff!"},
		"Query":               {Expectation{Kind: Query}, "!!!fffffffffffffFfffff!"},
		"hidden Parse":        {Expectation{Kind: Parse, Hidden: true}, "H!!hhhh!!!hhhhhh!fffFf!"},
		"quiet Parse":         {Expectation{Kind: Parse, Hidden: true, Quiet: true}, "H!!hhhh!!!hhhhhh!hffHf!"},
		"hidden Describe":     {Expectation{Kind: Describe, Hidden: true, Statement: true}, "!!!hHHh!!!hhhhhh!fffFf!"},
		"hidden Close":        {Expectation{Kind: Close, Hidden: true}, "!!Hhhhh!!!hhhhhh!fffFf!"},
		"hidden Sync":         {Expectation{Kind: Sync, Hidden: true}, "!!!hhhh!!!hhhhhhHfffff!"},
		"question":            {question, "!!!hhhhhhhhhhhhhHhffhf!"},
		"refused Bind":        {Expectation{Kind: Bind, Instead: []byte("instead")}, "!F!ffff!!!ffffff!fffRf!"},
		"opening Parse":       {Expectation{Kind: Parse, Hidden: true, opens: true}, "H!!!!!!!!!!!!!!!!fffFf!"},
		"opening Bind":        {Expectation{Kind: Bind, Hidden: true, opens: true}, "!H!!!!!!!!!!!!!!!fffFf!"},
		"opening Execute":     {Expectation{Kind: Execute, Hidden: true, opens: true}, "!!!!!!hH!!!!!!!!!fffFf!"},
		"opening Close":       {Expectation{Kind: Close, Hidden: true, opens: true}, "!!H!!!!!!!!!!!!!!fffFf!"},
		"nothing":             {Expectation{Kind: CopyEnd}, "!!!!!!!!!!!!!!!!!FFFFF!"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var cells strings.Builder
			for _, letter := range []byte(messages) {
				c := talking()
				e := row.due
				if e.Kind == Parse {
					e.Prepared, e.Change = &statements.Prepared{}, &statements.Change{Name: "a"}
				}
				c.Owe(e)
				h := c.hear(said(letter))
				cell := h.becomes()
				switch {
				case c.mistrusted:
					cell = "!"
				case !c.Owed():
					cell = strings.ToUpper(cell)
				}
				cells.WriteString(cell)
			}
			if cells.String() != row.cells {
				t.Errorf("of\n%s\nbecomes\n%s, want\n%s", messages, cells.String(), row.cells)
			}
		})
	}
}

// script plays a conversation. Its words are what is sent, + and a letter of the
// protocol:
//
//	P B E C S Q   Parse, Bind, Execute, Close, Sync, Query
//	D d           Describe of a statement, of a portal
//	c             the end of copied data
//	O             what begins a block; R a question of the sidecar's own, l one along with a load
//	_             the group goes on: this was a part of it
//
// with letters behind a dot for what is known of it: h hidden, q quiet, n harmless, k its
// answer is captured, b in a block whose BEGIN is held back, r refused; and what Postgres
// says, by its letter, for ReadyForQuery with the status, and what becomes of it, such as
// 1f or ZTf (see becomes). X is the end of a DEALLOCATE, L that of a LOAD.
type script struct {
	*Conversation
	t    *testing.T
	sent byte // the last name given, from a on
	// ended are the captures that have ended: k kept, s spoiled.
	ended string
	seen  string // the statuses that the client was told of
	found string // what was told of questions that went along: + a row, - none
}

func (s *script) play(words string) {
	for _, word := range strings.Fields(words) {
		if word[0] == '+' {
			kind, known, _ := strings.Cut(word[1:], ".")
			s.send(kind[0], known)
			continue
		}
		s.say(word)
	}
}

func (s *script) send(letter byte, known string) {
	e := Expectation{Hidden: strings.Contains(known, "h"), Quiet: strings.Contains(known, "q"), Harmless: strings.Contains(known, "n"), InBlock: strings.Contains(known, "b")}
	if strings.Contains(known, "k") {
		e.Capture = &answer.Capture{SizeMax: 1 << 10}
	}
	if strings.Contains(known, "r") {
		e.Instead = []byte("instead")
	}
	switch letter {
	case '_':
		s.LeaveOpen(e.Harmless, !e.Harmless)
		return
	case 'O':
		s.BeginOpening()
		s.OweOpening()
		return
	case 'R':
		s.OweRow()
		return
	case 'l':
		s.OweLookup(func(row []byte) {
			if row == nil {
				s.found += "-"
				return
			}
			s.found += "+"
		})
		return
	case 'S', 'Q':
		e.Kind = map[byte]Kind{'S': Sync, 'Q': Query}[letter]
		s.OweUnit(e)
		return
	}
	e.Kind = map[byte]Kind{
		'P': Parse, 'B': Bind, 'D': Describe, 'd': Describe, 'E': Execute, 'C': Close, 'c': CopyEnd,
	}[letter]
	e.Statement = letter == 'D'
	if letter == 'P' || letter == 'C' {
		e.Change = &statements.Change{Name: string('a' + s.sent)}
		s.sent++
	}
	if letter == 'P' {
		e.Prepared = &statements.Prepared{}
	}
	s.Owe(e)
}

func (s *script) say(word string) {
	letter, want := word[0], word[len(word)-1:]
	kind, body := said(letter)
	switch letter {
	case 'Z':
		body = []byte{word[1]}
	case 'X':
		kind, body = 'C', []byte("DEALLOCATE\x00")
	case 'L':
		kind, body = 'C', []byte("LOAD\x00")
	}
	h := s.hear(kind, body)
	if h.becomes() != want {
		s.t.Errorf("%s: it becomes %s", word, h.becomes())
	}
	if kind == 'Z' && h.Action == Forward {
		s.seen += string(body)
	}
	if h.News&Captured != 0 {
		for _, c := range s.captured {
			if c.Whole() {
				s.ended += "k"
			} else {
				s.ended += "s"
			}
		}
		clear(s.captured)
	}
	s.mu.Lock()
	s.UnmarkedLocked()
	s.MarkedLocked()
	s.MakeRoomLocked()
	s.mu.Unlock()
}

// stands tells how things stand, in words.
func (s *script) stands() string {
	var words []string
	say := func(is bool, word string) {
		if is {
			words = append(words, word)
		}
	}
	say(s.pending.len() > 0, "owed")
	say(s.skipping, "skipping")
	say(s.copying, "copying")
	say(s.mistrusted, "mistrusted")
	say(s.dirty, "dirty")
	say(s.shownBy != 0, "shown")
	say(!s.written.Nothing(), "written")
	say(s.beginning, "beginning")
	say(s.unopened, "unopened")
	say(s.blockHeld, "held")
	say(s.blockFailed, "failed")
	say(s.left.Load(), "left")
	say(s.namesDoubtful.Load(), "doubtful")
	say(s.loaded.Load(), "loaded")
	say(s.ended != "", "captures:"+s.ended)
	say(s.seen != "", "ready:"+s.seen)
	undone := ""
	for _, c := range s.TakeUndone() {
		undone += c.Name
	}
	say(undone != "", "undone:"+undone)
	return strings.Join(words, " ")
}

func TestConversations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ script, stands string }{
		// Simple queries.
		"a query":                         {"+Q Tf Df Cf ZIf", "dirty shown ready:I"},
		"a read":                          {"+Q.n Tf Df Cf ZIf", "shown ready:I"},
		"several statements":              {"+Q Tf Df Cf Cf Tf Cf ZIf", "dirty shown ready:I"},
		"an empty query":                  {"+Q If ZIf", "dirty shown ready:I"},
		"a query that fails":              {"+Q Tf Df Ef ZIf", "dirty shown ready:I"},
		"queries in a row":                {"+Q +Q +Q Cf ZIf Cf ZIf", "owed dirty shown ready:II"},
		"one fails, the next is answered": {"+Q +Q Ef ZIf Cf ZIf", "dirty shown ready:II"},
		"a transaction":                   {"+Q Cf ZTf", "dirty shown written ready:T"},
		"a transaction that fails":        {"+Q Cf ZTf +Q Ef ZEf", "dirty shown written ready:TE"},
		"a transaction that ends":         {"+Q Cf ZTf +Q Cf ZIf", "dirty shown ready:TI"},
		"a function call":                 {"+Q Vf ZIf", "dirty shown ready:I"},
		"a statement was deallocated":     {"+Q Xf ZIf", "dirty shown doubtful ready:I"},
		"a library was loaded":            {"+Q Lf ZIf", "dirty shown loaded ready:I"},

		// Groups.
		"a group":                       {"+P +B +d +E +S 1f 2f Tf Df Cf ZIf", "dirty shown ready:I"},
		"a read in a group":             {"+P +B +d +E +S.n 1f 2f Tf Df Cf ZIf", "shown ready:I"},
		"a description":                 {"+P +D +S.n 1f tf Tf ZIf", "shown ready:I"},
		"no description":                {"+P +D +S.n 1f tf nf ZIf", "shown ready:I"},
		"a portal is left suspended":    {"+B +E +E +S 2f Df sf Df Cf ZIf", "dirty shown ready:I"},
		"a Close":                       {"+C +S.n 3f ZIf", "shown ready:I"},
		"a Sync alone":                  {"+S.n ZIf", "shown ready:I"},
		"groups in a row":               {"+P +B +E +S +B +E +S 1f 2f Cf ZIf 2f Cf ZIf", "dirty shown ready:II"},
		"within a transaction":          {"+B +E +S 2f Cf ZTf +B +E +S 2f Cf ZTf", "dirty shown written ready:TT"},
		"part of the answers":           {"+P +B +E +S 1f 2f", "owed"},
		"a wrong order of the answers":  {"+P +B +E +S 2f", "owed mistrusted written"},
		"an answer that nobody expects": {"Cf", "mistrusted written"},
		"an unknown message":            {"+Q Cf ~f", "owed mistrusted written"},

		// Errors, and what Postgres skips.
		"a Parse fails":                        {"+P +B +E +S Ef ZIf", "dirty shown ready:I undone:a"},
		"a Bind fails":                         {"+P +B +E +S 1f Ef ZIf", "dirty shown ready:I"},
		"an Execute fails":                     {"+P +B +E +P +S 1f 2f Df Ef ZIf", "dirty shown ready:I undone:b"},
		"a Describe fails":                     {"+D +P +S Ef ZIf", "dirty shown ready:I undone:a"},
		"a Close is skipped":                   {"+B +C +P +S Ef ZIf", "dirty shown ready:I undone:ab"},
		"the commit fails":                     {"+B +E +S 2f Cf Ef ZIf", "dirty shown ready:I"},
		"the next group is not skipped":        {"+B +P +S +P +S Ef ZIf 1f ZIf", "dirty shown ready:II undone:a"},
		"the Sync is sent later":               {"+B Ef +P +C +S ZIf", "dirty shown ready:I undone:ab"},
		"the Sync is not sent":                 {"+B +P Ef +P", "skipping written undone:ab"},
		"a query is skipped":                   {"+B Ef +Q +S ZIf", "dirty shown ready:I"},
		"a query is skipped that was sent":     {"+B +Q +S Ef ZIf", "dirty shown ready:I"},
		"a query skipped has no answer":        {"+B Ef +Q +Q", "skipping written"},
		"behind the Sync all is answered":      {"+B Ef +S +P +S ZIf 1f ZIf", "dirty shown ready:II"},
		"two groups fail":                      {"+P +S +P +S Ef ZIf Ef ZIf", "dirty shown ready:II undone:ab"},
		"in a transaction":                     {"+B +E +S Ef ZEf", "dirty shown written ready:E"},
		"the connection ends":                  {"+B +E +S Ff", "owed written left"},
		"the connection ends, nothing is owed": {"Ff", "written left"},
		"a notice":                             {"+Q Nf Cf ZIf", "dirty shown ready:I"},
		"a notice out of nowhere":              {"Nf", ""},
		"a notification":                       {"Af +Q.n Af Cf ZIf Af", "shown ready:I"},
		"a setting changes":                    {"+Q.n Sf Cf ZIf", "dirty shown ready:I"},
		"a setting changes while idle":         {"Sf", "dirty"},

		// Flush: a part of a group is answered.
		"a part":                           {"+P +D +_.n 1f tf Tf", ""},
		"a part, and the rest":             {"+P +D +_.n 1f tf Tf +B +E +S.n 2f Cf ZIf", "shown ready:I"},
		"a part that executes":             {"+B +E +_ 2f Cf +S.n ZIf", "dirty shown ready:I"},
		"a part that executes, two Syncs":  {"+B +E +_ 2f Cf +S.n ZIf +S.n ZIf", "dirty shown ready:II"},
		"a part fails":                     {"+P +_.n Ef +B +E +_.n +S.n ZIf", "shown ready:I undone:a"},
		"a part fails, a query behind it":  {"+P +_.n Ef +Q.n +S ZIf", "dirty shown ready:I undone:a"},
		"parts in a row":                   {"+P +_.n +B +_.n +E +_.n 1f 2f Cf +S.n ZIf", "shown ready:I"},
		"what is left of it is a question": {"+P +_.n 1f +S.n ZIf +R Th Dh Ch ZIh", "shown ready:I"},

		// Data are copied.
		"out":                                    {"+Q Hf df df cf Cf ZIf", "dirty shown ready:I"},
		"out, in a group":                        {"+B +E +S 2f Hf df cf Cf ZIf", "dirty shown ready:I"},
		"in":                                     {"+Q Gf +c Cf ZIf", "dirty shown ready:I"},
		"in, in a group":                         {"+B +E 2f Gf +c +S Cf ZIf", "dirty shown ready:I"},
		"in, waits for data":                     {"+Q Gf", "owed copying"},
		"in, a Sync is ignored":                  {"+B +E +S 2f Gf +c +S Cf ZIf", "dirty shown ready:I"},
		"in, two are":                            {"+B +E +S +S 2f Gf +c +S.n Cf ZIf", "dirty shown ready:I"},
		"in, a harmless one is":                  {"+B +E +S.n 2f Gf +c +S.n Cf ZIf", "shown ready:I"},
		"in, a Sync while it copies":             {"+B +E 2f Gf +S +S.n +c +S.n Cf ZIf", "dirty shown ready:I"},
		"in, all is sent before":                 {"+B +E +S +c +S.n 2f Gf Cf ZIf", "dirty shown ready:I"},
		"in, all is sent before, and more":       {"+B +E +S +c +S +B +E +S 2f Gf Cf ZIf 2f Cf ZIf", "dirty shown ready:II"},
		"in, fails":                              {"+Q Gf +c Ef ZIf", "dirty shown ready:I"},
		"in, fails before the end of the data":   {"+Q Gf Ef ZIf +c", "dirty shown ready:I"},
		"in, in a group, fails":                  {"+B +E 2f Gf Ef +c +S ZIf", "dirty shown ready:I"},
		"in, in a group, fails, Sync was sent":   {"+B +E +S 2f Gf +c +S Ef ZIf", "dirty shown ready:I"},
		"in, in a group, fails, Sync is to come": {"+B +E 2f Gf Ef +c", "skipping written"},
		"in, twice":                              {"+Q Gf +c Cf Gf +c Cf ZIf", "dirty shown ready:I"},
		"data that nobody asked for":             {"+c", ""},
		"data that nobody asked for, in a row":   {"+Q +c +Q +c +c +Q Cf ZIf Cf ZIf Cf ZIf", "dirty shown ready:III"},
		"data behind an error":                   {"+B Ef +c +S ZIf", "dirty shown ready:I"},
		"in both directions":                     {"+Q Wf df +c cf Cf ZIf", "dirty shown ready:I"},

		// What the sidecar asks in its own name.
		"a question":                     {"+R Th Dh Ch ZIh", ""},
		"a question that fails":          {"+R Eh ZIh", ""},
		"a question, and a notice":       {"+R Nh Th Dh Ch ZIh", ""},
		"a question, and a notification": {"+R Th Af Dh Ch ZIh", ""},
		"a question, and a setting":      {"+R Th Dh Sf Ch ZIh", "dirty"},
		"a question is cancelled":        {"+R Th Eh ZIh +Q Cf ZIf", "dirty shown ready:I"},
		"a question, and the end":        {"+R Ff", "owed left"},
		"a Sync of the sidecar's":        {"+S.hn ZIh", ""},
		"SET of the sidecar's":           {"+Q.hn Ch ZIh", ""},
		"a query of the sidecar's fails": {"+Q.hn Eh ZIh", ""},
		"a Parse that was held back":     {"+P.h +B +E +S.n 1h 2f Cf ZIf", "shown ready:I"},
		"it fails for the client":        {"+P.h +B +E +S.n Ef ZIf", "shown ready:I undone:a"},
		"in a group of its own":          {"+P.hq +S.hn 1h ZIh", ""},
		"there it fails unseen":          {"+P.hq +S.hn Eh ZIh", "undone:a"},
		"a Describe of the sidecar's":    {"+P +D.h +B +E +S.n 1f th Th 2f Cf ZIf", "shown ready:I"},
		"a Close of the sidecar's":       {"+C.h +B +E +S.n 3h 2f Cf ZIf", "shown ready:I"},
		"a Bind that is refused":         {"+B.r +E +S.n Er ZIf", "shown ready:I"},
		"a Bind that is to be refused":   {"+B.r +E +S.n 2f Cf ZIf", "shown ready:I"},

		// Answers are captured.
		"a query's":                            {"+Q.nk Tf Df Cf ZIf", "captures:k ready:I"},
		"a group's":                            {"+P +B +d.k +E.k +S.n 1f 2f Tf Df Cf ZIf", "captures:k ready:I"},
		"a description's":                      {"+D.k +S.n tf Tf ZIf", "captures:k ready:I"},
		"two of a group":                       {"+B +E.k +B +E.k +S.n 2f Cf 2f Cf ZIf", "captures:kk ready:I"},
		"of a portal left suspended":           {"+B +E.k +S.n 2f Df sf ZIf", "captures:k ready:I"},
		"of an empty query":                    {"+Q.nk If ZIf", "captures:s ready:I"},
		"of several statements":                {"+Q.nk Tf Cf Tf Cf ZIf", "captures:s ready:I"},
		"of one that fails":                    {"+Q.nk Tf Df Ef ZIf", "captures:s ready:I"},
		"of one before another that fails":     {"+B +E.k +B +E.k +S.n 2f Cf Ef ZIf", "captures:s ready:I"},
		"a notice came with it":                {"+Q.nk Nf Tf Df Cf ZIf", "captures:s ready:I"},
		"a setting changed":                    {"+Q.nk Tf Sf Df Cf ZIf", "dirty captures:s ready:I"},
		"a notification came with it":          {"+Q.nk Tf Af Df Cf ZIf", "captures:k ready:I"},
		"in a transaction that has read":       {"+Q.nk Tf Df Cf ZTf", "captures:k ready:T"},
		"in one that may have done more":       {"+Q Cf ZTf +Q.nk Tf Df Cf ZTf", "dirty shown written captures:s ready:TT"},
		"copied":                               {"+Q.nk Hf df cf Cf ZIf", "captures:s ready:I"},
		"of a function call":                   {"+Q.nk Vf ZIf", "captures:s ready:I"},
		"of a message that nobody knows":       {"+Q.nk ~f", "owed mistrusted written"},
		"the next one is not spoiled":          {"+Q.nk Nf Cf ZIf +Q.nk Cf ZIf", "captures:sk ready:II"},
		"skipped":                              {"+B +E.k +B +E.k +S.n Ef ZIf", "shown ready:I"},
		"of a part of a group that may change": {"+B +_ +E.k +S.n 2f Cf ZIf", "dirty captures:k ready:I"},

		// A block whose BEGIN is held back.
		"a read in it":                  {"+Q.nkb Tf Df Cf ZIf", "captures:k ready:T"},
		"it fails in it":                {"+Q.nb Ef ZIf", "shown failed ready:E"},
		"a statement is prepared in it": {"+P +S.nb 1f ZIf", "shown ready:T"},

		// And the BEGIN is sent with the first statement that has to run in it.
		"the block begins":                    {"+O +Q +S.hn 1h 2h Ch 3h 3h Cf ZTf ZTh", "dirty shown written ready:T"},
		"with a group":                        {"+O +P +B +E +S 1h 2h Ch 3h 3h 1f 2f Cf ZTf", "dirty shown written ready:T"},
		"with savepoints":                     {"+O +O +Q +S.hn 1h 2h Ch 3h 3h 1h 2h Ch 3h 3h Cf ZTf ZTh", "dirty shown written ready:T"},
		"it has begun, the statement has not": {"+O +Q +S.hn 1h 2h Ch 3h 3h", "owed"},
		"the answers are under way":           {"+O +Q +S.hn 1h 2h Ch 3h", "owed beginning"},
		"a row of what begins it":             {"+O +Q +S.hn 1h 2h Dh Ch 3h 3h Cf ZTf ZTh", "dirty shown written ready:T"},
		"it fails at its Parse":               {"+O +Q +S.hn Ef ZIf", "shown unopened held failed ready:E"},
		"it fails at its Bind":                {"+O +Q +S.hn 1h Ef ZIf", "shown unopened held failed ready:E"},
		"a cancel meets it":                   {"+O +Q +S.hn 1h 2h Ef ZIf", "shown unopened held failed ready:E"},
		"a cancel meets the BEGIN of a group": {"+O +P +B +E +S 1h 2h Ef ZIf", "dirty shown unopened held failed ready:E undone:a"},
		"a cancel meets a savepoint":          {"+O +O +Q +S.hn 1h 2h Ch 3h 3h 1h 2h Ef ZEf", "shown unopened held failed ready:E"},
		"a cancel meets the statement":        {"+O +Q +S.hn 1h 2h Ch 3h 3h Ef ZEf ZEh", "dirty shown written ready:E"},
		"a cancel comes too late":             {"+O +Q +S.hn 1h 2h Ch 3h 3h Cf ZTf ZTh +Q Ef ZEf", "dirty shown written ready:TE"},
		"it is answered as nobody expects":    {"+O +Q +S.hn Ch", "owed mistrusted written beginning"},
		"a notice comes with it":              {"+O +Q +S.hn 1h 2h Nf Ch 3h 3h Cf ZTf ZTh", "dirty shown written ready:T"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{Conversation: talking(), t: t}
			s.play(c.script)
			if got := s.stands(); got != c.stands {
				t.Errorf("%s\nstands: %s\nwant:   %s", c.script, got, c.stands)
			}
		})
	}
}
