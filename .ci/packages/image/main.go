// Command image puts the program into a container image, without Docker: a file that
// `docker load`, podman and `crane push` take. The image has nothing else in it but
// certificates and an empty directory for the socket; nobody in it is root.
package main

import (
	"archive/tar"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// nobody is the user and the group that the program runs as, as in other images
// without a distribution.
const nobody = 65532

// parts says what the image is made of; main reads it from the command line.
type parts struct {
	binary, certificates  string // files
	architecture, version string
	created               time.Time
}

func main() {
	var p parts
	flag.StringVar(&p.binary, "binary", "", "the program, linked statically")
	flag.StringVar(&p.certificates, "certificates", "", "file of the authorities whose servers it trusts")
	flag.StringVar(&p.architecture, "architecture", "amd64", "of the program")
	flag.StringVar(&p.version, "version", "", "the image's tag")
	created := flag.Int64("created", 0, "when the commit was made, in seconds since 1970")
	output := flag.String("output", "", "file to write")
	flag.Parse()
	p.created = time.Unix(*created, 0).UTC()
	if err := write(p, *output); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func write(p parts, output string) error {
	image, err := build(p)
	if err != nil {
		return err
	}
	tag, err := name.NewTag("freshet:" + p.version)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(output, tag, image)
}

// build makes the image: one layer, and how a container runs.
func build(p parts) (v1.Image, error) {
	files, err := files(p)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil })
	if err != nil {
		return nil, err
	}
	image, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: p.created}, CreatedBy: "make release"},
	})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", p.architecture, v1.Time{Time: p.created}
	config.Config = v1.Config{
		User:        fmt.Sprintf("%d:%d", nobody, nobody),
		Entrypoint:  []string{"/usr/bin/freshet"},
		Cmd:         []string{"serve"},
		Env:         []string{"PATH=/usr/bin", "FRESHET_SOCKET_DIR=/run/freshet"},
		Volumes:     map[string]struct{}{"/run/freshet": {}},
		StopSignal:  "SIGTERM",
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "/usr/bin/freshet", "healthcheck"}, Interval: 10 * time.Second, Timeout: 3 * time.Second, StartPeriod: 10 * time.Second, Retries: 3},
		Labels: map[string]string{
			"org.opencontainers.image.title":    "freshet",
			"org.opencontainers.image.version":  p.version,
			"org.opencontainers.image.source":   "https://github.com/freshet/freshet",
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	return mutate.ConfigFile(image, config)
}

// files are the files of the only layer, as an archive.
func files(p parts) ([]byte, error) {
	var buffer bytes.Buffer
	archive := tar.NewWriter(&buffer)
	add := func(header tar.Header, content []byte) error {
		header.Size, header.ModTime = int64(len(content)), p.created
		if err := archive.WriteHeader(&header); err != nil {
			return err
		}
		_, err := archive.Write(content)
		return err
	}
	for _, one := range []struct {
		name, from string
		mode       int64
	}{
		{"usr/bin/freshet", p.binary, 0o755},
		{"etc/ssl/certs/ca-certificates.crt", p.certificates, 0o644},
	} {
		content, err := os.ReadFile(one.from)
		if err != nil {
			return nil, err
		}
		if err := add(tar.Header{Typeflag: tar.TypeReg, Name: one.name, Mode: one.mode}, content); err != nil {
			return nil, err
		}
	}
	if err := add(tar.Header{Typeflag: tar.TypeDir, Name: "run/freshet/", Mode: 0o775, Uid: nobody, Gid: nobody}, nil); err != nil {
		return nil, err
	}
	return buffer.Bytes(), archive.Close()
}
