package wire

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// heldBackSchema has tables of its own for each of so many scripts: dated_10 and typed_10 for the
// first, and so on.
func heldBackSchema(scripts int) string {
	var schema strings.Builder
	schema.WriteString(itemSchema + "CREATE SCHEMA elsewhere;\n")
	for i := range scripts {
		fmt.Fprintf(&schema, `
CREATE TABLE dated_%[1]d (id int PRIMARY KEY, d date, v int);
INSERT INTO dated_%[1]d VALUES (1, '2024-01-02', 10), (2, '2024-02-01', 20);
CREATE TABLE elsewhere.dated_%[1]d (id int PRIMARY KEY, d date, v int);
CREATE TABLE typed_%[1]d (id int PRIMARY KEY, v int);
INSERT INTO typed_%[1]d VALUES (1, 1084227584), (2, 7);`, scriptsFirst+i)
	}
	return schema.String()
}

// scriptsFirst is the number of the first script. All have two digits, so that the
// lengths of their messages hold.
const scriptsFirst = 10

// numbered writes a script's number in place of NN into the names of its tables.
func numbered(turns []turn, number int) []turn {
	for i := range turns {
		turns[i].direct = strings.ReplaceAll(turns[i].direct, "_NN", fmt.Sprint("_", number))
		turns[i].send = bytes.ReplaceAll(turns[i].send, []byte("_NN"), []byte(fmt.Sprint("_", number)))
	}
	return turns
}

// The Parse of an unnamed statement that the sidecar has answered, and holds back, keeps the meaning
// that it would have had in Postgres at once, whatever the client does before it uses the statement.
func TestHeldBackParseIsSentBeforeChanges(t *testing.T) {
	t.Parallel()
	dated := "SELECT id FROM dated_NN WHERE d = '01/02/2024' AND v = $1"
	parse := synced(msgParse("", dated), msgDescribe('S', ""))
	use := func(value string) step { return synced(msgBind("", value), msgExecute("", 0)) }
	execute := synced(msgBind("change"), msgExecute("", 0))
	cases := map[string]struct {
		change string
		steps  []step
	}{
		"SET":                       {"SET DateStyle = 'ISO, DMY'", []step{execute}},
		"SET by a function":         {"SELECT set_config('DateStyle', 'ISO, DMY', false)", []step{execute}},
		"SET behind a Flush":        {"SET DateStyle = 'ISO, DMY'", []step{{join(msgBind("change"), msgExecute("", 0), msgFlush), "C"}, synced()}},
		"SET in two parts":          {"SET DateStyle = 'ISO, DMY'", []step{{join(msgBind("change"), msgFlush), "2"}, synced(msgExecute("", 0))}},
		"SET and used in one group": {"SET DateStyle = 'ISO, DMY'", []step{synced(msgBind("change"), msgExecute("", 0), msgBind("", "10"), msgExecute("", 0))}},
		"SET that fails":            {"SET DateStyle = 'ISO, DMY'", []step{synced(msgBind("change"), msgExecute("", 0), msgBind("nobody"))}},
		"search path":               {"SET search_path = elsewhere", []step{execute}},
		"function call":             {"SELECT 1", []step{{msgCall(2078, "DateStyle", "ISO, DMY", "f"), "Z"}}},
		"a row of the table":        {"UPDATE dated_NN SET v = v + 1", []step{execute}},
		"the table is gone":         {"DROP TABLE dated_NN", []step{execute}},
		"a column of it is gone":    {"ALTER TABLE dated_NN DROP COLUMN v", []step{execute}},
		"a transaction, set in it":  {"SET LOCAL DateStyle = 'ISO, DMY'", []step{query("BEGIN"), parse, execute, use("10"), query("COMMIT")}},
		"a transaction, held back":  {"SET DateStyle = 'ISO, DMY'", []step{synced(msgBind("begin"), msgExecute("", 0)), execute}},
		"a transaction, failed":     {"SELECT 1/0", []step{synced(msgBind("begin"), msgExecute("", 0)), execute, use("20"), synced(msgBind("rollback"), msgExecute("", 0))}},
	}
	w := newTwins(t, heldBackSchema(len(cases)), patient)
	number := scriptsFirst
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			turns := []turn{
				{step: query("SET DateStyle = 'ISO, MDY'")},
				{step: synced(msgParse("change", c.change), msgParse("begin", "BEGIN"), msgParse("rollback", "ROLLBACK"))},
			}
			for range 3 {
				turns = append(turns, turn{step: parse}, turn{step: use("10")})
			}
			turns = append(turns, turn{step: parse, here: true}) // and held back
			for _, step := range c.steps {
				turns = append(turns, turn{step: step})
			}
			for _, value := range []string{"10", "20", "11", "21"} {
				turns = append(turns, turn{step: use(value)})
			}
			w.play(t, numbered(turns, number))
			number++
		})
	}
}

// A description that the sidecar gave of a held-back Parse fits the rows that Postgres sends later,
// though another session has changed the table meanwhile. Where it does not fit, the client gets an
// error and no rows.
func TestRowsFitTheDescriptionOfAHeldBackParse(t *testing.T) {
	t.Parallel()
	parse := synced(msgParse("", "SELECT * FROM typed_NN WHERE id = $1"), msgDescribe('S', ""))
	use := synced(binding{values: [][]byte{[]byte("1")}, results: []uint16{1}}.message(), msgExecute("", 0))
	fresh := synced(binding{values: [][]byte{[]byte("2")}, results: []uint16{1}}.message(), msgExecute("", 0))
	described := synced(msgBind("", "2"), msgDescribe('P', ""), msgExecute("", 0))
	scripts := map[string][]turn{}
	for name, change := range map[string]string{
		"other type":      "ALTER TABLE typed_NN ALTER v TYPE float4 USING 5",
		"one column more": "ALTER TABLE typed_NN ADD COLUMN w text DEFAULT 'w'",
		"one column less": "ALTER TABLE typed_NN DROP COLUMN v",
		"other parameter": "ALTER TABLE typed_NN ALTER id TYPE text",
		"other name":      "ALTER TABLE typed_NN RENAME v TO value",
		"table gone":      "DROP TABLE typed_NN",
		"table replaced":  "ALTER TABLE typed_NN RENAME TO gone_NN; CREATE TABLE typed_NN AS SELECT * FROM gone_NN",
		"unrelated table": "CREATE TABLE other_NN (id int)",
	} {
		for kind, steps := range map[string][]step{
			"used":                           {use, use},
			"used with other values":         {fresh, fresh},
			"in a transaction":               {query("BEGIN"), parse, fresh, query("COMMIT")},
			"in a block":                     {synced(msgBind("begin"), msgExecute("", 0)), fresh, use, synced(msgBind("commit"), msgExecute("", 0))},
			"behind a write in a block":      {synced(msgBind("begin"), msgExecute("", 0)), synced(msgBind("write"), msgExecute("", 0)), fresh, use, synced(msgBind("commit"), msgExecute("", 0))},
			"in a pipeline":                  {{join(fresh.send, use.send, fresh.send), "ZZZ"}},
			"described again":                {synced(msgDescribe('S', "")), fresh},
			"in parts":                       {{join(fresh.send[:len(fresh.send)-protocol.HeaderLength], msgFlush), ""}, synced()},
			"with another description":       {described, fresh},
			"parsed again":                   {parse, fresh, parse, use},
			"the statement ended by a BEGIN": {fresh, query("BEGIN"), use, query("ROLLBACK"), use},
		} {
			if name != "other type" && kind != "used with other values" && kind != "in a block" {
				continue // not every change in every way
			}
			turns := []turn{{step: synced(msgParse("begin", "BEGIN"), msgParse("commit", "COMMIT"), msgParse("write", "UPDATE item SET version = 1 WHERE id = 3"))}}
			for range 3 {
				turns = append(turns, turn{step: parse}, turn{step: use})
			}
			turns = append(turns, turn{step: query("SELECT 1")}, turn{step: parse, here: true}, turn{direct: change})
			for range 3 { // another session has the answers of the changed table cached
				turns = append(turns, turn{session: 1, step: parse}, turn{session: 1, step: use}, turn{session: 1, step: fresh})
			}
			for _, step := range steps {
				turns = append(turns, turn{step: step})
			}
			scripts[name+", "+kind] = turns
		}
	}
	w := newTwins(t, heldBackSchema(len(scripts)), patient)
	number := scriptsFirst
	for name, turns := range scripts {
		t.Run(name, func(t *testing.T) {
			w.play(t, numbered(turns, number))
			number++
		})
	}
}
