package observe

import "testing"

// A group that is sent in parts would be answered if it only reads.
func TestPartsThatReadAlone(t *testing.T) {
	t.Parallel()
	const read, write = "SELECT name FROM item WHERE id = $1", "UPDATE item SET name = 'x'"
	for name, c := range map[string]struct {
		texts []string
		want  bool
	}{
		"a read":             {[]string{read}, true},
		"reads":              {[]string{read, read}, true},
		"a write":            {[]string{write}, false},
		"a write and a read": {[]string{write, read}, false},
		"BEGIN and a read":   {[]string{"BEGIN", read}, false},
	} {
		var u unit
		for _, text := range c.texts {
			u.executions = append(u.executions, execution{statement: &statement{sql: text}, known: true})
		}
		if got := u.readsAlone(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
