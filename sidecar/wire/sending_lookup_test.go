package wire

import (
	"testing"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/conversation"
)

// A lookup is a Query of the sidecar's own before a load. The client sees nothing of its answer, and
// the rows in it give the load's capture its tags. If Postgres refuses the lookup, the session hears
// so: a cancel request may have met the lookup instead of the load.
func TestLookupsAreSentBeforeTheirLoads(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		says, shown string
		found       string
		refused     bool
		end         string
	}{
		"a row is found":                     {"T D CSELECT_1 ZI T D CSELECT_1 ZI", "T D CSELECT_1 ZI", "a row", false, "idle"},
		"no row is found":                    {"T CSELECT_0 ZI T D CSELECT_1 ZI", "T D CSELECT_1 ZI", "no row", false, "idle"},
		"the lookup is refused":              {"E42501 ZI T D CSELECT_1 ZI", "T D CSELECT_1 ZI", "no row", true, "idle"},
		"the lookup is refused behind a row": {"T D E57014 ZI T D CSELECT_1 ZI", "T D CSELECT_1 ZI", "no row", true, "idle"},
		"both are refused":                   {"E57014 ZI E57014 ZI", "E57014 ZI", "no row", true, "idle"},
		"the connection ends":                {"F57P01", "F57P01", "", false, "idle, owes, left"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStaged(t)
			s.waits = []string{""}
			verdict := &analysis.Verdict{Cacheable: true}
			slot := s.slotOf("SELECT name FROM item", verdict)
			slot.Lookups.Worth() // counts a first load, for which no lookup would be sent
			c := captureOf(answer.Query)
			s.planQuery([]byte("SELECT name FROM item"), true)
			s.plan.wants[0].capture = c
			s.sendLookup(&request{slot: slot, joins: true}, c)
			mustSend(s, s.forward(msgQuery("SELECT name FROM item"), true))
			sql, _ := verdict.LookupSQL(request{}.params)
			if want := join(msgQuery(sql), msgQuery("SELECT name FROM item")); string(s.sent) != string(want) {
				t.Errorf("Postgres is sent %s, want %s", showSent(s.sent), showSent(want))
			}
			s.hear(test.says)
			if got := s.standing(); got != test.end {
				t.Errorf("in the end the session is %s, want %s", got, test.end)
			}
			if want := saying(test.shown); string(s.shown) != string(want) {
				t.Errorf("the client is shown\n%s\nwant\n%s", show(s.shown), show(want))
			}
			if refused := s.news&conversation.LookupFailed != 0; refused != test.refused {
				t.Errorf("the session heard that the lookup was refused: %v, want %v", refused, test.refused)
			}
			if found := len(c.Tags) > 0; found != (test.found == "a row") {
				t.Errorf("the capture of the load has %d tags, want some only if a row was found, and the lookup found %s", len(c.Tags), test.found)
			}
		})
	}
}
