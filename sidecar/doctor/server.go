package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The versions that the analysis knows.
const versionMin, versionMax = 14, 18

// version checks that the server is one that statements can be analysed on.
func (e *examination) version(ctx context.Context) error {
	var number int
	var encoding, strings string
	var standby bool
	err := e.conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding'),
		current_setting('standard_conforming_strings'), pg_is_in_recovery()`).Scan(&number, &encoding, &strings, &standby)
	if err != nil {
		return fmt.Errorf("ask for the version: %w", err)
	}
	e.judgeVersion(number, encoding, strings, standby)
	return nil
}

// judgeVersion says what is to be said of a server's major version, the database's encoding,
// standard_conforming_strings and whether it is a standby.
func (e *examination) judgeVersion(number int, encoding, strings string, standby bool) {
	switch {
	case number < versionMin || number > versionMax:
		e.add(Fail, "version", fmt.Sprintf("PostgreSQL %d is not one of %d to %d: nothing is cached", number, versionMin, versionMax), "use a version that is")
	case standby:
		e.add(Fail, "version", "the server is a hot standby: changes cannot be followed there", "name the primary with --primary")
	case encoding != "UTF8":
		e.add(Fail, "version", "the database is encoded as "+encoding+": nothing is cached", "use a database with the encoding UTF8")
	case strings != "on":
		e.add(Warn, "version", "standard_conforming_strings is off: a backslash in a literal means something else to each session", "ALTER DATABASE … SET standard_conforming_strings = on")
	default:
		e.add(OK, "version", fmt.Sprintf("PostgreSQL %d, UTF8", number), "")
	}
}

// role checks what the role may do that follows and analyses.
func (e *examination) role(ctx context.Context) error {
	var name string
	var super, quiet, readsRoles bool
	err := e.conn.QueryRow(ctx, `SELECT r.rolname::text, r.rolsuper, current_setting('log_min_messages') IN ('fatal', 'panic'),
		has_table_privilege('pg_catalog.pg_authid', 'SELECT')
		FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`).Scan(&name, &super, &quiet, &readsRoles)
	if err != nil {
		return fmt.Errorf("ask for the role: %w", err)
	}
	quiet = quiet || e.mayQuieten(ctx)
	quoted := pgx.Identifier{name}.Sanitize()
	switch {
	case super:
		e.add(Warn, "role", name+" is a superuser: what types of users run when constants are read, runs with all rights", "follow as a role of its own: freshet install --follower-role ROLE")
	case !quiet:
		e.add(Warn, "role", name+" may not set log_min_messages: statements that are analysed stand in the server's log, with their literals", quietenRemedy(e.conn, quoted))
	case !readsRoles:
		e.add(OK, "role", name+" owns no more than it needs; where row security does not apply because of BYPASSRLS, it is not known (no right to read pg_authid)", "")
	default:
		e.add(OK, "role", name, "")
	}
	if super || !e.Verifies {
		return nil
	}
	return e.imitable(ctx, quoted)
}

// strangersSQL lists the roles that clients may have, and the own one may not become, as who
// verifies what they were answered has to. Before PostgreSQL 16 every member may; then a membership
// says so. Nobody should be given a superuser's rights for that.
const strangersSQL = `SELECT coalesce(array_agg(r.rolname::text ORDER BY r.rolname), '{}') FROM pg_catalog.pg_roles r
	WHERE r.rolcanlogin AND r.rolname <> current_user AND has_database_privilege(r.oid, current_database(), 'CONNECT')
	AND NOT r.rolsuper AND NOT pg_has_role(r.oid, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)`

// imitable says whose answers verification skips.
func (e *examination) imitable(ctx context.Context, quoted string) error {
	var strangers []string
	if err := e.conn.QueryRow(ctx, strangersSQL).Scan(&strangers); err != nil {
		return fmt.Errorf("ask which roles can be imitated: %w", err)
	}
	if len(strangers) == 0 {
		e.add(OK, "role", "answers to every role can be verified", "")
		return nil
	}
	e.add(OK, "role", "verification skips answers to "+list(strangers)+", whom "+quoted+" may not become (skipped_role)",
		"GRANT role TO "+quoted+", for who shall be verified: it gives "+quoted+" that role's rights, so only if you want that")
	return nil
}

// mayQuieten reports whether the role may keep statements out of the server's log.
func (e *examination) mayQuieten(ctx context.Context) bool {
	tx, err := e.conn.Begin(ctx)
	if err != nil {
		return false
	}
	defer func() { _ = tx.Rollback(ctx) }() // nothing was changed
	_, err = tx.Exec(ctx, "SET LOCAL log_min_messages = panic")
	return err == nil
}

func quietenRemedy(conn *pgx.Conn, role string) string {
	if strings.HasPrefix(conn.PgConn().ParameterStatus("server_version"), "14") {
		return "ALTER ROLE " + role + " SET log_min_messages = panic"
	}
	return "GRANT SET ON PARAMETER log_min_messages TO " + role
}

// connectionsSpare is the share of max_connections that should be free.
const connectionsSpare = 0.2

// connections compares the connections that are open with those that may be.
func (e *examination) connections(ctx context.Context) error {
	var most, reserved, open int
	err := e.conn.QueryRow(ctx, `SELECT current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int,
		(SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend')`).Scan(&most, &reserved, &open)
	if err != nil {
		return fmt.Errorf("count the connections: %w", err)
	}
	e.judgeConnections(open, most-reserved)
	return nil
}

// connectionsOwn is how many a sidecar has to one database besides those of its clients, at most.
const connectionsOwn = 6

// connectionsMax is how many the sidecar opens at most, 0 if its options do not say.
func (e *examination) connectionsMax() int {
	if e.MaxClients == 0 {
		return e.MaxUpstream
	}
	most := e.MaxClients + connectionsOwn
	if e.MaxUpstream > 0 {
		most = min(most, e.MaxUpstream)
	}
	return most
}

// judgeConnections says whether there is room for clients among the connections that may be.
func (e *examination) judgeConnections(open, most int) {
	text := fmt.Sprintf("%d of %d connections of Postgres are in use; a sidecar has one for each client, and up to %d of its own", open, most, connectionsOwn)
	switch {
	case float64(open) > (1-connectionsSpare)*float64(most):
		e.add(Warn, "limits", text, "raise max_connections, or let clients pool")
	case e.connectionsMax() > most:
		e.add(Warn, "limits", fmt.Sprintf("%s: as configured up to %d", text, e.connectionsMax()), "lower --max-clients or --max-upstream, or raise max_connections")
	default:
		e.add(OK, "limits", text, "")
	}
}
