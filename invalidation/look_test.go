package invalidation

import (
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/freshet/freshet/cache/fence"
)

// arrayOf is an array of texts in Postgres' binary format, by its hexadecimal digits.
func arrayOf(t *testing.T, digits string) []byte {
	t.Helper()
	array, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return array
}

func TestReadTexts(t *testing.T) {
	t.Parallel()
	for digits, want := range map[string][]string{
		"000000000000000000000019":                                                           nil, // {}
		"0000000100000000000000190000000100000001" + "00000001" + "61":                       {"a"},
		"0000000100000000000000190000000200000001" + "00000000" + "00000003" + "612f62":      {"", "a/b"},
		"0000000100000000000000190000000200000005" + "00000002" + "c3a9" + "00000001" + "78": {"é", "x"}, // [5:6]
	} {
		if got, err := readTexts(arrayOf(t, digits)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q (%v), want %q", digits, got, err, want)
		}
	}
	for digits, why := range map[string]string{
		"":                                 "nothing",
		"0000000000000000":                 "a head cut short",
		"00000001000000000000001900000001": "a dimension cut short",
		"0000000200000000000000190000000100000001" + "0000000100000001" + "0000000161": "two dimensions",
		"0000000100000001000000190000000100000001" + "ffffffff":                        "an absent value",
		"0000000100000000000000190000000100000001" + "00000002" + "61":                 "a value cut short",
		"0000000100000000000000190000000200000001" + "00000001" + "61":                 "a value too few",
		"000000010000000000000019ffffffff00000001" + "00000001" + "61":                 "more values than bytes",
	} {
		if got, err := readTexts(arrayOf(t, digits)); !errors.Is(err, errNotALook) {
			t.Errorf("%s: %q (%v), want %v", why, got, err, errNotALook)
		}
	}
}

func TestArrayText(t *testing.T) {
	t.Parallel()
	for want, ids := range map[string][]fence.XID{"{}": nil, "{7}": {7}, "{7,18446744073709551615}": {7, 18446744073709551615}} {
		if got := string(arrayText(ids)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// Whoever altered a table of ours by hand is told what to do, and nobody is served by what
// such a look says.
func TestLookAtAlteredTables(t *testing.T) {
	t.Parallel()
	ours := func(err error) bool { return errors.Is(err, errNotALook) } // it names the remedy
	for name, c := range map[string]struct {
		alter string
		says  func(error) bool
	}{
		"tags are one text":       {"ALTER TABLE freshet.outbox ALTER tags TYPE text USING tags::text", func(err error) bool { return sqlState(err) == "42804" }},
		"an event without tags":   {"ALTER TABLE freshet.outbox ALTER tags DROP NOT NULL; INSERT INTO freshet.outbox (tags) VALUES (NULL)", ours},
		"the mark is absent":      {"ALTER TABLE freshet.trim ALTER mark DROP NOT NULL; UPDATE freshet.trim SET mark = NULL", ours},
		"a tag that is not there": {"INSERT INTO freshet.outbox (tags) VALUES (ARRAY['1', NULL])", ours},
	} {
		t.Run(name, func(t *testing.T) {
			db := newDatabase(t, "CREATE TABLE users (id int PRIMARY KEY)")
			db.install("public.users")
			s := db.step()
			s.look()
			db.run(c.alter)
			if saw, err := look(t.Context(), s.looker.conn, s.looker.head); err == nil {
				t.Errorf("the look counts: %+v", saw)
			} else if !c.says(err) {
				t.Errorf("the look fails for another reason: %v", err)
			}
		})
	}
}
