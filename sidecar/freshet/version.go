package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct {
	JSON bool `name:"json" help:"As JSON, with the commit that the program was built from, if that is known."`
}

// Run prints the version, the Go version and the platform.
func (c versionCommand) Run(out *output) error {
	if c.JSON {
		return json.NewEncoder(out.stdout).Encode(map[string]string{
			"version": programVersion(), "revision": programRevision(), "go_version": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
		})
	}
	_, err := fmt.Fprintf(out.stdout, "freshet %s %s %s/%s\n", programVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// programVersion is the version set at build time, else what the Go tool noted
// of the module or the commit.
func programVersion() string {
	if version != "development" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return version
}

// programRevision is the commit that the Go tool noted, with "+dirty" if more was built than
// that has, or empty.
func programRevision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return revisionOf(info.Settings)
}

func revisionOf(settings []debug.BuildSetting) string {
	revision, dirty := "", ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + dirty
}
