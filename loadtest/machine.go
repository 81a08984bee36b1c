package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/freshet/freshet/loadtest/report"
	"github.com/freshet/freshet/loadtest/servers"
)

// machine describes this one, as far as it says what it is, and the versions of what is
// measured.
func machine(ctx context.Context, program string) report.Machine {
	m := report.Machine{Processors: runtime.NumCPU(), Model: runtime.GOARCH, Kernel: runtime.GOOS, Versions: map[string]string{"go": runtime.Version()}}
	if model := lineOf("/proc/cpuinfo", "model name"); model != "" {
		m.Model = model
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel += " " + strings.TrimSpace(string(text))
	}
	if kilobytes, _, _ := strings.Cut(lineOf("/proc/meminfo", "MemTotal"), " "); kilobytes != "" {
		n, _ := strconv.Atoi(kilobytes) // the kernel writes numbers
		m.MemoryGiB = n >> 20
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		minute, _, _ := strings.Cut(string(text), " ")
		m.Load, _ = strconv.ParseFloat(minute, 64)
	}
	say := func(name, path string, arguments ...string) {
		if text, err := exec.CommandContext(ctx, path, arguments...).CombinedOutput(); err == nil {
			line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
			m.Versions[name] = line
		}
	}
	say("freshet", program, "version")
	if dir, err := servers.FindPostgres(); err == nil {
		say("postgres", dir+"/postgres", "--version")
	}
	if path, err := servers.FindRedis(); err == nil {
		say("redis", path, "--version")
	}
	say("pgbouncer", "/usr/sbin/pgbouncer", "--version")
	say("pgpool", "/usr/sbin/pgpool", "--version")
	return m
}

// lineOf returns what stands behind a name and a colon in a file of the kernel's.
func lineOf(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if before, after, found := strings.Cut(line, ":"); found && strings.TrimSpace(before) == name {
			return strings.TrimSpace(after)
		}
	}
	return ""
}
