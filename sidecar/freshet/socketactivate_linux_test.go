package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

// systemd's own program opens the socket, and starts the sidecar when somebody connects.
func TestSocketOfSystemd(t *testing.T) {
	t.Parallel()
	activate, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Fatalf("%v: .ci/install-packages tests installs it, or apt-get install systemd", err)
	}
	dsn, direct := setupFruit(t)
	dir := shortDir(t)
	if code, _, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*"); code != exitOK {
		t.Fatal(stderr)
	}
	command := exec.Command(activate, "--listen="+filepath.Join(dir, ".s.PGSQL.6432"), "--fdname=client",
		program.Path(t), "serve", "--upstream", dsn, "--socket-dir", dir, "--admin", "off")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	var conn *pgx.Conn
	servers.Eventually(t, "systemd has opened the socket, and the sidecar answers on it", func() bool {
		conn, err = pgx.Connect(t.Context(), clientDSN(direct, dir))
		return err == nil
	})
	defer conn.Close(context.Background())
	var version string
	if err := conn.QueryRow(t.Context(), "SHOW freshet.version").Scan(&version); err != nil || version == "" {
		t.Errorf("version %q, error %v", version, err)
	}
}
