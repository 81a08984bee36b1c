package wire

import (
	"errors"
	"testing"
)

// Messages of a COPY are sent as they came. While Postgres takes data in, it ignores each Sync before
// their end, and behind an error it skips the data: it owes no answer for either.
func TestCopiedDataAreSent(t *testing.T) {
	t.Parallel()
	const copies = "COPY item FROM STDIN"
	data := msgCopyData("1\ta\n")
	execute := join(msgParse("", copies), msgBind(""), msgExecute("", 0), msgSync)
	begun := func(s *staged) { mustSend(s, s.query(copies, false)); s.hear("G") }
	begunByGroup := func(s *staged) { mustSend(s, s.group(false, execute)); s.hear("1 2 G") }
	send := func(messages ...[]byte) func(*staged) error {
		return func(s *staged) error {
			for _, m := range messages {
				if err := s.forwardCopy(m); err != nil {
					return err
				}
			}
			return nil
		}
	}
	runSendingTests(t, map[string]sendingTest{
		"data behind a Query": {
			given: begun, do: send(data, msgCopyDone), sent: join(data, msgCopyDone), then: "idle, owes",
			says: "CCOPY_1 ZI", shown: "CCOPY_1 ZI", end: "idle, soiled",
		},
		"data whose end has not come": {
			given: begun, do: send(data), sent: data, then: "idle, owes", end: "idle, owes",
		},
		"data that the client gives up": {
			given: begun, do: send(data, msgCopyFail("why")), sent: join(data, msgCopyFail("why")), then: "idle, owes",
			says: "E57014 ZI", shown: "E57014 ZI", end: "idle, soiled",
		},
		"data behind an error": {
			given: func(s *staged) { begun(s); s.hear("E22P04 ZI") },
			do:    send(data, msgCopyDone), sent: join(data, msgCopyDone), then: "idle, soiled", end: "idle, soiled",
		},
		"data before the answer to the Query": {
			given: func(s *staged) { mustSend(s, s.query(copies, false)) },
			do:    send(data, msgCopyDone), sent: join(data, msgCopyDone), then: "idle, owes",
			says: "G CCOPY_1 ZI", shown: "G CCOPY_1 ZI", end: "idle, soiled",
		},
		"data behind a group, whose Sync is ignored": {
			given: begunByGroup,
			do: func(s *staged) error {
				return errors.Join(send(data, msgCopyDone)(s), s.group(true, msgSync))
			},
			sent: join(data, msgCopyDone, msgSync), then: "idle, owes",
			says: "CCOPY_1 ZI", shown: "CCOPY_1 ZI", end: "idle, soiled",
		},
		"data behind a group, with Syncs before and after their end": {
			given: begunByGroup,
			do: func(s *staged) error {
				return errors.Join(s.group(true, msgSync), send(msgCopyDone)(s), s.group(true, msgSync))
			},
			sent: join(msgSync, msgCopyDone, msgSync), then: "idle, owes",
			says: "CCOPY_0 ZI", shown: "CCOPY_0 ZI", end: "idle, soiled",
		},
		"a COPY to the client": {
			do:   func(s *staged) error { return s.query("COPY item TO STDOUT", true) },
			sent: msgQuery("COPY item TO STDOUT"), then: "idle, owes",
			says: "H d d c CCOPY_2 ZI", shown: "H d d c CCOPY_2 ZI", end: "idle",
		},
	})
}
