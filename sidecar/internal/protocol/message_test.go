package protocol

import (
	"bytes"
	"testing"
)

func TestMessageLength(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		bytes string
		want  int
	}{
		{"nothing", "", 0},
		{"half of a header", "Q\x00\x00", 0},
		{"a message", "Z\x00\x00\x00\x05I", 6},
		{"a message whose body is to come", "Q\x00\x00\x01\x00", 257},
		{"a length that does not count itself", "Q\x00\x00\x00\x03", -1},
		{"the longest", "d\x3f\xff\xff\xff", 1 << 30},
		{"longer than any", "d\x40\x00\x00\x00", -1},
		{"a negative length", "d\xff\xff\xff\xff", -1},
	} {
		if got := MessageLength([]byte(c.bytes)); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestAppendMessage(t *testing.T) {
	t.Parallel()
	got := AppendMessage([]byte("before"), 'D', []byte("ab"), nil, []byte("c"))
	if want := "beforeD\x00\x00\x00\x07abc"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := AppendComplete(nil, "SELECT 1"), "C\x00\x00\x00\x0dSELECT 1\x00"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, constant := range []string{ParseComplete, BindComplete, CloseComplete, PortalSuspended, NoData, ReadyIdle, ReadyInBlock, ReadyFailed} {
		if n := MessageLength([]byte(constant)); n != len(constant) {
			t.Errorf("%q says that it has %d bytes", constant, n)
		}
	}
}

// An error may end the connection, which its severity tells: the field V, as S is
// translated.
func TestEndsConnection(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body string
		want bool
	}{
		{"", false},
		{"\x00", false},
		{"SFEHLER\x00VERROR\x00C42601\x00\x00", false},
		{"SERROR\x00VFATAL\x00C57P01\x00\x00", true},
		{"VPANIC\x00\x00", true},
		{"SFATAL\x00C57P01\x00\x00", false},
		{"VFATAL", false},
	} {
		if got := EndsConnection([]byte(c.body)); got != c.want {
			t.Errorf("%q: %v", c.body, got)
		}
	}
	for severity, want := range map[string]bool{"ERROR": false, "FATAL": true} {
		message := ErrorResponse(severity, "08P01", "no", "say something else")
		if code := ErrorCode(message); code != "08P01" {
			t.Errorf("its code is %q", code)
		}
		if MessageLength(message) != len(message) || EndsConnection(message[HeaderLength:]) != want {
			t.Errorf("of severity %s: %q", severity, message)
		}
	}
	if notice := Warning("so", "what"); notice[0] != 'N' || !bytes.Contains(notice, []byte("SWARNING\x00")) {
		t.Errorf("a notice: %q", notice)
	}
}

func TestNamesInMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		read func([]byte) ([]byte, bool)
		body string
		name string
		ok   bool
	}{
		{StatementOfBind, "portal\x00statement\x00rest", "statement", true},
		{StatementOfBind, "\x00\x00", "", true},
		{StatementOfBind, "portal\x00statement", "", false},
		{StatementOfBind, "portal", "", false},
		{StatementOfDescribe, "Sstatement\x00", "statement", true},
		{StatementOfDescribe, "Pportal\x00", "", false},
		{StatementOfDescribe, "Sstatement", "", false},
		{StatementOfDescribe, "", "", false},
	} {
		if name, ok := c.read([]byte(c.body)); ok != c.ok || ok && string(name) != c.name {
			t.Errorf("%q: %q, %v", c.body, name, ok)
		}
	}
}

func TestInt16s(t *testing.T) {
	t.Parallel()
	list, rest, ok := Int16s([]byte("\x00\x02\x00\x01\x01\x00rest"))
	if !ok || len(list) != 2 || list[0] != 1 || list[1] != 256 || string(rest) != "rest" {
		t.Errorf("%v, %q, %v", list, rest, ok)
	}
	for _, short := range []string{"", "\x00", "\x00\x02\x00\x01\x00"} {
		if _, _, ok := Int16s([]byte(short)); ok {
			t.Errorf("%q is taken for a list", short)
		}
	}
}
