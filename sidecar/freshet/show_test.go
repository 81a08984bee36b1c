package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A client reads what its sidecar counts where it reads everything else, in every
// protocol, in a transaction, whatever it has set, and anew each time.
func TestReportsOverTheSocket(t *testing.T) {
	t.Parallel()
	dsn, _ := setupFruit(t)
	s := startWatching(t, testConfig(t, dsn, "--watch", "public.*"))
	for name, mode := range map[string]pgx.QueryExecMode{
		"simple": pgx.QueryExecModeSimpleProtocol, "prepared": pgx.QueryExecModeCacheStatement, "unnamed": pgx.QueryExecModeExec,
	} {
		t.Run(name, func(t *testing.T) {
			config := s.ClientConfig()
			config.RuntimeParams["application_name"] = "reports"
			conn := connect(t, config)
			shown := func(sql string) (text string) {
				t.Helper()
				if err := conn.QueryRow(t.Context(), sql, mode).Scan(&text); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
				return text
			}
			statements := func() (n uint64) {
				t.Helper()
				var stats struct{ Queries map[string]uint64 }
				if err := json.Unmarshal([]byte(shown("SHOW freshet.stats")), &stats); err != nil {
					t.Fatal(err)
				}
				for _, some := range stats.Queries {
					n += some
				}
				return n
			}
			if first, second := statements(), statements(); second <= first {
				t.Errorf("%d statements, then %d", first, second)
			}
			if got := shown("show FRESHET.VERSION"); got != programVersion() {
				t.Errorf("version %q", got)
			}
			if mode != pgx.QueryExecModeSimpleProtocol { // in which pgx needs it
				if _, err := conn.Exec(t.Context(), "SET standard_conforming_strings = off"); err != nil {
					t.Fatal(err)
				}
			}
			if got := shown("SELECT current_setting('freshet.tables')"); !strings.Contains(got, `"name":"public.fruit"`) {
				t.Errorf("tables %s", got)
			}
			if got := shown("SHOW freshet.queries"); !json.Valid([]byte(got)) || got[0] != '[' {
				t.Errorf("queries %s", got)
			}
			if got := shown("SHOW freshet.sessions"); !strings.Contains(got, fmt.Sprintf(`"pid":%d,`, conn.PgConn().PID())) || !strings.Contains(got, `"application":"reports"`) {
				t.Errorf("sessions %s", got)
			}
			if got := shown("SHOW freshet.fleet"); got != "[]" {
				t.Errorf("without Redis the fleet is %s", got)
			}
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := shown("SHOW freshet.bypasses"); !json.Valid([]byte(got)) {
				t.Errorf("bypasses %s", got)
			}
			var rows int
			if err := tx.QueryRow(t.Context(), "SELECT count(*) FROM json_each_text(current_setting('freshet.stats')::json)", mode).Scan(&rows); err != nil || rows < 5 {
				t.Errorf("%d rows, error %v", rows, err)
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
