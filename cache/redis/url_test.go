package redis

import (
	"slices"
	"strings"
	"testing"
)

func TestURLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]place{
		"redis-sentinel://one/main":                           {hosts: []string{"one:26379"}, master: "main"},
		"redis-sentinel://one:1,two,[::1]:3/main?db=4":        {hosts: []string{"one:1", "two:26379", "[::1]:3"}, master: "main", db: 4},
		"redis-sentinel://u:p%40ss@one,two:2/main":            {hosts: []string{"one:26379", "two:2"}, master: "main", user: "u", password: "p@ss"},
		"redis-sentinel://:p@one/m?sentinel_password=a%26b":   {hosts: []string{"one:26379"}, master: "m", password: "p", sentinelPassword: "a&b"},
		"redis-sentinel://one/m?sentinel_user=s&db=1":         {hosts: []string{"one:26379"}, master: "m", sentinelUser: "s", db: 1},
		"redis-cluster://one,two:7000":                        {hosts: []string{"one:6379", "two:7000"}},
		"redis-cluster://user:secret@10.0.0.1:7000,10.0.0.2/": {hosts: []string{"10.0.0.1:7000", "10.0.0.2:6379"}, user: "user", password: "secret"},
	} {
		got, err := parseURL(text)
		if err != nil || !slices.Equal(got.hosts, want.hosts) || got.master != want.master || got.db != want.db ||
			got.user != want.user || got.password != want.password ||
			got.sentinelUser != want.sentinelUser || got.sentinelPassword != want.sentinelPassword || got.tls != nil || got.single != nil {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		safe, err := parseURL(strings.Replace(text, "redis", "rediss", 1))
		if err != nil || safe.tls == nil {
			t.Errorf("%s with TLS: %+v, %v", text, safe, err)
		}
	}
	for _, text := range []string{"redis://host", "rediss://:p@host:1/2", "unix:///path/redis.sock?db=1"} {
		if p, err := parseURL(text); err != nil || p.single == nil {
			t.Errorf("%s: %+v, %v", text, p, err)
		}
	}
}

func TestWrongURLsSayWhatToWrite(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "host:6379", "http://secret@host", "redis-sentinel://secret@one", "redis-sentinel://one/a/secret", "redis-sentinel:///main",
		"redis-sentinel://one,/main", "redis-sentinel://one/main?db=secret", "redis-sentinel://one/main?db=-1", "redis-sentinel://one/main?dbase=1",
		"redis-sentinel://one/main#secret", "redis-sentinel://u:%zz@one/main", "redis-sentinel://one:secret/main",
		"redis-cluster://", "redis-cluster://one/0", "redis-cluster://one?db=1", "redis-cluster://a@b@c d", "unix-sentinel://one/main",
		"redis-cluster://" + strings.Repeat("one,", hostsMax) + "one", "redis-other://one",
	} {
		p, err := parseURL(text)
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "redis-sentinel://host1") {
			t.Errorf("%s: %+v, %v", text, p, err)
		}
	}
}
