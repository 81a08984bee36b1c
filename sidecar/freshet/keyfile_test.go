package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

const (
	oneKey     = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	anotherKey = "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
)

func keyFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	keys, err := readKeyFile(keyFile(t, "# of May\r\n\n  "+oneKey+"\r\n"+anotherKey))
	if err != nil || len(keys) != 2 || keys[0][31] != 0x1f || keys[1][0] != 0xff {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	if keys, err := readKeyFile(""); keys != nil || err != nil {
		t.Fatalf("%d keys without a file, %v", len(keys), err)
	}
	for name, text := range map[string]string{
		"empty":         "# nothing\n",
		"too short":     oneKey[2:],
		"too long":      oneKey + "00",
		"no digits":     strings.Repeat("x", 64),
		"odd":           oneKey[1:],
		"two in a line": oneKey + " " + oneKey,
		"huge":          strings.Repeat(oneKey+"\n", keyFileMax/64),
	} {
		_, err := readKeyFile(keyFile(t, text))
		if err == nil || !strings.Contains(err.Error(), "openssl rand -hex 32") || strings.Contains(err.Error(), "0405") || strings.Contains(err.Error(), "xxx") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// A sidecar does not start without the key that it is told to use: it would
// read what anybody wrote.
func TestServeWithoutItsKeyFile(t *testing.T) {
	dsn := servers.SharedPostgres(t).DSN("postgres")
	missing := filepath.Join(t.TempDir(), "missing")
	for says, flags := range map[string][]string{
		missing:         {"--redis", "redis://127.0.0.1:1", "--redis-key-file", missing},
		"no key":        {"--redis", "redis://127.0.0.1:1", "--redis-key-file", keyFile(t, "")},
		"there is none": {"--redis-key-file", keyFile(t, oneKey)},
	} {
		c := testConfig(t, dsn, flags...)
		_, err := c.sidecar(nil)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: error %v", flags, err)
		}
	}
}
