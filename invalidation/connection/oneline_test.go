package connection

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestErrorsHaveOneLine(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig("host=" + t.TempDir() + "," + t.TempDir() + " user=nobody dbname=none sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	_, plain := pgx.ConnectConfig(t.Context(), config)
	if plain == nil || !strings.Contains(plain.Error(), "\n") {
		t.Fatalf("%v: this test shows nothing", plain)
	}
	_, err = Open(t.Context(), Options{Config: config})
	if err == nil || strings.ContainsAny(err.Error(), "\n\t") || strings.Count(err.Error(), "no such file") != 2 {
		t.Errorf("got %q", err)
	}
	if wrapped := new(pgconn.ConnectError); !errors.As(err, &wrapped) {
		t.Errorf("%T is not wrapped", wrapped)
	}
	if OneLine(nil) != nil {
		t.Error("an error of nothing")
	}
	for text, want := range map[string]string{"a:\n\tb\n\n\tc": "a: b; c", "a\nb": "a; b", "a": "a", "\n": ""} {
		if got := OneLine(errors.New(text)).Error(); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
