package wire

import "strings"

// controlKind is what a statement does to the transaction that it is in.
type controlKind byte

const (
	controlNone controlKind = iota // not one that the sidecar could answer itself
	controlBegin
	controlCommit
	controlRollback
	controlSavepoint
	controlRelease
	controlRollbackTo
)

// control is a statement that begins or ends a transaction or a savepoint, if it
// is written as drivers write it and does no more than that.
type control struct {
	kind      controlKind
	tag       string // of its CommandComplete
	savepoint string
	// readOnly is set on BEGIN READ ONLY, chain on COMMIT AND CHAIN.
	readOnly, chain bool
}

// controlLengthMax is more than any statement needs that parseControl knows.
const controlLengthMax = 200

// parseControl reads a text that is one transaction control statement. Whatever
// it does not know is controlNone: other isolation levels than READ COMMITTED,
// two-phase commit, comments, several statements.
func parseControl(text string) control {
	if len(text) > controlLengthMax || !beginsLikeControl(text) {
		return control{}
	}
	w := words{rest: text}
	c := w.control()
	w.terminate()
	if w.failed || w.rest != "" {
		return control{}
	}
	return c
}

// beginsLikeControl tells most other statements apart at once.
func beginsLikeControl(text string) bool {
	text = strings.TrimLeft(text, sqlSpace)
	if len(text) < len("END") {
		return false
	}
	switch text[0] | 0x20 { // in lower case, if it is a letter
	case 'b', 'c', 'e', 'r', 'a':
		return true
	case 's': // not SELECT
		return text[1]|0x20 == 't' || text[1]|0x20 == 'a'
	default:
		return false
	}
}

// words reads a text word by word. It fails for good at the first word that is
// none of those expected.
type words struct {
	rest   string
	failed bool
}

const sqlSpace = " \t\n\r\f"

// accept takes the next word if it is word, in whatever case.
func (w *words) accept(word string) bool {
	rest := strings.TrimLeft(w.rest, sqlSpace)
	if len(rest) < len(word) || !strings.EqualFold(rest[:len(word)], word) || len(rest) > len(word) && isWordByte(rest[len(word)]) {
		return false
	}
	w.rest = rest[len(word):]
	return true
}

func (w *words) expect(word string) {
	if !w.accept(word) {
		w.failed = true
	}
}

func isWordByte(b byte) bool {
	return b == '_' || b == '$' || b >= 0x80 || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// terminate takes the semicolons and blanks at the end.
func (w *words) terminate() { w.rest = strings.TrimLeft(w.rest, sqlSpace+";") }

func (w *words) control() control {
	switch {
	case w.accept("BEGIN"):
		w.work()
		return control{kind: controlBegin, tag: "BEGIN", readOnly: w.modes()}
	case w.accept("START"):
		w.expect("TRANSACTION")
		return control{kind: controlBegin, tag: "START TRANSACTION", readOnly: w.modes()}
	case w.accept("COMMIT"), w.accept("END"):
		w.work()
		return control{kind: controlCommit, tag: "COMMIT", chain: w.chain()}
	case w.accept("ROLLBACK"):
		w.work()
		if w.accept("TO") {
			w.accept("SAVEPOINT")
			return control{kind: controlRollbackTo, tag: "ROLLBACK", savepoint: w.name()}
		}
		return control{kind: controlRollback, tag: "ROLLBACK", chain: w.chain()}
	case w.accept("ABORT"):
		w.work()
		return control{kind: controlRollback, tag: "ROLLBACK", chain: w.chain()}
	case w.accept("SAVEPOINT"):
		return control{kind: controlSavepoint, tag: "SAVEPOINT", savepoint: w.name()}
	case w.accept("RELEASE"):
		w.accept("SAVEPOINT")
		return control{kind: controlRelease, tag: "RELEASE", savepoint: w.name()}
	default:
		return control{}
	}
}

func (w *words) work() {
	if !w.accept("WORK") {
		w.accept("TRANSACTION")
	}
}

// modes reads transaction modes. Postgres takes them in any order, with or
// without commas between them, the last of a kind counting.
func (w *words) modes() (readOnly bool) {
	for more := true; more && !w.failed; {
		switch {
		case w.accept("ISOLATION"):
			w.expect("LEVEL")
			w.expect("READ")
			w.expect("COMMITTED")
		case w.accept("READ"):
			if readOnly = w.accept("ONLY"); !readOnly {
				w.expect("WRITE")
			}
		case w.accept("NOT"):
			w.expect("DEFERRABLE")
		default:
			return readOnly
		}
		rest := strings.TrimLeft(w.rest, sqlSpace)
		if more = rest != "" && rest[0] != ';'; more && rest[0] == ',' {
			w.rest = rest[1:]
			w.failed = strings.Trim(w.rest, sqlSpace+";") == "" // nothing follows the comma
		}
	}
	return readOnly
}

func (w *words) chain() bool {
	if !w.accept("AND") {
		return false
	}
	no := w.accept("NO")
	w.expect("CHAIN")
	return !no
}

// savepointLengthMax is the longest name that Postgres does not cut off.
const savepointLengthMax = 63

// name reads the name of a savepoint, in its canonical form: a quoted one, or
// one with a digit in it, because such a word cannot be a reserved one.
func (w *words) name() string {
	rest := strings.TrimLeft(w.rest, sqlSpace)
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		name, rest, ok := strings.Cut(quoted, `"`)
		w.failed = w.failed || !ok || name == "" || len(name) > savepointLengthMax || strings.HasPrefix(rest, `"`)
		w.rest = rest
		return name
	}
	n := 0
	for n < len(rest) && isWordByte(rest[n]) && rest[n] < 0x80 {
		n++
	}
	name := rest[:n]
	w.rest = rest[n:]
	digit := strings.IndexAny(name, "0123456789")
	w.failed = w.failed || digit <= 0 || n > savepointLengthMax || name[0] == '$'
	return strings.ToLower(name)
}
