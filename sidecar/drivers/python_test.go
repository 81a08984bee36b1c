package drivers

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// debianPython is where Debian's packages are; other systems have one in PATH.
const debianPython = "/usr/bin/python3"

// pythonClient is a program of testdata/python.
type pythonClient struct {
	name, program string
	// modules are what it imports, packages where Debian has them.
	modules, packages string
}

// python finds a Python that has the modules.
func (c pythonClient) python(t *testing.T) string {
	t.Helper()
	for _, python := range []string{debianPython, "python3"} {
		if exec.Command(python, "-c", "import "+c.modules).Run() == nil {
			return python
		}
	}
	t.Fatalf("no Python has %s: apt-get install %s", c.modules, c.packages)
	return ""
}

// prove proves the client in each of its program's modes.
func (c pythonClient) prove(t *testing.T, modes ...string) {
	python := c.python(t)
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			prove(t, client{name: c.name + ", " + mode, run: func(t *testing.T, at endpoint) string {
				t.Helper()
				// Debian's Django uses what its Python has begun to advise against.
				return output(t, at, "", python, "-W", "error", "-W", "ignore::DeprecationWarning",
					filepath.Join("testdata", "python", c.program), mode)
			}})
		})
	}
}

func TestPsycopg2(t *testing.T) {
	pythonClient{"psycopg2", "psycopg2_program.py", "psycopg2", "python3-psycopg2"}.prove(t, "autocommit", "transactions")
}

func TestPsycopg3(t *testing.T) {
	pythonClient{"psycopg 3", "psycopg_program.py", "psycopg", "python3-psycopg"}.prove(t, "autocommit", "transactions")
}

func TestAsyncpg(t *testing.T) {
	pythonClient{"asyncpg", "asyncpg_program.py", "asyncpg", "python3-asyncpg"}.prove(t, "connection", "pool")
}

func TestSQLAlchemy(t *testing.T) {
	pythonClient{"SQLAlchemy", "sqlalchemy_program.py", "sqlalchemy, psycopg2", "python3-sqlalchemy python3-psycopg2"}.
		prove(t, "sessions", "autocommit")
}

func TestDjango(t *testing.T) {
	pythonClient{"Django", "django_program.py", "django, psycopg2", "python3-django python3-psycopg2"}.
		prove(t, "autocommit", "atomic requests")
}
