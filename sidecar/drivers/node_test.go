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

// nodeProgram installs what the program needs beside a copy of it, once, and
// returns the copy: nothing is left in the source.
var nodeProgram = sync.OnceValues(func() (string, error) {
	for _, need := range []string{"node", "npm"} {
		if _, err := exec.LookPath(need); err != nil {
			return "", fmt.Errorf("find %s: %w; run: apt-get install nodejs npm", need, err)
		}
	}
	dir := filepath.Join(scratch, "node")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "node"))); err != nil {
		return "", fmt.Errorf("copy the node program: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), installMax)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install node-postgres with npm ci: %w\n%s", err, out)
	}
	return filepath.Join(dir, "program.js"), nil
})

func TestNodePostgres(t *testing.T) {
	prove(t, client{name: "node-postgres", run: func(t *testing.T, at endpoint) string {
		t.Helper()
		program, err := nodeProgram()
		if err != nil {
			t.Fatal(err)
		}
		return output(t, at, "", "node", program)
	}})
}
