package drivers

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// debianPython is where Debian's packages are; other systems have one in PATH.
const debianPython = "/usr/bin/python3"

// pythonWith finds a Python that has a module.
func pythonWith(t *testing.T, module, debianPackage string) string {
	t.Helper()
	for _, python := range []string{debianPython, "python3"} {
		if exec.Command(python, "-c", "import "+module).Run() == nil {
			return python
		}
	}
	t.Fatalf("no Python with the module %s: apt-get install %s", module, debianPackage)
	return ""
}

func pythonProgram(t *testing.T, at endpoint, python, name, mode string) string {
	t.Helper()
	return output(t, at, "", python, "-W", "error", filepath.Join("testdata", "python", name), mode)
}

func testPython(t *testing.T, module, debianPackage, program string) {
	for _, mode := range []string{"autocommit", "transactions"} {
		t.Run(mode, func(t *testing.T) {
			prove(t, client{
				run: func(t *testing.T, at endpoint) string {
					return pythonProgram(t, at, pythonWith(t, module, debianPackage), program, mode)
				},
				// Both drivers begin a transaction before the first statement.
				inTransactions: mode == "transactions",
			})
		})
	}
}

func TestPsycopg2(t *testing.T) {
	testPython(t, "psycopg2", "python3-psycopg2", "psycopg2_program.py")
}

func TestPsycopg3(t *testing.T) {
	testPython(t, "psycopg", "python3-psycopg", "psycopg_program.py")
}
