package drivers

import (
	"path/filepath"
	"sync"
	"testing"
)

// mappers builds the programs of the module testdata/go, once, and returns the one program
// that they are: its argument says which.
var mappers = sync.OnceValues(func() (string, error) {
	program, err := filepath.Abs(filepath.Join(scratch, "mappers"))
	if err != nil {
		return "", err
	}
	return program, linkKept(filepath.Join("testdata", "go"), ".", program)
})

func testMapper(t *testing.T, name, program string) {
	prove(t, client{name: name, run: func(t *testing.T, at endpoint) string {
		t.Helper()
		mappers, err := mappers()
		if err != nil {
			t.Fatal(err)
		}
		return output(t, at, "", mappers, program)
	}})
}

func TestGORM(t *testing.T) { testMapper(t, "GORM", "gorm") }

func TestBun(t *testing.T) { testMapper(t, "bun", "bun") }

func TestSqlc(t *testing.T) { testMapper(t, "sqlc", "sqlc") }
