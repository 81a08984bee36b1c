package fence

import (
	"errors"
	"fmt"
	"strings"
)

// Incarnation names one uninterrupted life of one database. Transaction ids
// are reused after a crash, a failover or a restored copy; they mean something
// only within one incarnation. The empty name belongs to no database.
type Incarnation string

// Head is a state of the database that is fully known: every event visible in
// Snapshot has been received. It is immutable.
type Head struct {
	Incarnation Incarnation
	Snapshot    Snapshot
}

// String gives the form that ParseHead reads: a token that says "everything up
// to here", to be handed to another process.
func (h *Head) String() string { return string(h.Incarnation) + "@" + h.Snapshot.String() }

// ParseHead reads what String wrote.
func ParseHead(text string) (*Head, error) {
	incarnation, snapshot, ok := strings.Cut(text, "@")
	if !ok || incarnation == "" || len(incarnation) > incarnationLengthMax {
		return nil, errors.New("parse token: want incarnation@snapshot, as SHOW freshet.token prints it")
	}
	s, err := ParseSnapshot(snapshot)
	if err != nil {
		return nil, fmt.Errorf("parse token: %w", err)
	}
	return &Head{Incarnation(incarnation), s}, nil
}

func (h *Head) sameIncarnation(other *Head) bool {
	return other != nil && h.Incarnation == other.Incarnation
}
