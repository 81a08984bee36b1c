package cache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/freshet/freshet/invalidation/settings"
)

// digest names a text for ever and in every process: 128 bits of its SHA-256.
type digest [16]byte

func digestOf(text []byte) digest {
	sum := sha256.Sum256(text)
	return digest(sum[:16])
}

// connectionState is the state in which the pool makes its connections, in one scope:
// everything besides a statement and its values that an answer can depend on.
//
// Connections of a pool do not stay in it: a SET outlives the statement. So each load
// asks its own connection, right before its query and in the same round trip:
//
//  1. a SET search_path is run through the pool, and its connection given back;
//  2. a load is made on that connection;
//  3. its answer, of another table, is kept under the pool's own search path.
//
// Forced by TestConnectionLeftInAnotherState.
type connectionState struct {
	scope string
	// ctx has the values of the read that the scope was met in first, for the pool's hooks.
	ctx context.Context
	// found is closed when the rest is known, or could not be found out.
	found chan struct{}
	err   error
	// reason, unless empty, says why nothing is kept in this state.
	reason string

	// probe is the question to a connection, of a name, and firstProbe that to one whose
	// incarnation is not known.
	probe, firstProbe, name string
	proof                   []byte
	id                      digest
	role                    uint32
	path                    []string
	values                  map[string]string // of the settings that the analysis wants
	// types are those of a connection, its registered ones among them.
	types  *pgtype.Map
	codecs sync.Pool
	shapes texts[*shape]
	// verdicts are those shared by statements that differ in literals only. They
	// belong to the scout.
	verdicts map[string]*verdict
	// strange counts the loads in a row that came upon another state, or could not ask.
	strange atomic.Uint32
}

// standard reports whether backslashes in strings are only that.
func (s *connectionState) standard() bool { return s.values["standard_conforming_strings"] != "off" }

// The columns of the answer to a probe, and of the answer to the first question to a
// connection of an unknown state behind them.
const (
	// columnProof is everything that an answer can depend on, as one text.
	columnProof = iota
	columnProcess
	columnIncarnation // NULL where it is not asked for
	probeColumns

	columnSettings = iota - 1
	columnRole
	columnPath
	columnStart
	wholeColumns
)

// askedSettings are those that a probe asks for.
var askedSettings = slices.Concat(settings.Keyed, settings.Conditional, []string{"search_path"})

// probeForm is how a probe asks.
type probeForm struct {
	// secured is set if row security applies somewhere: whether it does to the role is part
	// of the proof.
	secured bool
	// prepared is set if Postgres parses the probe once for many executions.
	prepared bool
	// incarnation is set if the incarnation is asked for that the connection reaches.
	incarnation bool
	// whole is set if the parts of the proof are asked for, too, and what the connection
	// began with.
	whole bool
}

func (f probeForm) sql() string {
	role, asked := settings.RoleSQL, settings.QuotedSQL(askedSettings)
	if f.secured {
		role = settings.SecuredSQL
	}
	if f.prepared {
		asked = settings.PreparedQuotedSQL(askedSettings)
	}
	names := settings.QuotedListSQL("CURRENT_USER", "SESSION_USER", role, settings.SearchPathSQL, "pg_catalog.current_database()")
	columns := []string{
		columnProof:       asked + " OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) " + names,
		columnProcess:     "pg_catalog.pg_backend_pid()",
		columnIncarnation: "NULL",
	}
	if f.incarnation {
		columns[columnIncarnation] = "freshet.incarnation()"
	}
	if f.whole {
		columns = append(columns, settings.SQL(askedSettings), role, settings.SearchPathSQL, settings.StartSQL())
	}
	return "SELECT " + strings.Join(columns, ", ")
}

// same reports whether a connection that answered a probe with row is in this state.
func (s *connectionState) same(row [][]byte) bool {
	return len(row) >= probeColumns && bytes.Equal(s.proof, row[columnProof])
}

// compare is same for a connection that was made like the first one.
func (s *connectionState) compare(row [][]byte) error {
	if !s.same(row) {
		return errors.New("two connections that were made as the pool makes them are in two states")
	}
	return nil
}

// read takes over what a new connection answered to a probe.
func (s *connectionState) read(row [][]byte) error {
	if len(row) != wholeColumns {
		return fmt.Errorf("read the state of a connection: %d columns", len(row))
	}
	values, err := textArray(row[columnSettings], askedSettings)
	if err != nil {
		return err
	}
	start, err := textArray(row[columnStart], settings.AtStart)
	if err != nil {
		return err
	}
	s.proof = row[columnProof]
	if s.path, err = pathOf(row[columnPath]); err != nil {
		return err
	}
	number, _, _ := strings.Cut(string(row[columnRole]), " ")
	role, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return fmt.Errorf("read the role of a connection: %w", err)
	}
	s.role = uint32(role)
	s.values = map[string]string{}
	for _, name := range settings.ForParsing {
		if value := values[name]; value != nil {
			s.values[name] = string(value)
		}
	}
	s.id = digestOf(appendParts(nil, [][]byte{[]byte(s.scope), s.proof}))
	s.reason = s.objection(row, values, start)
	return nil
}

// objection says why nothing is kept in this state; empty if nothing speaks against it.
func (s *connectionState) objection(row [][]byte, values, start map[string][]byte) string {
	temporary := func(name string) bool { return strings.HasPrefix(name, settings.TemporaryPrefix) }
	switch {
	case row[columnPath] == nil:
		return reasonTemporaryPath
	case slices.ContainsFunc(s.path, temporary):
		return reasonTemporary
	}
	if reason := settings.StartObjection(start); reason != "" {
		return reason
	}
	return settings.Objection(values)
}

// textArray reads an array of texts, some of them NULL, by names.
func textArray(printed []byte, names []string) (map[string][]byte, error) {
	var all []*string
	if err := pgtype.NewMap().Scan(pgtype.TextArrayOID, pgtype.TextFormatCode, printed, &all); err != nil {
		return nil, fmt.Errorf("read the settings of a connection: %w", err)
	}
	if len(all) != len(names) {
		return nil, fmt.Errorf("read the settings of a connection: %d, want %d", len(all), len(names))
	}
	values := make(map[string][]byte, len(names))
	for i, name := range names {
		if all[i] != nil {
			values[name] = []byte(*all[i])
		}
	}
	return values, nil
}

func pathOf(printed []byte) (path []string, err error) {
	if printed == nil {
		return nil, nil
	}
	if err := pgtype.NewMap().Scan(pgtype.TextArrayOID, pgtype.TextFormatCode, printed, &path); err != nil {
		return nil, fmt.Errorf("read the search path of a connection: %w", err)
	}
	return path, nil
}

// appendParts appends texts, some of them nil, so that no others give the same.
func appendParts(dst []byte, parts [][]byte) []byte {
	for _, part := range parts {
		dst = appendPart(dst, part)
	}
	return dst
}

func appendPart(dst, part []byte) []byte {
	length := int32(len(part))
	if part == nil {
		length = -1
	}
	return append(binary.BigEndian.AppendUint32(dst, uint32(length)), part...)
}
