package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// corpusScript is one file of the corpus: statements of one theme, for one
// session.
type corpusScript struct {
	name       string
	statements []corpusStatement
	// hitsMin is the least number of statements that are answered from memory when
	// the file runs for the second time, over all modes.
	hitsMin uint64
	// reads is set if the statements change nothing, so that each is answered as it was before.
	reads bool
}

// corpusStatement is written as in psql: it ends with a semicolon at the end of a
// line, \; joins several into one query, the data of a COPY follows up to \. and
// parameters follow as
//
//	\bind value | value
//
// where \N stands for NULL and several such lines for several executions.
type corpusStatement struct {
	sql    string
	values [][][]byte
	copyIn *copyIn
	// part, unless 0, is the only part of the script that has the statement: see kindsScripts.
	part int
}

// in reports whether a part has the statement.
func (s *corpusStatement) in(part int) bool { return s.part == 0 || s.part == part }

// copyIn is what is sent for a COPY FROM STDIN.
type copyIn struct {
	rows []string
	fail string // unless empty, the client gives up with these words
	sent bool   // the data were sent with the statement: nothing is to be sent when Postgres asks
}

// data are the messages of the data, without a Sync.
func (c *copyIn) data() []byte {
	if c == nil {
		return nil
	}
	var all []byte
	for _, row := range c.rows {
		all = append(all, msgCopyData(row+"\n")...)
	}
	if c.fail != "" {
		return append(all, msgCopyFail(c.fail)...)
	}
	return append(all, msgCopyDone...)
}

// messages answer a CopyInResponse: the data, with a Sync in the extended protocol. A statement
// without data gets a CopyFail.
func (c *copyIn) messages(extended bool) []byte {
	if c == nil {
		c = &copyIn{fail: "there is no data"}
	}
	if c.sent {
		return nil
	}
	all := c.data()
	if extended {
		all = append(all, msgSync...)
	}
	return all
}

// bindings are the values of each execution; there is at least one.
func (s *corpusStatement) bindings() [][][]byte {
	if len(s.values) == 0 {
		return [][][]byte{nil}
	}
	return s.values
}

// whole is one execution by the extended protocol, without its Sync: cut by Flush if kind is 2,
// fetched by portions if it is 3, and otherwise at once.
func (s *corpusStatement) whole(values [][]byte, kind int) []byte {
	parse, bind := msgParse("", s.sql), binding{values: values}.message()
	switch kind {
	case 2:
		return join(parse, msgDescribe('S', ""), msgFlush, bind, msgFlush, msgExecute("", 0), msgFlush)
	case 3:
		return join(parse, bind, msgDescribe('P', ""), msgExecute("", 2), msgExecute("", 1), msgExecute("", 0))
	default:
		return join(parse, bind, msgDescribe('P', ""), msgExecute("", 0))
	}
}

// readCorpus returns the scripts of testdata/corpus in the order of their names, behind those of
// kindsScripts.
func readCorpus(t *testing.T) []*corpusScript {
	t.Helper()
	scripts := kindsScripts(t)
	paths, err := filepath.Glob("testdata/corpus/[0-9]*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		script, err := parseScript(filepath.Base(path), text)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		scripts = append(scripts, script)
	}
	return scripts
}

// parseScript reads the statements of a script, and from a line "-- hits: " its hitsMin.
func parseScript(name string, text []byte) (*corpusScript, error) {
	script := &corpusScript{name: name}
	var sql strings.Builder
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		last := len(script.statements) - 1
		switch {
		case sql.Len() > 0:
		case strings.HasPrefix(line, "-- hits: "):
			hits, err := strconv.ParseUint(line[len("-- hits: "):], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			script.hitsMin = hits
			continue
		case strings.TrimSpace(line) == "", strings.HasPrefix(line, "--") && !strings.HasSuffix(line, ";"):
			continue
		case strings.HasPrefix(line, `\bind `) && last >= 0:
			s := &script.statements[last]
			s.values = append(s.values, parseValues(line[len(`\bind `):]))
			continue
		case strings.HasPrefix(line, `\data`) && last >= 0:
			in, err := parseCopyIn(lines)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			script.statements[last].copyIn = in
			continue
		}
		sql.WriteString(line)
		if joined := strings.HasSuffix(line, `\;`); strings.HasSuffix(line, ";") && !joined && strings.Count(sql.String(), "$$")%2 == 0 {
			whole := strings.TrimSuffix(strings.ReplaceAll(sql.String(), `\;`, ";"), ";")
			script.statements = append(script.statements, corpusStatement{sql: whole})
			sql.Reset()
			continue
		}
		sql.WriteByte('\n')
	}
	if sql.Len() > 0 {
		return nil, fmt.Errorf("the last statement has no end: %s", sql.String())
	}
	return script, lines.Err()
}

// parseValues reads the values of a binding.
func parseValues(text string) (values [][]byte) {
	for value := range strings.SplitSeq(text, " | ") {
		if value == `\N` {
			values = append(values, nil)
			continue
		}
		values = append(values, []byte(value))
	}
	return values
}

// parseCopyIn reads the data of a COPY up to a line of \. or \fail and words.
func parseCopyIn(lines *bufio.Scanner) (*copyIn, error) {
	in := &copyIn{}
	for lines.Scan() {
		line := lines.Text()
		if line == `\.` {
			return in, nil
		}
		if words, ok := strings.CutPrefix(line, `\fail `); ok {
			in.fail = words
			return in, nil
		}
		in.rows = append(in.rows, line)
	}
	return nil, fmt.Errorf("the data has no end")
}
