package conversation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// TestRandomConversations plays what clients send at random to a model of Postgres that
// knows nothing of conversations: it answers message by message, skips, copies and fails,
// and writes on each answer which message it is of. In between, sending, answering and
// hearing come in any order. The conversation has to make of each answer what becomes of
// that message's, and in the end to have taken back what was skipped, and no more.
func TestRandomConversations(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		p := &play{t: t, seed: seed, talk: talking(), random: rand.New(rand.NewPCG(seed, 12))}
		for range 60 {
			p.step()
		}
		p.finish()
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(p.log, "\n"))
		}
	}
}

// sentMessage is one on its way to Postgres.
type sentMessage struct {
	letter byte
	expect Expectation
	// fate says what becomes of it: skipped, failed, or done.
	fate string
	// copies is set on what asks for data.
	copies bool
	// ended counts its CommandCompletes; ignored is set if Postgres ignored a Sync behind
	// it that may have changed something.
	ended   int
	ignored bool
}

// answerOf is a message of Postgres on its way back.
type answerOf struct {
	letter byte
	body   []byte
	of     *sentMessage // nil: out of nowhere
}

// play is one random conversation.
type play struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand
	talk   *Conversation
	log    []string

	all       []*sentMessage // sent, in order
	underWay  []*sentMessage // not dealt with by Postgres
	answers   []answerOf     // not heard
	postgres  naive
	copyEnds  int  // ends of data that are to be sent
	groupSent bool // a part of a group, whose Sync is to come

	// What was heard since the last ReadyForQuery: messages that were answered, and
	// whether nothing of that is to be kept, or something may have changed.
	group          []*sentMessage
	spoiled, dirty bool
	kept           []*answer.Capture
}

// naive is a model of Postgres: what it does with the next message.
type naive struct {
	skipping bool
	// copying is what asked for data, nil while nothing does.
	copying *sentMessage
}

func (p *play) chance(of int) bool { return p.random.IntN(of) == 0 }

func (p *play) step() {
	switch p.random.IntN(4) {
	case 0:
		p.send()
	case 1, 2:
		p.deal()
	case 3:
		p.hear()
	}
}

// send has the client, or the sidecar, send something.
func (p *play) send() {
	switch {
	case p.copyEnds > 0: // nobody sends anything else meanwhile
		p.copyEnds--
		p.owe('c', Expectation{Kind: CopyEnd})
		return
	case !p.groupSent && p.chance(3):
		m := p.owe('Q', Expectation{Kind: Query, Harmless: p.chance(2), Capture: p.capture()})
		m.copies = p.chance(4)
		if m.copies {
			p.copyEnds = 1
		}
		return
	case !p.groupSent && p.chance(8):
		p.owe('Q', Expectation{Kind: Query, Hidden: true, Harmless: true})
		return
	}
	p.groupSent = true
	switch p.random.IntN(8) {
	case 0:
		p.owe('P', Expectation{Kind: Parse, Prepared: &statements.Prepared{}, Change: &statements.Change{Name: fmt.Sprint(len(p.all))}})
	case 1:
		p.owe('P', Expectation{Kind: Parse, Hidden: true, Prepared: &statements.Prepared{}, Change: &statements.Change{Name: fmt.Sprint(len(p.all))}})
	case 2:
		p.owe('B', Expectation{Kind: Bind})
	case 3:
		p.owe('D', Expectation{Kind: Describe, Statement: p.chance(2)})
	case 4, 5:
		m := p.owe('E', Expectation{Kind: Execute, Capture: p.capture()})
		if m.copies = p.chance(5); m.copies {
			for range p.random.IntN(3) {
				p.owe('S', Expectation{Kind: Sync, Harmless: p.chance(2)}) // ignored, unless it fails before
			}
			p.copyEnds = 1
		}
	case 6:
		p.owe('C', Expectation{Kind: Close, Change: &statements.Change{Name: fmt.Sprint(len(p.all))}})
	case 7:
		p.owe('S', Expectation{Kind: Sync, Harmless: p.chance(2)})
		p.groupSent = false
	}
}

func (p *play) capture() *answer.Capture {
	if p.chance(2) {
		return nil
	}
	return &answer.Capture{SizeMax: 1 << 20}
}

func (p *play) owe(letter byte, e Expectation) *sentMessage {
	m := &sentMessage{letter: letter, expect: e}
	p.log = append(p.log, fmt.Sprintf("sent     %c hidden=%v harmless=%v %v", letter, e.Hidden, e.Harmless, len(p.all)))
	p.all = append(p.all, m)
	p.underWay = append(p.underWay, m)
	if e.endsUnit() {
		p.talk.OweUnit(e)
	} else {
		p.talk.Owe(e)
	}
	return m
}

// deal has Postgres deal with the next message.
func (p *play) deal() {
	if p.chance(12) {
		p.answer(nil, []byte("SA")[p.random.IntN(2)])
	}
	if len(p.underWay) == 0 {
		return
	}
	m := p.underWay[0]
	p.underWay = p.underWay[1:]
	n := &p.postgres
	m.fate = "done"
	switch {
	case n.copying != nil && m.letter == 'S':
		m.fate = "ignored"
		n.copying.ignored = n.copying.ignored || !m.expect.Harmless
	case n.copying != nil: // the end of the data
		of := n.copying
		n.copying = nil
		if p.chance(3) {
			p.fail(of)
			return
		}
		p.answer(of, 'C')
		p.ready(of)
	case m.letter == 'c':
		m.fate = "ignored"
	case n.skipping && m.letter != 'S':
		m.fate = "skipped"
	case m.letter == 'S':
		n.skipping = false
		if p.chance(10) {
			p.answer(m, 'E') // the commit fails
		}
		p.ready(m)
	case p.chance(6):
		p.fail(m)
	default:
		p.answerTo(m)
	}
}

// answerTo has Postgres do what a message asks for.
func (p *play) answerTo(m *sentMessage) {
	if p.chance(8) {
		p.answer(m, 'N')
	}
	switch m.letter {
	case 'P':
		p.answer(m, '1')
	case 'B':
		p.answer(m, '2')
	case 'C':
		p.answer(m, '3')
	case 'D':
		if m.expect.Statement {
			p.answer(m, 't')
		}
		p.answer(m, []byte("Tn")[p.random.IntN(2)])
	case 'E', 'Q':
		if m.copies {
			p.answer(m, 'G')
			p.postgres.copying = m
			return
		}
		p.answerRows(m)
		p.ready(m)
	}
}

func (p *play) answerRows(m *sentMessage) {
	statements := 1
	if m.letter == 'Q' {
		statements += p.random.IntN(2)
	}
	for range statements {
		if m.letter == 'Q' {
			p.answer(m, 'T')
		}
		for range p.random.IntN(3) {
			p.answer(m, 'D')
		}
		p.answer(m, 'C')
	}
}

// fail has a message fail.
func (p *play) fail(m *sentMessage) {
	m.fate = "failed"
	p.answer(m, 'E')
	p.postgres.skipping = m.letter != 'Q'
	p.ready(m)
}

// ready ends a unit.
func (p *play) ready(m *sentMessage) {
	if m.letter == 'S' || m.letter == 'Q' {
		p.answer(m, 'Z')
	}
}

func (p *play) answer(m *sentMessage, letter byte) {
	_, body := said(letter)
	p.answers = append(p.answers, answerOf{letter, body, m})
}

// hear has the next answer reach the conversation.
func (p *play) hear() {
	if len(p.answers) == 0 {
		return
	}
	a := p.answers[0]
	p.answers = p.answers[1:]
	p.log = append(p.log, fmt.Sprintf("heard    %c of %v", a.letter, slices.Index(p.all, a.of)))
	h := p.talk.hear(a.letter, a.body)
	want := "f"
	if a.of != nil && a.of.expect.Hidden && (a.letter != 'E' && a.letter != 'N' || a.of.letter == 'Q') {
		want = "h"
	}
	if h.becomes() != want || p.talk.mistrusted {
		p.t.Errorf("%c of %v becomes %s, want %s; mistrusted: %v", a.letter, slices.Index(p.all, a.of), h.becomes(), want, p.talk.mistrusted)
	}
	if a.of != nil && a.letter == 'D' && h.Capture != a.of.expect.Capture {
		p.t.Errorf("a row of %v is captured elsewhere", slices.Index(p.all, a.of))
	}
	p.kept = p.kept[:0]
	if h.News&Captured != 0 {
		for _, c := range p.talk.captured {
			if c.Whole() {
				p.kept = append(p.kept, c)
			}
		}
		clear(p.talk.captured)
	}
	p.compareGroup(a)
}

// compareGroup compares what the conversation has made of a group with what was heard.
func (p *play) compareGroup(a answerOf) {
	switch a.letter {
	case 'N', 'E', 'S':
		p.spoiled = true
		p.dirty = p.dirty || a.letter == 'S'
	case 'C':
		a.of.ended++
	}
	if a.of != nil && !slices.Contains(p.group, a.of) {
		p.group = append(p.group, a.of)
	}
	if a.letter != 'Z' {
		return
	}
	var keep []*answer.Capture
	p.dirty = p.dirty || !a.of.expect.Harmless
	for _, m := range p.group {
		p.dirty = p.dirty || m.ignored
		if m.expect.Capture != nil && m.ended == 1 && !m.copies && !p.spoiled {
			keep = append(keep, m.expect.Capture)
		}
	}
	if !slices.Equal(p.kept, keep) {
		p.t.Errorf("%d answers are kept of this group, want %d", len(p.kept), len(keep))
	}
	if p.talk.dirty != p.dirty {
		p.t.Errorf("something may have changed: %v, want %v", p.talk.dirty, p.dirty)
	}
	p.talk.BeginProbe()
	p.group, p.spoiled, p.dirty = nil, false, false
}

// finish ends everything that is under way, and compares what is left.
func (p *play) finish() {
	for p.copyEnds > 0 {
		p.send()
	}
	p.groupSent = false
	p.owe('S', Expectation{Kind: Sync})
	for len(p.underWay) > 0 {
		p.deal()
	}
	for len(p.answers) > 0 && !p.t.Failed() {
		p.hear()
	}
	if p.talk.Owed() || p.talk.skipping || p.talk.copying {
		p.t.Errorf("all is answered, and %d are owed; skipping: %v, copying: %v", p.talk.pending.len(), p.talk.skipping, p.talk.copying)
	}
	var undone, skipped []string
	for _, c := range p.talk.TakeUndone() {
		undone = append(undone, c.Name)
	}
	for _, m := range p.all {
		if m.expect.Change != nil && (m.fate == "skipped" || m.fate == "failed") {
			skipped = append(skipped, m.expect.Change.Name)
		}
		if m.letter == 'P' && m.expect.Prepared.Accepted.Load() != (m.fate == "done") {
			p.t.Errorf("Parse %s is %s, and accepted: %v", m.expect.Change.Name, m.fate, !(m.fate == "done"))
		}
	}
	slices.Sort(undone)
	slices.Sort(skipped)
	if !slices.Equal(undone, skipped) {
		p.t.Errorf("taken back are %v, want %v", undone, skipped)
	}
}
