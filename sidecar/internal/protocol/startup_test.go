package protocol

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

// startup makes a start-up message of a code and what comes behind it.
func startup(code uint32, rest string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(rest)))
	return string(binary.BigEndian.AppendUint32(b, code)) + rest
}

func TestReadStartup(t *testing.T) {
	t.Parallel()
	longest := startup(3<<16, strings.Repeat("x", StartupLengthMax-8))
	for name, c := range map[string]struct {
		sent string
		want error
	}{
		"a request for encryption":    {startup(SSLCode, ""), nil},
		"the longest":                 {longest, nil},
		"longer":                      {startup(3<<16, strings.Repeat("x", StartupLengthMax-7)), ErrStartup},
		"a length without a code":     {"\x00\x00\x00\x07", ErrStartup},
		"goodbye":                     {"X\x00\x00\x00\x04", ErrStartup},
		"nothing":                     {"", io.EOF},
		"half of a length":            {"\x00\x00", io.ErrUnexpectedEOF},
		"what ends behind its length": {"\x00\x00\x00\x08", io.EOF},
		"half of a message":           {longest[:100], io.ErrUnexpectedEOF},
	} {
		from := strings.NewReader(c.sent + "next")
		if c.want != nil && !errors.Is(c.want, ErrStartup) {
			from = strings.NewReader(c.sent)
		}
		message, err := ReadStartup(from)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.want == nil && (string(message) != c.sent || from.Len() != len("next")) {
			t.Errorf("%s: %d bytes of %d, and %d are left", name, len(message), len(c.sent), from.Len())
		}
	}
}

func TestStartupParameters(t *testing.T) {
	t.Parallel()
	message := []byte(startup(3<<16, "user\x00first\x00database\x00user\x00user\x00last\x00\x00"))
	if StartupCode(message) != 3<<16 || RoleOf(message) != "last" {
		t.Errorf("version %d, role %q: the last of a name counts", StartupCode(message), RoleOf(message))
	}
	if _, ok := StartupParameter(message, "options"); ok {
		t.Error("a parameter that is not there is found")
	}
	for value, want := range map[string]bool{"": false, "off": false, "No": false, "0": false, "FALSE": false, "on": true, "database": true, "1": true} {
		if got := IsReplication([]byte(startup(3<<16, "user\x00a\x00replication\x00"+value+"\x00\x00"))); got != want {
			t.Errorf("replication %q: %v", value, got)
		}
	}
	if IsReplication(message) {
		t.Error("who does not ask for replication gets it")
	}
}

// The client's TLS connection is not the one to Postgres, so that it must not be
// offered to bind to it.
func TestWithoutChannelBinding(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ before, after string }{
		{"\x00\x00\x00\x0aSCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00", "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"},
		{"\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00", "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"},
		{"\x00\x00\x00\x00", "\x00\x00\x00\x00"},
		{"\x00\x00\x00\x05salt", "\x00\x00\x00\x05salt"},
	} {
		got, err := WithoutChannelBinding(AppendMessage(nil, 'R', []byte(c.before)))
		if want := AppendMessage(nil, 'R', []byte(c.after)); err != nil || string(got) != string(want) {
			t.Errorf("%q becomes %q, %v", c.before, got, err)
		}
	}
	if _, err := WithoutChannelBinding(AppendMessage(nil, 'R', []byte("\x00"))); err == nil {
		t.Error("a request without a kind is taken")
	}
}
