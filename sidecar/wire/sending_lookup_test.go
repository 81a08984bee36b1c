package wire

import (
	"testing"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/conversation"
)

// What a load's lookup finds comes before the load, and goes to nobody but who asked. A lookup
// that was refused is told of: a cancel request may have met it instead of the load.
func TestLookupsAreSentWithTheirLoads(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		says, shown string
		found       string
		refused     bool
		end         string
	}{
		"found":             {"T D CSELECT_1 ZI T D CSELECT_1 ZI", "T D CSELECT_1 ZI", "a row", false, "idle"},
		"nothing found":     {"T CSELECT_0 ZI T D CSELECT_1 ZI", "T D CSELECT_1 ZI", "no row", false, "idle"},
		"refused":           {"E42501 ZI T D CSELECT_1 ZI", "T D CSELECT_1 ZI", "no row", true, "idle"},
		"refused with rows": {"T D E57014 ZI T D CSELECT_1 ZI", "T D CSELECT_1 ZI", "no row", true, "idle"},
		"both refused":      {"E57014 ZI E57014 ZI", "E57014 ZI", "no row", true, "idle"},
		"ended":             {"F57P01", "F57P01", "", false, "idle, owes, left"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStaged(t)
			s.waits = []string{""}
			verdict := &analysis.Verdict{Cacheable: true}
			slot := s.slotOf("SELECT name FROM item", verdict)
			slot.Lookups.Worth() // of the first load it is not
			c := captureOf(answer.Query)
			s.planQuery([]byte("SELECT name FROM item"), true)
			s.plan.wants[0].capture = c
			s.sendLookup(&request{slot: slot, joins: true}, c)
			mustSend(s, s.forward(msgQuery("SELECT name FROM item"), true))
			sql, _ := verdict.LookupSQL(request{}.params)
			if want := join(msgQuery(sql), msgQuery("SELECT name FROM item")); string(s.sent) != string(want) {
				t.Errorf("sent is %s", showSent(s.sent))
			}
			s.hear(test.says)
			if got := s.standing(); got != test.end {
				t.Errorf("in the end %s, want %s", got, test.end)
			}
			if want := saying(test.shown); string(s.shown) != string(want) {
				t.Errorf("the client is shown\n%s", show(s.shown))
			}
			if refused := s.news&conversation.LookupFailed != 0; refused != test.refused {
				t.Errorf("whether it was refused is told as %v", refused)
			}
			if found := len(c.Tags) > 0; found != (test.found == "a row") {
				t.Errorf("the load depends on %d tags", len(c.Tags))
			}
		})
	}
}
