package servers

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// fastSettings trade durability, which a throwaway server does not need, for
// speed, and keep it small.
var fastSettings = map[string]string{
	"fsync":            "off",
	"full_page_writes": "off",
	// Without statistics a read of three rows looks as if it were worth compiling.
	"jit":             "off",
	"shared_buffers":  "32MB",
	"max_connections": "200",
	"timezone":        "UTC",
	"log_timezone":    "UTC",
	"log_line_prefix": "%m [%p] ",
	// Parallel queries' memory stays in the data directory and is removed with it
	// after a kill; the default would leave it in /dev/shm.
	"dynamic_shared_memory_type": "mmap",
}

// naptimeOfTests is longer than any test. Autovacuum analyses a table some time after it was
// filled, a minute or later, which a slow machine meets and a fast one does not: plans change
// with it, and what depends on them, such as how many rows come before an error.
const naptimeOfTests = "1d"

// ownSettings belong to the harness.
var ownSettings = []string{"port", "listen_addresses", "unix_socket_directories"}

// configure writes the server's settings and who may log in.
func (p *Postgres) configure() error {
	for _, name := range ownSettings {
		if _, given := p.options.Settings[name]; given {
			return fmt.Errorf("configure PostgreSQL: setting %s is the harness's; see PostgresOptions.TCP", name)
		}
	}
	settings := maps.Clone(fastSettings)
	if p.options.undisturbed {
		settings["autovacuum_naptime"] = naptimeOfTests
	}
	maps.Copy(settings, p.options.Settings)
	settings["port"] = strconv.Itoa(p.port)
	settings["unix_socket_directories"] = p.dir
	settings["listen_addresses"] = ""
	if p.options.TCP {
		settings["listen_addresses"] = loopback
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s = '%s'\n", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	if err := p.writeDataFile("postgresql.conf", text.String()); err != nil {
		return err
	}
	rules := append(slices.Clone(p.options.HBA), "local all all trust", "local replication all trust",
		"host all all "+loopback+"/32 trust", "host replication all "+loopback+"/32 trust")
	return p.writeDataFile("pg_hba.conf", strings.Join(rules, "\n")+"\n")
}

func (p *Postgres) writeDataFile(name, text string) error {
	path := filepath.Join(p.DataDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("configure PostgreSQL: %w", err)
	}
	return p.run.account.own(path)
}
