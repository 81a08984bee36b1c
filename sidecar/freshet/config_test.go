package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// parseServe parses a command line of serve.
func parseServe(t *testing.T, arguments ...string) (config, error) {
	t.Helper()
	var command commandLine
	parser, err := newParser(&command, output{io.Discard, io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(append([]string{"serve"}, arguments...))
	return command.Serve.config, err
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "freshet.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	file := writeConfig(t, "poll: 10ms\nstaleness: 2s\nttl: 3m\nmemory: 8MiB\nwatch: [a.*]\n")
	t.Setenv("FRESHET_STALENESS", "4s")
	t.Setenv("FRESHET_TTL", "5m")
	t.Setenv("FRESHET_WATCH", "b.*,c.d(x, y)")
	got, err := parseServe(t, "--config", file, "--ttl", "7m")
	if err != nil {
		t.Fatal(err)
	}
	if got.Port != 6432 {
		t.Errorf("default: port %d", got.Port)
	}
	if got.Poll != 10*time.Millisecond || got.Memory != 8<<20 {
		t.Errorf("the file must win over defaults: poll %s, memory %s", got.Poll, got.Memory)
	}
	if got.Staleness != 4*time.Second || !slices.Equal(got.Watch, []string{"b.*", "c.d(x, y)"}) {
		t.Errorf("the environment must win over the file: staleness %s, watch %q", got.Staleness, got.Watch)
	}
	if got.TTL != 7*time.Minute {
		t.Errorf("flags must win over the environment: ttl %s", got.TTL)
	}
}

func TestLearnColumnsCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	off := writeConfig(t, "learn-columns: false\n")
	for _, c := range []struct {
		arguments []string
		want      bool
	}{{nil, true}, {[]string{"--no-learn-columns"}, false}, {[]string{"--config", off}, false}, {[]string{"--config", off, "--learn-columns"}, true}} {
		if got, err := parseServe(t, c.arguments...); err != nil || got.LearnColumns != c.want {
			t.Errorf("%q: learn columns %v, want %v; error %v", c.arguments, got.LearnColumns, c.want, err)
		}
	}
}

func TestConfigFileFromTheEnvironment(t *testing.T) {
	t.Setenv("FRESHET_CONFIG", writeConfig(t, "socket-dir: /run/x"))
	got, err := parseServe(t)
	if err != nil || got.SocketDir != "/run/x" {
		t.Errorf("socket directory %q, error %v", got.SocketDir, err)
	}
}

func TestConfigFileValues(t *testing.T) {
	for name, text := range map[string]string{
		"list":   "watch:\n  - public.*\n  - shop.users(id, email)\nport: 7000\nadmin: \"off\"\nredis: ~\n",
		"scalar": "# comment\nwatch: public.*, shop.users(id, email)\n\nport: '7000'\nadmin: off\nredis:\n",
	} {
		got, err := parseServe(t, "--config", writeConfig(t, text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(got.Watch, []string{"public.*", "shop.users(id, email)"}) || got.Port != 7000 || got.adminOn() || got.Redis != "" {
			t.Errorf("%s: watch %q, port %d, admin %q, redis %q", name, got.Watch, got.Port, got.Admin, got.Redis)
		}
	}
	for name, text := range map[string]string{"empty": "", "comment": "# nothing yet\n"} {
		if _, err := parseServe(t, "--config", writeConfig(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConfigFileErrors(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"unknown key", "port: 1\nsocketdir: /x\n", `freshet.yaml:2: unknown key "socketdir"; did you mean "socket-dir"?`},
		{"unknown key of another style", "listen_tcp: x\n", `unknown key "listen_tcp"; did you mean "listen-tcp"?`},
		{"unknown key like no other", "shenanigans: 1\n", `unknown key "shenanigans"; known are access-log, admin, admin-insecure`},
		{"a key that is only a flag", "config: x\n", `unknown key "config"`},
		{"twice", "port: 1\nport: 2\n", `mapping key "port" already defined`},
		{"wrong value", "port: 1\n\nmemory: lots\n", `freshet.yaml:3: key "memory": "lots" is not a size`},
		{"nested", "watch:\n  public: yes\n", `freshet.yaml:1: key "watch": its value must be plain`},
		{"list for one", "port: [1, 2]\n", `freshet.yaml:1: key "port": it takes one value, not a list`},
		{"a duration without a unit", "staleness: 2\n", `freshet.yaml:1: key "staleness": "2" is no duration: write 2s or 2ms`},
		{"none of a few", "passwordless: maybe\n", `freshet.yaml:1: key "passwordless": "maybe" is none of own,any`},
		{"no keys", "just text\n", `it holds no keys`},
		{"no YAML", "a: [\n", `read configuration file`},
	} {
		_, err := parseServe(t, "--config", writeConfig(t, c.text))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.says)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"memory", "port", "poll", "socket-dir"}
	for word, want := range map[string]string{"memroy": "memory", "prot": "port", "sockte-dir": "socket-dir", "pol": "poll", "x": "", "completely-else": ""} {
		if got := nearest(word, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}

// What bounds something can stand together, and is the same option then.
func TestLimits(t *testing.T) {
	file := writeConfig(t, "limits: {clients: 2000, upstream: 200, entry: 512KiB, memory: 256MiB, drain: 20s}\n")
	c, err := parseServe(t, "--config", file, "--socket-dir", "/run/x")
	if err != nil {
		t.Fatal(err)
	}
	if c.MaxClients != 2000 || c.MaxUpstream != 200 || c.MaxEntry != 512<<10 || c.Memory != 256<<20 || c.Drain != 20*time.Second {
		t.Errorf("%+v", c)
	}
	for text, says := range map[string]string{
		"limits: {clinets: 1}":                      `freshet.yaml:1: below "limits": unknown key "clinets"; did you mean "clients"?`,
		"limits: 5":                                 "it has keys",
		"limits:\n  memory: 8MiB\nmemory: 9MiB":     `freshet.yaml:3: key "memory" stands at`,
		"limits:\n  drain: 2":                       "freshet.yaml:2",
		"limit: {clients: 1}":                       `did you mean "limits"?`,
		"socket-dir: /run/x\nlimits: {upstream: 6}": "give at least 7",
	} {
		_, _, stderr := freshet(t, "config", "check", "--config", writeConfig(t, text+"\n"))
		if !strings.Contains(stderr, says) {
			t.Errorf("%s: the error lacks %q: %s", text, says, stderr)
		}
	}
}
