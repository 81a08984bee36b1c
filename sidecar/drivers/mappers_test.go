package drivers

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// mappers builds the programs of the module testdata/go, once, and returns the
// folder that they are in.
var mappers = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(scratch, "go")
	build := exec.Command("go", "build", "-ldflags=-w", "-o", dir+string(filepath.Separator), "./gorm", "./bun", "./sqlc", "./sqlx", "./ent")
	build.Dir = filepath.Join("testdata", "go")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs of testdata/go: %w\n%s", err, out)
	}
	return dir, nil
})

func testMapper(t *testing.T, name, program string) {
	prove(t, client{name: name, run: func(t *testing.T, at endpoint) string {
		t.Helper()
		dir, err := mappers()
		if err != nil {
			t.Fatal(err)
		}
		return output(t, at, "", filepath.Join(dir, program))
	}})
}

func TestGORM(t *testing.T) { testMapper(t, "GORM", "gorm") }

func TestBun(t *testing.T) { testMapper(t, "bun", "bun") }

func TestSqlc(t *testing.T) { testMapper(t, "sqlc", "sqlc") }
