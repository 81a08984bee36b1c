package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// testsAtOnce is more than there are processors: tests wait for programs more than they work.
const testsAtOnce = 6

func TestMain(m *testing.M) {
	// The tests choose the environment that they run in.
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		ours := strings.HasPrefix(name, "FRESHET_") && name != servers.EnvDir && name != servers.EnvPostgresBin && name != servers.EnvRedisServer
		if ours || strings.HasPrefix(name, "PG") {
			_ = os.Unsetenv(name)
		}
	}
	goleak.VerifyTestMain(servers.Shared(program.Removed(m), servers.Needs{Postgres: true, Redis: true, AtOnce: testsAtOnce}))
}

// freshet runs one command line inside this process.
func freshet(t *testing.T, arguments ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = runCommand(t.Context(), arguments, output{&out, &err})
	return code, out.String(), err.String()
}

// shortDir makes a directory whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "freshet")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestHelp(t *testing.T) {
	t.Setenv("COLUMNS", "100")
	for _, command := range []string{"", "serve", "install", "uninstall", "suspend", "resume", "explain", "observe", "purge", "bypass", "doctor", "healthcheck", "stats", "top", "tail", "reload", "completion", "man", "config check", "config show", "version"} {
		name := "help.txt"
		arguments := []string{"--help"}
		if command != "" {
			name = "help-" + strings.ReplaceAll(command, " ", "-") + ".txt"
			arguments = append(strings.Fields(command), "--help")
		}
		code, got, _ := freshet(t, arguments...)
		if code != exitOK {
			t.Errorf("%s --help: exit code %d", command, code)
		}
		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is not what --help prints; if the change is meant, run the test with -update. Got:\n%s", golden, got)
		}
	}
}

func TestVersion(t *testing.T) {
	code, stdout, _ := freshet(t, "version")
	if code != exitOK || !strings.HasPrefix(stdout, "freshet ") || len(strings.Fields(stdout)) != 4 || strings.Count(stdout, "\n") != 1 {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}

func TestWrongCommandLines(t *testing.T) {
	long := "/" + strings.Repeat("x", 100)
	for _, c := range []struct {
		name      string
		arguments []string
		says      []string
	}{
		{"no such command", []string{"server"}, []string{`did you mean "serve"`, "freshet --help"}},
		{"no such flag", []string{"serve", "--socketdir", "x"}, []string{`did you mean "--socket-dir"`, "freshet serve --help"}},
		{"no socket directory", []string{"serve"}, []string{"--socket-dir is missing"}},
		{"a socket directory that is too long", []string{"serve", "--socket-dir", long}, []string{"choose a shorter directory"}},
		{"a port out of range", []string{"serve", "--socket-dir", "x", "--port", "70000"}, []string{"between 1 and 65535"}},
		{"a size without sense", []string{"serve", "--memory", "plenty"}, []string{"--memory", "64MiB"}},
		{"an entry larger than memory", []string{"serve", "--socket-dir", "x", "--memory", "1MiB", "--max-entry", "2MiB"}, []string{"--max-entry", "between"}},
		{"a duration without a unit", []string{"serve", "--staleness", "1"}, []string{"--staleness", "duration"}},
		{"a staleness of nothing", []string{"serve", "--socket-dir", "x", "--staleness", "0s"}, []string{"--staleness 0s is too short"}},
		{"polling too seldom", []string{"serve", "--socket-dir", "x", "--poll", "600ms"}, []string{"more than half of --staleness", "--poll 250ms"}},
		{"no admin address", []string{"serve", "--socket-dir", "x", "--admin", "7070"}, []string{"--admin", "127.0.0.1:7070, or off"}},
		{"no TCP address", []string{"serve", "--socket-dir", "x", "--listen-tcp", "6432"}, []string{"--listen-tcp", "127.0.0.1:6432"}},
		{"a certificate and no TCP", []string{"serve", "--socket-dir", "x", "--tls-self-signed"}, []string{"add --listen-tcp"}},
		{"a certificate without its key", []string{"serve", "--socket-dir", "x", "--listen-tcp", "127.0.0.1:0", "--tls-cert-file", "/no/such"}, []string{"give both"}},
		{"two certificates", []string{"serve", "--socket-dir", "x", "--listen-tcp", "127.0.0.1:0", "--tls-self-signed", "--tls-cert-file", "a", "--tls-key-file", "b"}, []string{"leave one out"}},
		{"a certificate that is not there", []string{"serve", "--socket-dir", "x", "--listen-tcp", "127.0.0.1:0", "--tls-cert-file", "/no/such", "--tls-key-file", "/no/such"}, []string{"--tls-cert-file", "no such file"}},
		{"a level of no name", []string{"serve", "--log-level", "loud"}, []string{"debug, info, warn or error"}},
		{"no known scheme for Redis", []string{"serve", "--socket-dir", "x", "--redis", "http://h:secret@x"}, []string{"redis://host:6379/0"}},
		{"a DSN without sense", []string{"serve", "--socket-dir", "x", "--admin", "off", "--upstream", "host=/x port=abc password=secret"}, []string{"--upstream", "invalid port"}},
		{"an upstream that is the sidecar", []string{"serve", "--socket-dir", "/x", "--admin", "off", "--upstream", "host=/x/ port=6432 user=u"}, []string{"the sidecar's own socket"}},
		{"several at once", []string{"serve", "--port", "0", "--memory", "1"}, []string{"--socket-dir", "--port", "--memory"}},
		{"nothing to watch", []string{"install"}, []string{"--watch is missing"}},
		{"an empty pattern", []string{"install", "--watch", "a.b,,c.d"}, []string{"a pattern is empty"}},
		{"nothing to explain", []string{"explain"}, []string{"<statement>"}},
		{"a file that is not there", []string{"serve", "--config", "/no/such/file"}, []string{"/no/such/file"}},
	} {
		code, stdout, stderr := freshet(t, c.arguments...)
		if code != exitUsage || stdout != "" {
			t.Errorf("%s: exit code %d, output %q", c.name, code, stdout)
		}
		for _, text := range c.says {
			if !strings.Contains(stderr, text) {
				t.Errorf("%s: the error lacks %q:\n%s", c.name, text, stderr)
			}
		}
		if strings.Contains(stderr, "secret") {
			t.Errorf("%s: the error shows a password:\n%s", c.name, stderr)
		}
	}
}

// A variable that is misspelled would be left out in silence; those of the servers
// that tests and the demo start are nobody's options.
func TestUnknownVariables(t *testing.T) {
	for _, name := range []string{servers.EnvDir, servers.EnvPostgresBin, servers.EnvRedisServer} {
		t.Setenv(name, t.TempDir())
	}
	for name, says := range map[string]string{
		"FRESHET_SOCKETDIR":   "did you mean FRESHET_SOCKET_DIR?",
		"FRESHET_WHATEVER_XY": "which is no option of any command",
		"FRESHET_STALENESS":   "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "1s")
			code, _, stderr := freshet(t, "version")
			if says == "" && code != exitOK || says != "" && (code != exitUsage || !strings.Contains(stderr, says) || !strings.Contains(stderr, name)) {
				t.Errorf("exit code %d, %q", code, stderr)
			}
		})
	}
}
