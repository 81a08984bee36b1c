package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/run"
)

// reloadable are the options that change while the sidecar runs; for others it has to
// be started again.
var reloadable = []string{"staleness", "ttl", "max-entry", "max-clients", "max-upstream", "allow-uids", "function", "tables", "shapes", "verify", "verify-rate", "verify-on-stale", "log-level", "drain", "drain-delay", tokenOption}

// tokenOption changes also where the file has the same name, and another token in it.
const tokenOption = "admin-token-file"

// rereadFunc reads the configuration again, from where it was read at the start.
type rereadFunc func() (config, error)

// reread reads the configuration of serve that a command line, the environment and the
// file that they name give.
func reread(arguments []string) rereadFunc {
	return func() (config, error) {
		var command commandLine
		parser, err := newParser(&command, output{io.Discard, io.Discard})
		if err != nil {
			return config{}, err
		}
		_, err = parser.Parse(arguments)
		return command.Serve.config, err
	}
}

// reloader puts the configuration in force that is read again.
type reloader struct {
	sidecar *run.Sidecar
	read    rereadFunc
	logger  *slog.Logger
	level   *slog.LevelVar

	mu      sync.Mutex // one reload at a time: a signal and a request may come together
	inForce config
}

// hangUp is reload for a signal, whose sender learns nothing but what the log says.
func (r *reloader) hangUp(ctx context.Context) { _, _ = r.reload(ctx) }

// reload reads and changes all or nothing, and tells the log and the service manager.
func (r *reloader) reload(ctx context.Context) (changed []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	reloading := daemon.SdNotifyReloading
	if now := daemon.SdNotifyMonotonicUsec(); now != "" {
		reloading += "\n" + now
	}
	notifySystemd(r.logger, reloading)
	if err := r.sidecar.ReopenAccessLog(); err != nil {
		r.logger.Error("the access log goes on where it was", "error", err)
	}
	if changed, err = r.changeLocked(ctx); err != nil {
		r.logger.Error("configuration not loaded: what was in force stays", "problem", oneLine(err.Error()))
	} else {
		r.logger.Info("configuration loaded", "changed", changed)
	}
	notifySystemd(r.logger, daemon.SdNotifyReady)
	return changed, err
}

// changeLocked returns the names of the options that changed.
func (r *reloader) changeLocked(ctx context.Context) (changed []string, err error) {
	var wanted config
	err = r.sidecar.Reload(ctx, func(before run.Changeable) (run.Changeable, error) {
		if wanted, changed, err = r.wantedLocked(); err != nil {
			return run.Changeable{}, err
		}
		options, err := wanted.options()
		after := options.Changeable()
		if err == nil && after.AdminToken != before.AdminToken && !slices.Contains(changed, tokenOption) {
			changed = append(changed, tokenOption)
		}
		return after, err
	})
	if err != nil {
		return nil, err
	}
	r.level.Set(wanted.LogLevel.Level())
	r.inForce = wanted
	return changed, nil
}

// wantedLocked reads a configuration that is valid and can be put in force without a restart.
func (r *reloader) wantedLocked() (wanted config, changed []string, err error) {
	if wanted, err = r.read(); err != nil {
		return wanted, nil, err
	}
	if err := wanted.check(); err != nil {
		return wanted, nil, err
	}
	if changed, err = changedOptions(r.inForce, wanted); err != nil {
		return wanted, nil, err
	}
	fixed := slices.DeleteFunc(slices.Clone(changed), func(name string) bool {
		return slices.Contains(reloadable, name) || changesPasswordAlone(name, r.inForce, wanted)
	})
	if withoutUser(r.inForce.fromFile) != withoutUser(wanted.fromFile) {
		fixed = append(fixed, "upstream-file")
	}
	if len(fixed) > 0 {
		return wanted, nil, fmt.Errorf("change --%s: that %w; nothing was changed", strings.Join(fixed, ", --"), dashboard.ErrTakesRestart)
	}
	return wanted, changed, nil
}

// changesPasswordAlone reports whether nothing else but a password differs in an option that
// says where Postgres is.
func changesPasswordAlone(name string, before, after config) bool {
	switch name {
	case "upstream":
		return withoutPassword(before.Upstream) == withoutPassword(after.Upstream)
	case "primary":
		return before.Primary != "" && withoutPassword(before.Primary) == withoutPassword(after.Primary)
	case "follow":
		return before.Follow != "" && withoutPassword(before.Follow) == withoutPassword(after.Follow)
	case "databases":
		return reflect.DeepEqual(before.Databases.withoutPasswords(), after.Databases.withoutPasswords())
	}
	return false
}

// changedOptions are the names of the options in which two configurations differ.
func changedOptions(before, after config) ([]string, error) {
	old, err := optionValues(before)
	if err != nil {
		return nil, err
	}
	values, err := optionValues(after)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(values, func(name string, value any) bool { return reflect.DeepEqual(value, old[name]) })
	return slices.Sorted(maps.Keys(values)), nil
}

// optionValues are the values of a configuration by the names of the options.
func optionValues(c config) (map[string]any, error) {
	var command commandLine
	command.Serve.config = c
	parser, err := newParser(&command, output{io.Discard, io.Discard})
	if err != nil {
		return nil, err
	}
	values := map[string]any{}
	for name, flag := range configFlags(parser.Model.Node) {
		values[name] = flag.Target.Interface()
	}
	return values, nil
}
