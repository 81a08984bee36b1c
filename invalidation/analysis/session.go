package analysis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/invalidation/connection"
)

// sideSettings make a session that only looks: it cannot write, and waits for no
// lock. It answers each Parse with the rewritten tree once trees are kept out of the
// server's log: connect asks for them then.
var sideSettings = map[string]string{
	"default_transaction_read_only":  "on",
	"default_transaction_isolation":  "read committed",
	"default_transaction_deferrable": "off",
	"lock_timeout":                   "200ms",
	"statement_timeout":              "5s",
	"client_min_messages":            "log",
	"debug_pretty_print":             "off",
	"row_security":                   "on",
	"search_path":                    "",
}

// parseSettings are the settings of a client that can change the tree of its
// statements; a request's other settings do not reach the side session.
var parseSettings = newSet("standard_conforming_strings", "backslash_quote", "transform_null_equals",
	"array_nulls", "datestyle", "timezone", "timezone_abbreviations", "intervalstyle", "lc_monetary", "xmloption",
	"default_text_search_config")

// Applies reports whether a setting of a request reaches the session in which its
// statement is parsed.
func Applies(setting string) bool { return parseSettings[strings.ToLower(setting)] }

// supportedMajors are the server versions whose trees are understood: those that
// this package's tests passed on (FRESHET_PG_BIN names another server for them).
var supportedMajors = map[int]bool{14: true, 15: true, 16: true, 17: true, 18: true}

// TestedVersions returns the first and the last major version of PostgreSQL whose trees are
// understood.
func TestedVersions() (first, last int) {
	majors := slices.Sorted(maps.Keys(supportedMajors))
	return majors[0], majors[len(majors)-1]
}

// checkVersion refuses a server of a version that was not tested, unless it may be any.
func checkVersion(version string, any bool) *refusal {
	if any || supportedMajors[majorVersion(version)] {
		return nil
	}
	first, last := TestedVersions()
	return refuse(ReasonUnsupportedServer, fmt.Sprintf("PostgreSQL %s; the reader of trees was tested with %d to %d", version, first, last))
}

// dumpTitle is the message of the notice that carries the tree. The server does
// not translate it.
const dumpTitle = "rewritten parse tree:"

// session is one side session. It serves one analysis at a time.
type session struct {
	conn       *pgx.Conn
	dumps      []string
	searchPath string
	settings   map[string]string
	unfit      *refusal // why this server cannot be analysed on, if so
	used       bool     // it has served before, and may have been lost since
}

func connect(ctx context.Context, base *pgx.ConnConfig, before connection.BeforeFunc, log *serverLog, anyVersion bool) (*session, error) {
	s := &session{settings: map[string]string{}}
	config := base.Copy()
	config.RuntimeParams["client_encoding"] = "UTF8"
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.Message == dumpTitle && len(s.dumps) < 2 {
			s.dumps = append(s.dumps, n.Detail)
		}
	}
	conn, err := connection.Open(ctx, connection.Options{Config: config, Before: before, Name: "freshet analysis", Settings: sideSettings})
	if err != nil {
		return nil, fmt.Errorf("open analysis session: %w", err)
	}
	s.conn = conn
	if err := log.silence(ctx, conn); err != nil {
		s.close()
		return nil, fmt.Errorf("prepare analysis session: %w", err)
	}
	if _, err := conn.Exec(ctx, "SET debug_print_rewritten = on"); err != nil {
		s.close()
		return nil, fmt.Errorf("prepare analysis session: %w", err)
	}
	if s.unfit, err = s.examine(ctx, anyVersion); err != nil {
		s.close()
		return nil, fmt.Errorf("examine server: %w", err)
	}
	return s, nil
}

// examine asks whether this server's trees can be read at all: a known version,
// UTF8 (offsets and texts are compared byte by byte), and a constant that reads
// back as what was sent (the dump shows memory, so byte order matters).
func (s *session) examine(ctx context.Context, anyVersion bool) (*refusal, error) {
	if no := checkVersion(s.conn.PgConn().ParameterStatus("server_version"), anyVersion); no != nil {
		return no, nil
	}
	var encoding string
	if err := s.conn.QueryRow(ctx, "SELECT pg_catalog.current_setting('server_encoding')").Scan(&encoding); err != nil {
		return nil, err
	}
	if encoding != "UTF8" {
		return refuse(ReasonUnsupportedServer, "server_encoding "+encoding), nil
	}
	dump, _, err := s.parse(ctx, "SELECT 16909060", nil)
	if err != nil {
		return nil, err
	}
	tree, err := readTree(dump)
	if err != nil {
		return refuse(ReasonUnsupportedServer, err.Error()), nil
	}
	found := false
	walk(tree, func(n *node) bool {
		if n.tag == "CONST" {
			text, ok := constText(n)
			found = ok && text == "16909060"
		}
		return true
	})
	if !found {
		return refuse(ReasonUnsupportedServer, "constants of the query tree cannot be read"), nil
	}
	return nil, nil
}

func majorVersion(version string) int {
	end := 0
	for end < len(version) && isDigit(version[end]) {
		end++
	}
	// An empty number reads as 0, which no table of versions holds.
	major, _ := strconv.Atoi(version[:end])
	return major
}

// parse has a statement parsed and returns the dump of its rewritten tree.
func (s *session) parse(ctx context.Context, sql string, paramTypes []uint32) (string, *pgconn.StatementDescription, error) {
	s.dumps = nil
	description, err := s.conn.PgConn().Prepare(ctx, "", sql, paramTypes)
	if err != nil {
		return "", nil, err
	}
	switch {
	case len(s.dumps) == 0:
		return "", nil, refuse(ReasonUnsupportedServer, "no query tree for a statement")
	case len(s.dumps) > 1:
		// The check of a domain, or what orders the values of a range.
		return "", nil, refuse(ReasonUserFunction, "a function that runs when a constant is read")
	}
	return s.dumps[0], description, nil
}

// adopt gives the session the client's search_path and settings, in one round
// trip, or none if it has them already.
func (s *session) adopt(ctx context.Context, r *Request) error {
	var commands []string
	path := quoteIdentifiers(r.SearchPath)
	if path != s.searchPath {
		commands = append(commands, "SET search_path = "+path, "SET debug_print_rewritten = on")
	}
	want := map[string]string{}
	for name, value := range r.Settings {
		if name = strings.ToLower(name); Applies(name) {
			want[name] = value
		}
	}
	for name := range s.settings {
		if _, ok := want[name]; !ok {
			commands = append(commands, "RESET "+name)
		}
	}
	for name, value := range want {
		if have, ok := s.settings[name]; !ok || have != value {
			commands = append(commands, "SET "+name+" = "+quoteLiteral(value))
		}
	}
	if len(commands) == 0 {
		return nil
	}
	// Strings here are safe in either setting of standard_conforming_strings.
	slices.Sort(commands)
	if err := s.conn.PgConn().Exec(ctx, strings.Join(commands, ";")).Close(); err != nil {
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code[:2] == "22" {
			return refuse(ReasonSettingDependent, "a setting the server does not accept")
		}
		return fmt.Errorf("adopt settings: %w", err)
	}
	s.searchPath, s.settings = path, want
	return nil
}

// ownSearchPath holds nothing that a client can have made.
const ownSearchPath = "pg_catalog, pg_temp"

// leaveSearchPath must come between the client's statement and a query of ours. In
// the client's search path the names and operators of that query could be those of
// the client's functions, which would then run with the rights of this session. The
// trees of our queries are not asked for: they would fill Postgres' log.
func (s *session) leaveSearchPath(ctx context.Context) error {
	if s.searchPath == ownSearchPath {
		return nil
	}
	if _, err := s.conn.PgConn().Exec(ctx, "SET search_path = "+ownSearchPath+"; SET debug_print_rewritten = off").ReadAll(); err != nil {
		return fmt.Errorf("leave the client's search path: %w", err)
	}
	s.searchPath = ownSearchPath
	return nil
}

func quoteIdentifiers(names []string) string {
	if len(names) == 0 {
		return "''"
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = `"` + strings.ReplaceAll(n, `"`, `""`) + `"`
	}
	return strings.Join(quoted, ", ")
}

func quoteLiteral(text string) string {
	return "E'" + strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), `'`, `''`) + "'"
}

func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeMax)
	defer cancel()
	// An error here only says that the connection was gone already.
	_ = s.conn.Close(ctx)
}
