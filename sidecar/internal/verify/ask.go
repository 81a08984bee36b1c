package verify

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

const (
	// askMax is how long all that is asked for one hit may take.
	askMax = 5 * time.Second
)

// The beginning of a transaction that changes nothing and waits for nobody for long. What
// is set in it ends with it, so that a pooler's next client finds nothing of it.
const beginSQL = "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL statement_timeout = '1s'; SET LOCAL search_path = ''"

// settingsSQL takes over settings that are others here. It names nothing that a search
// path could lead elsewhere.
const settingsSQL = `SELECT pg_catalog.set_config(s.name, s.value, true)
	FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS s(name, value)
	WHERE pg_catalog.current_setting(s.name, true) OPERATOR(pg_catalog.<>) s.value`

// errUnlike is returned if the session could not be imitated.
var errUnlike = errors.New("the session's role or settings could not be taken over")

// ask executes the statement of a hit as its session would. exactly is set if who
// connected is the same too.
func ask(ctx context.Context, conn *pgconn.PgConn, h *Hit) (p picture, exactly bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	if err := run(ctx, conn, beginSQL); err != nil {
		return p, false, err
	}
	defer func() {
		if rollback := run(ctx, conn, "ROLLBACK"); err == nil {
			err = rollback
		}
	}()
	if exactly, err = imitate(ctx, conn, h.State); err != nil {
		return p, false, err
	}
	p, err = execute(ctx, conn, h)
	return p, exactly, err
}

// imitate takes over what the answers of a state depend on.
func imitate(ctx context.Context, conn *pgconn.PgConn, state *probe.State) (exactly bool, err error) {
	wanted, ok := state.Imitation()
	if !ok {
		return false, errUnlike
	}
	types := pgtype.NewMap()
	names, err := types.Encode(pgtype.TextArrayOID, pgtype.TextFormatCode, wanted.Names, nil)
	if err != nil {
		return false, err
	}
	values, err := types.Encode(pgtype.TextArrayOID, pgtype.TextFormatCode, wanted.Values, nil)
	if err != nil {
		return false, err
	}
	if err := unlike(conn.ExecParams(ctx, settingsSQL, [][]byte{names, values}, nil, nil, nil).Read().Err); err != nil {
		return false, err
	}
	if err := unlike(takeRole(ctx, conn, wanted)); err != nil {
		return false, err
	}
	now, err := stateOf(ctx, conn, wanted.Question)
	if err != nil {
		return false, err
	}
	same, exactly := state.Resembles(now)
	if !same {
		return false, errUnlike
	}
	return exactly, nil
}

// takeRole becomes the session's user as far as that is allowed, and its current role.
func takeRole(ctx context.Context, conn *pgconn.PgConn, wanted probe.Imitation) error {
	sql := "SET LOCAL ROLE " + pgx.Identifier{wanted.User}.Sanitize()
	if conn.ParameterStatus("is_superuser") == "on" {
		sql = "SET LOCAL SESSION AUTHORIZATION " + pgx.Identifier{wanted.SessionUser}.Sanitize() + "; " + sql
	}
	return run(ctx, conn, sql)
}

// unlike makes what Postgres refuses an errUnlike.
func unlike(err error) error {
	if _, refused := errors.AsType[*pgconn.PgError](err); refused {
		return errUnlike
	}
	return err
}

// stateOf probes the connection.
func stateOf(ctx context.Context, conn *pgconn.PgConn, q probe.Question) (*probe.State, error) {
	message := q.Message()
	text := strings.TrimSuffix(string(message[protocol.HeaderLength:]), "\x00")
	results, err := conn.Exec(ctx, text).ReadAll()
	if err != nil {
		return nil, unlike(err)
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return nil, errUnlike
	}
	state := probe.ParseAnswer(appendRow(nil, results[0].Rows[0]), nil)
	if state == nil {
		return nil, errUnlike
	}
	return state, nil
}

// execute executes the statement as the client did.
func execute(ctx context.Context, conn *pgconn.PgConn, h *Hit) (picture, error) {
	if h.Bound == nil {
		results := conn.Exec(ctx, h.SQL)
		var p picture
		for results.NextResult() {
			p = read(results.ResultReader())
		}
		return p, results.Close()
	}
	bound, ok := protocol.ReadBound(h.Bound)
	if !ok {
		return picture{}, errUnlike
	}
	result := conn.ExecParams(ctx, h.SQL, bound.Values, h.ParamTypes, signed(bound.Formats), signed(bound.ResultFormats))
	p := read(result)
	_, err := result.Close()
	return p, err
}

func signed(codes []uint16) []int16 {
	formats := make([]int16, len(codes))
	for i, code := range codes {
		formats[i] = int16(code)
	}
	return formats
}

// read takes a picture of a result.
func read(result *pgconn.ResultReader) (p picture) {
	var row []byte
	for result.NextRow() {
		row = appendRow(row[:0], result.Values())
		p.add(row)
	}
	tag, err := result.Close()
	if err == nil {
		p.tag = tag.String()
	}
	return p
}

// run executes statements that return nothing.
func run(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	return conn.Exec(ctx, sql).Close()
}
