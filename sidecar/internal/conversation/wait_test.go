package conversation

import (
	"errors"
	"testing"
	"testing/synctest"
)

// Who waits for what Postgres owes goes on when it is heard, and no sooner.
func TestWaits(t *testing.T) {
	t.Parallel()
	answers := func(c *Conversation) (string, error) { return "", c.AwaitAnswers() }
	settled := func(c *Conversation) (string, error) {
		ok, err := c.AwaitSettled()
		return map[bool]string{true: "settled", false: "not settled"}[ok], err
	}
	opened := func(c *Conversation) (string, error) {
		unopened, err := c.AwaitOpening()
		return map[bool]string{true: "not opened", false: "opened"}[unopened], err
	}
	row := func(c *Conversation) (string, error) {
		row, err := c.AwaitRow()
		return string(row), err
	}
	for name, c := range map[string]struct {
		wait func(*Conversation) (string, error)
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
		"for a question's row":                  {wait: row, before: "+R", during: "Th Dh Ch", last: "ZIh", want: "\x00\x00"},
		"for a question that fails":             {wait: row, before: "+R", during: "Eh", last: "ZIh"},
		"for a question behind a notice":        {wait: row, before: "+R", during: "Nh Af Sf Th Dh Ch", last: "ZIh", want: "\x00\x00"},
		"for an answer that nobody understands": {wait: row, before: "+R", during: "Th", last: "1h"},
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
				s := &script{Conversation: talking(), t: t}
				s.play(c.before)
				var got string
				var err error
				waited := false
				go func() {
					got, err = c.wait(s.Conversation)
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
	for name, wait := range map[string]func(*Conversation) error{
		"answers": (*Conversation).AwaitAnswers,
		"a row":   func(c *Conversation) error { c.OweRow(); _, err := c.AwaitRow(); return err },
		"settled": func(c *Conversation) error { _, err := c.AwaitSettled(); return err },
		"opening": func(c *Conversation) error { _, err := c.AwaitOpening(); return err },
		"room": func(c *Conversation) error {
			for range OwedMax {
				c.Owe(Expectation{Kind: Close})
			}
			c.OweUnit(Expectation{Kind: Sync})
			return ErrClosed
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{Conversation: talking(), t: t}
				s.play("+O +Q +S.hn")
				ended := make(chan error, 1)
				go func() { ended <- wait(s.Conversation) }()
				synctest.Wait()
				if len(ended) > 0 {
					t.Error("it has not waited")
				}
				s.Close()
				if err := <-ended; !errors.Is(err, ErrClosed) {
					t.Errorf("it ends with %v", err)
				}
			})
		})
	}
}
