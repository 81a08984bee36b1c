package block

import "strings"

// Kind is what a statement does to the transaction that it is in.
type Kind byte

// The kinds of control statements.
const (
	None Kind = iota // not one that the sidecar could answer itself
	Begin
	Commit
	Rollback
	Savepoint
	Release
	RollbackTo
	SetLocal
)

// Control is a statement that begins or ends a transaction or a savepoint, if it
// is written as drivers write it and does no more than that.
type Control struct {
	Kind      Kind
	Tag       string // of its CommandComplete
	Savepoint string
	// Settings are those of a SetLocal, in their order.
	Settings []Setting
	// Columns are the names of the result's columns if it is SELECT set_config(…, true), one
	// for each of Settings; SET LOCAL has none.
	Columns []string
	// Params is the number of parameters that it takes: Bind fills in their values.
	Params int
	// ReadOnly is set on BEGIN READ ONLY, Chain on COMMIT AND CHAIN.
	ReadOnly, Chain bool
}

// controlLengthMax is more than any statement needs that is read here, but for a setting,
// of which settingLengthMax is as much as is held back.
const (
	controlLengthMax = 200
	settingLengthMax = 4 << 10
)

// ParseControl reads a text that is one transaction control statement. Whatever
// it does not know is controlNone: other isolation levels than READ COMMITTED,
// two-phase commit, comments, several statements.
func ParseControl(text string) Control {
	if len(text) > settingLengthMax || !beginsLikeControl(text) {
		return Control{}
	}
	w := words{rest: text}
	c := w.control()
	w.terminate()
	if w.failed || w.rest != "" || len(text) > controlLengthMax && c.Kind != SetLocal || !c.usesAllParams() {
		return Control{}
	}
	return c
}

// MayCommand reports whether ParseControl, ParseSeveral or ParseDeallocate may read a text, by its
// first words.
func MayCommand(text string) bool {
	text = strings.TrimLeft(text, Space)
	return beginsLikeControl(text) || len(text) > 0 && text[0]|0x20 == 'd'
}

// beginsLikeControl tells most other statements apart at once.
func beginsLikeControl(text string) bool {
	text = strings.TrimLeft(text, Space)
	if len(text) < len("END") {
		return false
	}
	switch text[0] | 0x20 { // in lower case, if it is a letter
	case 'b', 'c', 'e', 'r', 'a':
		return true
	case 's':
		return text[1]|0x20 == 't' || text[1]|0x20 == 'a' || text[1]|0x20 == 'e' && text[2]|0x20 == 't' || beginsLikeSetConfig(text)
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

// Space are the bytes between words of SQL.
const Space = " \t\n\r\f"

// accept takes the next word if it is word, in whatever case.
func (w *words) accept(word string) bool {
	rest := strings.TrimLeft(w.rest, Space)
	if len(rest) < len(word) || !strings.EqualFold(rest[:len(word)], word) || len(rest) > len(word) && IsWordByte(rest[len(word)]) {
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

// IsWordByte reports whether a byte may be part of a word of SQL that is not quoted.
func IsWordByte(b byte) bool {
	return b == '_' || b == '$' || b >= 0x80 || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// terminate takes the semicolons and blanks at the end.
func (w *words) terminate() { w.rest = strings.TrimLeft(w.rest, Space+";") }

func (w *words) control() Control {
	switch {
	case w.accept("BEGIN"):
		w.work()
		return Control{Kind: Begin, Tag: "BEGIN", ReadOnly: w.modes()}
	case w.accept("START"):
		w.expect("TRANSACTION")
		return Control{Kind: Begin, Tag: "START TRANSACTION", ReadOnly: w.modes()}
	case w.accept("COMMIT"), w.accept("END"):
		w.work()
		return Control{Kind: Commit, Tag: "COMMIT", Chain: w.chain()}
	case w.accept("ROLLBACK"):
		w.work()
		if w.accept("TO") {
			w.accept("SAVEPOINT")
			return Control{Kind: RollbackTo, Tag: "ROLLBACK", Savepoint: w.name()}
		}
		return Control{Kind: Rollback, Tag: "ROLLBACK", Chain: w.chain()}
	case w.accept("ABORT"):
		w.work()
		return Control{Kind: Rollback, Tag: "ROLLBACK", Chain: w.chain()}
	case w.accept("SAVEPOINT"):
		return Control{Kind: Savepoint, Tag: "SAVEPOINT", Savepoint: w.name()}
	case w.accept("SET"):
		w.expect("LOCAL")
		return w.setting()
	case w.accept("SELECT"):
		return w.setConfigs()
	case w.accept("RELEASE"):
		w.accept("SAVEPOINT")
		return Control{Kind: Release, Tag: "RELEASE", Savepoint: w.name()}
	default:
		return Control{}
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
		rest := strings.TrimLeft(w.rest, Space)
		if more = rest != "" && rest[0] != ';'; more && rest[0] == ',' {
			w.rest = rest[1:]
			w.failed = strings.Trim(w.rest, Space+";") == "" // nothing follows the comma
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
	rest := strings.TrimLeft(w.rest, Space)
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		name, rest, ok := strings.Cut(quoted, `"`)
		w.failed = w.failed || !ok || name == "" || len(name) > savepointLengthMax || strings.HasPrefix(rest, `"`)
		w.rest = rest
		return name
	}
	n := 0
	for n < len(rest) && IsWordByte(rest[n]) && rest[n] < 0x80 {
		n++
	}
	name := rest[:n]
	w.rest = rest[n:]
	digit := strings.IndexAny(name, "0123456789")
	w.failed = w.failed || digit <= 0 || n > savepointLengthMax || name[0] == '$'
	return strings.ToLower(name)
}
