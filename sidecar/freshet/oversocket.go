package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation/connection"
	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// socketDSN is how a client reaches the socket that --socket names: by its directory, which
// means port 6432, by its path, or by a DSN.
func socketDSN(socket string) string {
	if !strings.HasPrefix(socket, "/") {
		return socket
	}
	dir, port := filepath.Clean(socket), "6432"
	if name, is := strings.CutPrefix(filepath.Base(dir), transport.SocketPrefix); is {
		dir, port = filepath.Dir(dir), name
	}
	return fmt.Sprintf("host='%s' port=%s", strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(dir), port)
}

// connectOverSocket connects to a sidecar as its clients do. database is what clients ask for,
// empty what the DSN says; program is who Postgres is told to be there. The caller closes it.
func connectOverSocket(ctx context.Context, socket, database, program string) (*pgx.Conn, error) {
	config, err := parseDSN("--socket", socketDSN(socket))
	if err != nil {
		return nil, err
	}
	if database != "" {
		config.Database = database
	}
	config.RuntimeParams["application_name"] = program
	ctx, cancel := context.WithTimeout(ctx, connectMax)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the sidecar (--socket): %w", connection.OneLine(err))
	}
	return conn, nil
}

// reportOver asks a sidecar for its statistics.
func reportOver(ctx context.Context, conn *pgx.Conn) (s dashboard.Stats, raw []byte, err error) {
	var text string
	if err := conn.QueryRow(ctx, "SHOW freshet.report", pgx.QueryExecModeSimpleProtocol).Scan(&text); err != nil {
		return s, nil, fmt.Errorf("ask the sidecar over its socket: %w: is it Postgres itself?", err)
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, nil, fmt.Errorf("read the sidecar's statistics: %w", err)
	}
	return s, []byte(text), nil
}
