package wire

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

func TestWaitForRoomEndsWithAnswersToParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := unconnected(t)
		for range pendingMax {
			s.talk.owe(expect{kind: expectClose})
		}
		waited := make(chan struct{})
		go func() {
			s.expectUnit(expect{kind: expectSync})
			close(waited)
		}()
		synctest.Wait()
		select {
		case <-waited:
			t.Fatal("more is expected than there is room for")
		default:
		}
		// No ReadyForQuery: the Sync that would bring it is what waits.
		s.receive(t, []byte(protocol.CloseComplete))
		<-waited
	})
}

// A connection that is passed through unread, such as one for replication, gets
// every byte as it comes, wherever the reads end.
func TestUnreadConnectionHoldsNothingBack(t *testing.T) {
	t.Parallel()
	s := unconnected(t)
	s.talk.mistrusted = true
	sent := bytes.Repeat(protocol.AppendMessage(nil, 'W', []byte("0123456789")), 50)
	if got := s.pass(t, sent, 7); !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes reached the client", len(got), len(sent))
	}
}

// Who waits for what Postgres owes goes on when it is heard, and no sooner.
func TestWaits(t *testing.T) {
	t.Parallel()
	answers := func(c *conversation) (string, error) { return "", c.awaitAnswers() }
	settled := func(c *conversation) (string, error) {
		ok, err := c.awaitSettled()
		return map[bool]string{true: "settled", false: "not settled"}[ok], err
	}
	opened := func(c *conversation) (string, error) {
		unopened, err := c.awaitOpening()
		return map[bool]string{true: "not opened", false: "opened"}[unopened], err
	}
	for name, c := range map[string]struct {
		wait func(*conversation) (string, error)
		// before is played before the wait, during while it lasts, and last is what
		// ends it.
		before, during, last string
		want                 string
	}{
		"for nothing":                           {wait: answers},
		"for a query":                           {wait: answers, before: "+Q", during: "Cf", last: "ZIf"},
		"for two":                               {wait: answers, before: "+Q +Q", during: "Cf ZIf Cf", last: "ZIf"},
		"for a part":                            {wait: answers, before: "+P +D", during: "1f tf", last: "Tf"},
		"for what is skipped":                   {wait: answers, before: "+P +B +S", during: "Ef", last: "ZIf"},
		"until a question is answered":          {wait: answers, before: "+R", during: "Th Dh Ch", last: "ZIh"},
		"until all is settled":                  {wait: settled, before: "+P.h +D.h", during: "1h th", last: "Th", want: "settled"},
		"until Postgres skips":                  {wait: settled, before: "+P.h +D.h", last: "Ef", want: "not settled"},
		"until Postgres waits for data":         {wait: settled, before: "+B +E", during: "2f", last: "Gf", want: "not settled"},
		"until nobody understands it":           {wait: settled, before: "+B +E", during: "2f", last: "3f", want: "not settled"},
		"until a block has begun":               {wait: opened, before: "+O +Q +S.hn", during: "1h 2h Ch 3h", last: "3h", want: "opened"},
		"until its savepoint stands":            {wait: opened, before: "+O +O +Q +S.hn", during: "1h 2h Ch 3h 3h 1h 2h Ch 3h", last: "3h", want: "opened"},
		"until it has not begun":                {wait: opened, before: "+O +Q +S.hn", during: "1h Ef", last: "ZIf", want: "not opened"},
		"until what begins it is misunderstood": {wait: opened, before: "+O +Q +S.hn", during: "1h", last: "3h", want: "opened"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{conversation: talking(), t: t}
				s.play(c.before)
				var got string
				var err error
				waited := false
				go func() {
					got, err = c.wait(s.conversation)
					waited = true
				}()
				synctest.Wait()
				s.play(c.during)
				synctest.Wait()
				if c.last != "" && waited {
					t.Error("it has not waited")
				}
				s.play(c.last)
				synctest.Wait()
				if !waited || got != c.want || err != nil {
					t.Errorf("waited: %v: %q, %v, want %q", waited, got, err, c.want)
				}
			})
		})
	}
}

// Who waits for what will not be heard any more is let go when the session ends.
func TestWaitsEndWithTheSession(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]func(*conversation) error{
		"answers": (*conversation).awaitAnswers,
		"settled": func(c *conversation) error { _, err := c.awaitSettled(); return err },
		"opening": func(c *conversation) error { _, err := c.awaitOpening(); return err },
		"room": func(c *conversation) error {
			for range pendingMax {
				c.owe(expect{kind: expectClose})
			}
			c.oweUnit(expect{kind: expectSync})
			return errDone
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{conversation: talking(), t: t}
				s.play("+O +Q +S.hn")
				ended := make(chan error, 1)
				go func() { ended <- wait(s.conversation) }()
				synctest.Wait()
				if len(ended) > 0 {
					t.Error("it has not waited")
				}
				s.close()
				if err := <-ended; !errors.Is(err, errDone) {
					t.Errorf("it ends with %v", err)
				}
			})
		})
	}
}
