package servers

import (
	"strings"
	"testing"
)

// It sets environment variables, so it is not parallel.
func TestServersDirectoryStaysShort(t *testing.T) {
	long := "/" + strings.Repeat("long", 20)
	for _, c := range []struct{ own, system, want string }{
		{own: "/dev/shm/", system: "/var/tmp", want: "/dev/shm"},
		{own: "", system: "/var/tmp", want: "/var/tmp"},
		{own: "", system: long, want: "/tmp"},
		{own: long, system: "/var/tmp", want: ""},
		{own: "relative", system: "/var/tmp", want: ""},
	} {
		t.Setenv(EnvDir, c.own)
		t.Setenv("TMPDIR", c.system)
		got, err := baseDir()
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("with %s=%q and TMPDIR=%q: %q, %v, want %q", EnvDir, c.own, c.system, got, err, c.want)
		}
	}
}
