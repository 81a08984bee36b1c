package answer

import (
	"encoding/hex"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/digest"
)

var (
	stateA, stateB         = digest.Of([]byte("state a")), digest.Of([]byte("state b"))
	statementA, statementB = digest.Of([]byte("statement a")), digest.Of([]byte("statement b"))
	oneColumn              = description.New(digest.Of([]byte("one column")), nil, true)
	twoColumns             = description.New(digest.Of([]byte("two columns")), nil, true)
)

// Whoever asks for the same key is sent the same bytes: what makes another answer makes
// another key.
func TestEachPartOfAKeyCounts(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, key := range map[string]Key{
		"rows":                     {State: &stateA, Form: Rows, Statement: &statementA, Told: oneColumn, Bound: []byte("1")},
		"in another state":         {State: &stateB, Form: Rows, Statement: &statementA, Told: oneColumn, Bound: []byte("1")},
		"of another statement":     {State: &stateA, Form: Rows, Statement: &statementB, Told: oneColumn, Bound: []byte("1")},
		"for another value":        {State: &stateA, Form: Rows, Statement: &statementA, Told: oneColumn, Bound: []byte("2")},
		"told otherwise":           {State: &stateA, Form: Rows, Statement: &statementA, Told: twoColumns, Bound: []byte("1")},
		"told nothing":             {State: &stateA, Form: Rows, Statement: &statementA, Bound: []byte("1")},
		"described":                {State: &stateA, Form: Described, Statement: &statementA, Bound: []byte("1")},
		"the description":          {State: &stateA, Form: Description, Statement: &statementA},
		"the first row":            {State: &stateA, Form: RowsLimited, Statement: &statementA, Told: oneColumn, Bound: []byte("1"), Limit: 1},
		"the first two rows":       {State: &stateA, Form: RowsLimited, Statement: &statementA, Told: oneColumn, Bound: []byte("1"), Limit: 2},
		"the first row, described": {State: &stateA, Form: DescribedLimited, Statement: &statementA, Bound: []byte("1"), Limit: 1},
		"a query":                  {State: &stateA, Form: Query, Bound: []byte("SELECT 1")},
		"another query":            {State: &stateA, Form: Query, Bound: []byte("SELECT 2")},
		"a query in another state": {State: &stateB, Form: Query, Bound: []byte("SELECT 1")},
	} {
		bytes := string(key.AppendTo(nil))
		if other, ok := seen[bytes]; ok {
			t.Errorf("%s has the key of %s", name, other)
		}
		seen[bytes] = name
		if key.Form == Query && string(AppendQueryKey(nil, key.State, key.Bound)) != bytes {
			t.Errorf("%s has two keys", name)
		}
		if c := (Capture{Key: []byte(bytes)}); c.Form() != key.Form {
			t.Errorf("%s has the form %c, want %c", name, c.Form(), key.Form)
		}
	}
}

// What tells of its columns itself is the same for whoever was told of them before.
func TestToldCountsForRowsAlone(t *testing.T) {
	t.Parallel()
	for _, form := range []Form{Query, Described, DescribedLimited, Description} {
		one := Key{State: &stateA, Form: form, Statement: &statementA, Told: oneColumn}
		two := Key{State: &stateA, Form: form, Statement: &statementA, Told: twoColumns}
		if string(one.AppendTo(nil)) != string(two.AppendTo(nil)) {
			t.Errorf("what was told is in a key of form %c", form)
		}
	}
}

// Entries in Redis lie under these bytes: in another order, all of them would be lost.
func TestKeysStayTheSame(t *testing.T) {
	t.Parallel()
	key := Key{State: &stateA, Form: RowsLimited, Statement: &statementA, Told: oneColumn, Bound: []byte("bound"), Limit: 7}
	told := oneColumn.Key()
	want := hex.EncodeToString(stateA[:]) + "65" + hex.EncodeToString(statementA[:]) + hex.EncodeToString(told[:]) + hex.EncodeToString([]byte("bound")) + "00000007"
	if got := hex.EncodeToString(key.AppendTo(nil)); got != want {
		t.Errorf("the key is %s, want %s", got, want)
	}
}

func TestKeyAllocatesNothing(t *testing.T) {
	buffer := make([]byte, 0, 256)
	told, bound := oneColumn, []byte("bound")
	if n := testing.AllocsPerRun(100, func() {
		key := Key{State: &stateA, Form: Rows, Statement: &statementA, Told: told, Bound: bound}
		buffer = key.AppendTo(buffer[:0])
	}); n != 0 {
		t.Errorf("a key allocates %v times", n)
	}
}
