package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

func TestConfigCheckTellsAllAtOnce(t *testing.T) {
	t.Setenv("FRESHET_SOCKETDIR", "/run/x")
	file := writeConfig(t, "port: 7000\nmemroy: 8MiB\nstaleness: 2\npoll: {}\n")
	code, stdout, stderr := freshet(t, "config", "check", "--config", file)
	if code != exitUsage || stdout != "" {
		t.Errorf("exit code %d, output %q", code, stdout)
	}
	for _, says := range []string{"FRESHET_SOCKETDIR", `freshet.yaml:2: unknown key "memroy"; did you mean "memory"?`, "freshet.yaml:3", "write 2s", "freshet.yaml:4", "freshet config check --help"} {
		if !strings.Contains(stderr, says) {
			t.Errorf("the error lacks %q:\n%s", says, stderr)
		}
	}
}

func TestConfigCheckLooksIntoFilesAndAddresses(t *testing.T) {
	file := writeConfig(t, "port: 0\nupstream: host=/x port=abc password=secret\nredis: redis://h:port\nredis-key-file: /no/such/key\npassword-file: /no/such/password\nsocket-group: nobody-has-this\n")
	code, _, stderr := freshet(t, "config", "check", "--config", file)
	if code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	for _, says := range []string{"--socket-dir is missing", "--port 0", "read --upstream", "read --redis", "/no/such/key", "/no/such/password", "nobody-has-this"} {
		if !strings.Contains(stderr, says) {
			t.Errorf("the error lacks %q:\n%s", says, stderr)
		}
	}
	if strings.Contains(stderr, "secret") {
		t.Errorf("a password is shown:\n%s", stderr)
	}
}

func TestConfigCheckConnectsOnRequest(t *testing.T) {
	pg, rd := servers.SharedPostgres(t), servers.SharedRedis(t)
	for _, c := range []struct {
		name, upstream, redis string
		arguments             []string
		code                  int
		says                  string
	}{
		{"not asked to connect", "host=/nowhere user=u", "unix:///nowhere/redis.sock", nil, exitOK, ""},
		{"both are there", pg.DSN("postgres"), rd.URL(), []string{"--connect"}, exitOK, ""},
		{"neither is there", "host=/nowhere user=u", "unix:///nowhere/redis.sock", []string{"--connect"}, exitUsage, "connect to Redis"},
	} {
		arguments := append([]string{"config", "check", "--socket-dir", "/run/freshet", "--upstream", c.upstream, "--redis", c.redis}, c.arguments...)
		code, stdout, stderr := freshet(t, arguments...)
		if code != c.code || (code == exitOK) != (stdout == "the configuration is valid\n") || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit code %d, output %q, error %q", c.name, code, stdout, stderr)
		}
	}
}

func TestConfigShowSaysWhereFrom(t *testing.T) {
	t.Setenv("FRESHET_TTL", "2h")
	file := writeConfig(t, "socket-dir: /run/x\n\nmemory: 8MiB\n")
	code, stdout, stderr := freshet(t, "config", "show", "--origin", "--config", file, "--staleness", "2s")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, line := range []string{"socket-dir: /run/x # " + file + ":1", "memory: 8MiB # " + file + ":3", "ttl: 2h0m0s # FRESHET_TTL", "staleness: 2s # --staleness", "port: 6432 # default"} {
		if !strings.Contains(stdout, line+"\n") {
			t.Errorf("the output lacks %q:\n%s", line, stdout)
		}
	}
}

// What is shown can be used as a file, and says the same again.
func TestConfigShowIsAConfigurationFile(t *testing.T) {
	arguments := []string{
		"--upstream", "host=/run/postgresql dbname='my shop'", "--socket-mode", "0777", "--memory", "1500001", "--watch", "a.*", "--watch", "b.c(x, y)",
		"--function", "f.a(int, text)=a.b+c.d", "--function", "f.b()=pure", "--allow-uids", "1000,root", "--no-learn-columns", "--log-level", "debug", "--admin", "off", "--poll", "1500us",
	}
	code, first, stderr := freshet(t, append([]string{"config", "show"}, arguments...)...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	path := filepath.Join(t.TempDir(), "shown.yaml")
	if err := os.WriteFile(path, []byte(first), 0o600); err != nil {
		t.Fatal(err)
	}
	code, again, stderr := freshet(t, "config", "show", "--config", path)
	if code != exitOK || again != first {
		t.Errorf("exit code %d, %s; first\n%s\nthen\n%s", code, stderr, first, again)
	}
	if !strings.Contains(first, "memory: \"1500001\"\n") || !strings.Contains(first, "b.c(x, y)") || !strings.Contains(first, "learn-columns: false\n") {
		t.Errorf("shown:\n%s", first)
	}
}

func TestHidePasswords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"postgres://app:s3c@ret@db/shop":                 "postgres://app:*****@db/shop",
		"postgres://app@db/shop?password=s3cret&x=1":     "postgres://app@db/shop?password=*****&x=1",
		"host=db password = 's3 \\'cret' dbname=shop":    "host=db password = ***** dbname=shop",
		"host=db PASSWORD=s3cret sslpassword=s3cret":     "host=db PASSWORD=***** sslpassword=*****",
		"redis-sentinel://:s3cret@a,b:1/m?db=0":          "redis-sentinel://:*****@a,b:1/m?db=0",
		"redis://h/0?sentinel_password=s3cret&db=1":      "redis://h/0?sentinel_password=*****&db=1",
		"host=/run/postgresql dbname=shop user=somebody": "host=/run/postgresql dbname=shop user=somebody",
		"postgres://app@db:5432/shop":                    "postgres://app@db:5432/shop",
	} {
		if got := hidePasswords(text); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
}
