package wire

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/invalidation/settings"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// An answer may depend on settings of the application's own: a policy of row security compares
// a column with current_setting('app.tenant'), or the statement itself asks for one. The
// verdict names them (analysis.Verdict.Settings), and their values are in the key of such an
// answer, and of no other: what does not depend on them is shared whatever they are.
//
// Values are known from two places. Each probe asks for those of all names that verdicts have
// named so far. And what a block has set that is held back, or that was opened by the sidecar,
// is known from the block. All else makes them unknown, and the read goes to Postgres:
//
//  1. a transaction is open, and the client sends SET LOCAL app.tenant = 'b' to Postgres,
//     which changes no answer but those of policies;
//  2. a read whose verdict names app.tenant would be answered by the value of before 1.
//
// So 1 has the transaction's settings be unknown until it has ended, whether anybody has named
// app.tenant or not: it may be named between 1 and 2. Forced by
// TestCase15TenantSetInAnOpenTransaction. What sets one for the session (SET, a function) soils it
// as it always did, and has it probed.
//
// A setting that had no value is the empty text behind the transaction that has set it, and
// behind a rehearsal: see keyedValue.

// keyedNamesMax bounds the names that are asked for in each probe; what depends on others
// passes through.
const keyedNamesMax = 32

// keyedNames are the settings that verdicts of this process name. None is taken back.
type keyedNames struct {
	mu   sync.Mutex // held while adding
	list atomic.Pointer[[]string]
}

// all returns the names, which belong to nobody.
func (k *keyedNames) all() []string {
	if list := k.list.Load(); list != nil {
		return *list
	}
	return nil
}

// add adds names. It reports false if they are too many.
func (k *keyedNames) add(names []string) bool {
	if k.hasAll(names) {
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	list := slices.Clone(k.all())
	for _, name := range names {
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	if len(list) > keyedNamesMax {
		return false
	}
	k.list.Store(&list)
	return true
}

func (k *keyedNames) hasAll(names []string) bool {
	list := k.all()
	for _, name := range names {
		if !slices.Contains(list, name) {
			return false
		}
	}
	return true
}

// localValues is what a session knows of its application's settings besides what a probe said.
type localValues struct {
	// opened is set by letGo while Postgres has what the block has set. unknown is set by
	// noteSettings while a transaction may have set more. obstacle resets both when Postgres is
	// in no transaction.
	opened, unknown bool
	// placed are names that were set in a transaction since the last probe: true if for
	// certain. adopt resets it.
	placed map[string]bool
}

// place notes that settings were set in a transaction, for certain or perhaps. What was
// certain stays so.
func (l *localValues) place(names []string, certain bool) {
	for _, name := range names {
		if l.placed == nil {
			l.placed = map[string]bool{}
		}
		l.placed[name] = l.placed[name] || certain
	}
}

// keyedValue returns the value of a setting of the application's own, nil if there is none.
// It reports false if that is not known.
func (u *understanding) keyedValue(name string) (value []byte, ok bool) {
	if u.values.unknown || u.known.Base() == nil {
		return nil, false
	}
	if u.block.Held || u.values.opened {
		if value, set := u.block.Setting(name); set {
			return []byte(value), true
		}
	}
	value, asked := u.known.Base().Keyed[name]
	if value == nil && asked {
		if certain, placed := u.values.placed[name]; placed {
			return []byte{}, certain
		}
	}
	return value, asked
}

// stateWith names the session's state together with the values of settings. It reports false
// if one is not known.
func (u *understanding) stateWith(names []string) (id digest.Digest, ok bool) {
	if len(names) == 0 {
		return u.state().ID, true
	}
	text := append([]byte("settings"), u.state().ID[:]...)
	for _, name := range names {
		value, known := u.keyedValue(name)
		if !known {
			return id, false
		}
		text = append(append(text, name...), 0, 0)
		if value != nil {
			text[len(text)-1] = 1
			text = binary.BigEndian.AppendUint32(text, uint32(len(value)))
			text = append(text, value...)
		}
	}
	return digest.Of(text), true
}

// learnSettings makes the values of settings known that an answer depends on, and says why
// they are not.
func (a *asking) learnSettings(names []string) (reason string) {
	if len(names) == 0 {
		return ""
	}
	if !a.db.keyed.add(names) {
		return reasons.Settings
	}
	if _, known := a.stateWith(names); known {
		return ""
	}
	if a.values.unknown || a.values.opened {
		return reasons.InTransaction
	}
	if reason := a.refreshState(); reason != "" {
		return reason
	}
	if _, known := a.stateWith(names); !known {
		return reasons.Settings
	}
	return ""
}

// settingsOf returns the settings that a want's answer depends on, nil if there are none; a
// description depends on none.
func settingsOf(w *want, slot *shapes.Slot) []string {
	if w.describes || slot == nil {
		return nil
	}
	if v := slot.Verdict(); v != nil {
		return v.Settings
	}
	return nil
}

// noteSettings notes what a statement that goes to Postgres sets in its transaction.
func (s *sending) noteSettings() {
	for i := range s.plan.wants {
		w := &s.plan.wants[i]
		if w.describes || w.prepared == nil || w.prepared.Statement == nil {
			continue
		}
		c := &w.prepared.Statement.Control
		for j := range c.Settings {
			x := &c.Settings[j]
			if changes, _ := settings.Local(x.Name); changes && x.NameParam == 0 {
				continue
			}
			s.values.unknown = true
			s.values.place([]string{x.Name}, false)
		}
	}
}
