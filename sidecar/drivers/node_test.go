package drivers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// installMax bounds the installation of what a lock file names.
const installMax = 2 * time.Minute

// nodePrograms installs what the programs need beside copies of them, once, and
// returns their folder: nothing is left in the source.
var nodePrograms = sync.OnceValues(func() (string, error) {
	for _, need := range []string{"node", "npm"} {
		if _, err := exec.LookPath(need); err != nil {
			return "", fmt.Errorf("find %s: %w; run: apt-get install nodejs npm", need, err)
		}
	}
	dir := filepath.Join(scratch, "node")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "node"))); err != nil {
		return "", fmt.Errorf("copy the node programs: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), installMax)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install what package-lock.json names with npm ci: %w\n%s", err, out)
	}
	return dir, nil
})

func testNode(t *testing.T, name, program string) {
	prove(t, client{name: name, run: func(t *testing.T, at endpoint) string {
		t.Helper()
		dir, err := nodePrograms()
		if err != nil {
			t.Fatal(err)
		}
		return output(t, at, "", "node", filepath.Join(dir, program))
	}})
}

func TestNodePostgres(t *testing.T) { testNode(t, "node-postgres", "node_postgres.js") }

func TestPostgresJS(t *testing.T) { testNode(t, "postgres.js", "postgres_js.js") }

func TestDrizzle(t *testing.T) { testNode(t, "Drizzle", "drizzle.js") }
