package probe

import (
	"bytes"
	"encoding/binary"

	"github.com/freshet/freshet/invalidation/settings"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// Imitation is what another connection takes over to give the answers of one in a state.
type Imitation struct {
	// User is the name of the current role, SessionUser that which connected.
	User, SessionUser string
	// Names and Values are of settings, those that the server has.
	Names, Values []string
	// Question is the probe whose answer Resembles compares.
	Question Question
}

// Imitation says what another connection has to take over. It reports false if that is not
// understood.
func (s *State) Imitation() (i Imitation, ok bool) {
	columns := s.columns()
	if columns == nil {
		return i, false
	}
	values, ok := parseValues(askedSettings, columns[columnSettings])
	if !ok {
		return i, false
	}
	for _, name := range append(settings.Keyed[:len(settings.Keyed):len(settings.Keyed)], "search_path") {
		if value := values[name]; value != nil {
			i.Names, i.Values = append(i.Names, name), append(i.Values, string(value))
		}
	}
	i.User, i.SessionUser = string(columns[columnUser]), string(columns[columnSessionUser])
	i.Question = Question{Server: true, Role: bytes.ContainsRune(columns[columnRole], ' ')}
	return i, true
}

// Resembles reports whether a connection in state o gives the answers of one in s, to
// statements that do not ask who connected. exactly is set if it gives those too.
func (s *State) Resembles(o *State) (yes, exactly bool) {
	mine, others := s.columns(), o.columns()
	if mine == nil || others == nil || s.Database != o.Database || s.Incarnation != o.Incarnation {
		return false, false
	}
	mySettings, ok := parseValues(askedSettings, mine[columnSettings])
	if !ok {
		return false, false
	}
	otherSettings, ok := parseValues(askedSettings, others[columnSettings])
	if !ok {
		return false, false
	}
	for _, name := range settings.Keyed {
		if !bytes.Equal(mySettings[name], otherSettings[name]) {
			return false, false
		}
	}
	for _, column := range []int{columnUser, columnRole, columnSearchPath} {
		if !bytes.Equal(mine[column], others[column]) {
			return false, false
		}
	}
	return true, bytes.Equal(mine[columnSessionUser], others[columnSessionUser])
}

// columns are those that were found, nil if there are none: of a state that a test made.
func (s *State) columns() [][]byte {
	if len(s.found) == 0 {
		return nil
	}
	columns, ok := protocol.DataRow(append(binary.BigEndian.AppendUint16(nil, uint16(columnsFound)), s.found...))
	if !ok {
		return nil
	}
	return columns
}
