package drivers

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// script is a program of testdata for an interpreter that the system has.
type script struct {
	interpreter, file string
	// loads are arguments with which the interpreter does nothing, and succeeds if
	// it has the driver.
	loads []string
	// packages are where Debian has the interpreter and the driver.
	packages string
}

func (s script) prove(t *testing.T, name string, args ...string) {
	t.Helper()
	if err := exec.Command(s.interpreter, s.loads...).Run(); err != nil {
		t.Fatalf("%s with what %s needs: %v; run: apt-get install %s", s.interpreter, s.file, err, s.packages)
	}
	prove(t, client{name: name, run: func(t *testing.T, at endpoint) string {
		t.Helper()
		return output(t, at, "", s.interpreter, append([]string{filepath.Join("testdata", s.file)}, args...)...)
	}})
}

func TestPDO(t *testing.T) {
	pdo := script{"php", "php/program.php", []string{"-r", "exit(extension_loaded('pdo_pgsql') ? 0 : 1);"}, "php-cli php-pgsql"}
	for _, mode := range []string{"prepares", "no prepares"} {
		t.Run(mode, func(t *testing.T) { pdo.prove(t, "PDO, "+mode, mode) })
	}
}

func TestRubyPg(t *testing.T) {
	script{"ruby", "ruby/program.rb", []string{"-e", "require 'pg'"}, "ruby ruby-pg"}.prove(t, "Ruby pg")
}

func TestDBDPg(t *testing.T) {
	script{"perl", "perl/program.pl", []string{"-MDBD::Pg", "-e", "1"}, "perl libdbd-pg-perl"}.prove(t, "DBD::Pg")
}
