package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestShellsCompleteCommandsAndOptions(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, stdout, stderr := freshet(t, "completion", shell, "--code")
		if code != exitOK || !strings.Contains(stdout, "freshet") {
			t.Errorf("%s: exit code %d, %q%s", shell, code, stdout, stderr)
		}
	}
	for line, want := range map[string]string{"freshet doc": "doctor\n", "freshet serve --stale": "--staleness\n", "freshet config ": "check\nshow\n"} {
		command := exec.Command(program.Path(t))
		command.Env = append(command.Environ(), "COMP_LINE="+line)
		out, err := command.Output()
		// In which order they come is left to the shell, which sorts them.
		got := slices.Sorted(strings.Lines(string(out)))
		if err != nil || strings.Join(got, "") != want {
			t.Errorf("%q is completed to %q, want %q; error %v", line, got, want, err)
		}
	}
}

func TestManualPageNamesEverything(t *testing.T) {
	code, stdout, stderr := freshet(t, "man")
	if code != exitOK || stderr != "" {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	for _, part := range []string{".TH FRESHET 1", "doctor", "staleness", "Longest life of an entry"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("%q is missing", part)
		}
	}
}
