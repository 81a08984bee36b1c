package main

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
	"github.com/goccy/go-yaml"
)

const packaging = "../packaging/"

// TestPackagedConfigurationIsValid checks the file that packages bring, as it is and with
// every option that is only suggested in it.
func TestPackagedConfigurationIsValid(t *testing.T) {
	text, err := os.ReadFile(packaging + "freshet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	suggested := regexp.MustCompile(`(?m)^#([a-z-]+:)`).ReplaceAllString(string(text), "$1")
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	suggested = strings.ReplaceAll(suggested, "/etc/freshet/password", password)
	if suggested == string(text) {
		t.Error("nothing is suggested")
	}
	for _, content := range []string{string(text), suggested} {
		if code, _, stderr := freshet(t, "config", "check", "--config", writeConfig(t, content)); code != exitOK {
			t.Errorf("exit code %d: %s\n%s", code, stderr, content)
		}
	}
}

// TestUnitsServeThePackagedConfiguration: systemd opens the socket that the configuration
// names, and starts a command that there is.
func TestUnitsServeThePackagedConfiguration(t *testing.T) {
	var config struct {
		SocketDir  string `yaml:"socket-dir"`
		Port       string `yaml:"port"`
		SocketMode string `yaml:"socket-mode"`
	}
	readYAML(t, packaging+"freshet.yaml", &config)
	socket, service := readUnit(t, "freshet.socket"), readUnit(t, "freshet.service")
	if want := config.SocketDir + "/.s.PGSQL." + config.Port; socket["Socket.ListenStream"] != want {
		t.Errorf("systemd listens on %s, the configuration names %s", socket["Socket.ListenStream"], want)
	}
	if socket["Socket.SocketMode"] != config.SocketMode || socket["Socket.FileDescriptorName"] != "client" {
		t.Errorf("the socket is %v", socket)
	}
	arguments := strings.Fields(service["Service.ExecStart"])
	if !slices.Equal(arguments, []string{"/usr/bin/freshet", "serve", "--config", "/etc/freshet/freshet.yaml"}) {
		t.Errorf("the service starts %q", arguments)
	}
	for _, directory := range []string{"systemd/sysusers.conf", "systemd/tmpfiles.conf"} {
		if text, err := os.ReadFile(packaging + directory); err != nil || !strings.Contains(string(text), config.SocketDir+" ") && !strings.HasSuffix(string(text), config.SocketDir+"\n") {
			t.Errorf("%s does not name %s: %v", directory, config.SocketDir, err)
		}
	}
}

// TestContainersAreConfiguredByOptionsThatExist: what the Compose file and the chart set.
func TestContainersAreConfiguredByOptionsThatExist(t *testing.T) {
	var compose struct {
		Services map[string]struct {
			Environment map[string]string `yaml:"environment"`
		} `yaml:"services"`
	}
	readYAML(t, packaging+"compose.yaml", &compose)
	parser, err := newParser(&commandLine{}, output{io.Discard, io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	environment := compose.Services["freshet"].Environment
	if len(environment) == 0 {
		t.Error("the Compose file configures nothing")
	}
	for name := range maps.Keys(environment) {
		if err := checkEnvironment(parser.Model.Node, []string{name + "=x"}); err != nil || !strings.HasPrefix(name, environmentPrefix) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var values struct {
		Freshet struct {
			Config map[string]any `yaml:"config"`
		} `yaml:"freshet"`
	}
	readYAML(t, packaging+"helm/freshet/values.yaml", &values)
	content, err := yaml.Marshal(values.Freshet.Config)
	if err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := freshet(t, "config", "check", "--upstream", "host=/x", "--config", writeConfig(t, string(content))); code != exitOK {
		t.Errorf("exit code %d: %s\n%s", code, stderr, content)
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// readUnit returns the options of a unit as Section.Name.
func readUnit(t *testing.T, name string) map[string]string {
	t.Helper()
	file, err := os.Open(packaging + "systemd/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	options, err := unit.DeserializeOptions(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, option := range options {
		found[option.Section+"."+option.Name] = option.Value
	}
	return found
}
