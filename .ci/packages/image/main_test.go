package main

import (
	"archive/tar"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// entry is a file or a directory of the image.
type entry struct {
	mode int64
	uid  int
	text string
}

// TestImageHoldsTheProgramAndNothingElse reads the file back as a container engine would.
func TestImageHoldsTheProgramAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	p := parts{
		binary: filepath.Join(dir, "freshet"), certificates: filepath.Join(dir, "certificates"),
		architecture: "arm64", version: "1.2.3", created: time.Unix(1_700_000_000, 0).UTC(),
	}
	for _, file := range []string{p.binary, p.certificates} {
		if err := os.WriteFile(file, []byte(filepath.Base(file)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := filepath.Join(dir, "first.tar"), filepath.Join(dir, "second.tar")
	for _, output := range []string{first, second} {
		if err := write(p, output); err != nil {
			t.Fatal(err)
		}
	}
	if !equal(t, first, second) {
		t.Error("two images of one commit differ")
	}
	image, err := tarball.ImageFromPath(first, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Architecture != "arm64" || config.Config.User != "65532:65532" || config.Config.Entrypoint[0] != "/usr/bin/freshet" {
		t.Errorf("the image runs %v on %s as %s", config.Config.Entrypoint, config.Architecture, config.Config.User)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v; want one", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]entry{}
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = entry{header.Mode, header.Uid, string(text)}
	}
	want := map[string]entry{
		"usr/bin/freshet":                   {0o755, 0, "freshet"},
		"etc/ssl/certs/ca-certificates.crt": {0o644, 0, "certificates"},
		"run/freshet/":                      {0o775, 65532, ""}, // where whoever runs the program makes its socket
	}
	if !maps.Equal(found, want) {
		t.Errorf("the image holds %+v, want %+v", found, want)
	}
}

func equal(t *testing.T, one, other string) bool {
	t.Helper()
	var contents [2]string
	for i, file := range []string{one, other} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		contents[i] = string(content)
	}
	return contents[0] == contents[1]
}
