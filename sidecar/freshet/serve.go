package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/sidecar/run"
)

type serveCommand struct {
	config
	Config configFile `placeholder:"FILE" help:"YAML file with values for these options, by their names. Default: none."`
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context, out *output, read rereadFunc) error {
	level := new(slog.LevelVar)
	level.Set(c.LogLevel.Level())
	logger := newLogger(out.stderr, level, c.LogFormat)
	hangups := catchHangups()
	defer hangups.stop()
	boundMemory(logger, memlimit.FromCgroup)
	warnOfFiles(logger, c.clientsExpected())
	redis.SilenceClient() // what it says is in the stats
	for _, to := range c.dsns() {
		warnOfPassword(logger, os.Args, to.text)
	}
	listeners, err := systemdListeners()
	if err != nil {
		return err
	}
	s, err := c.sidecarOn(listeners, logger)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-s.Ready(): // also when ctx has ended
	}
	reloads := &reloader{sidecar: s, read: read, logger: logger, level: level, inForce: c.config}
	s.OnReload(reloads.reload)
	defer hangups.each(ctx, reloads.hangUp)()
	fed := make(chan struct{})
	feeding, starve := context.WithCancel(context.WithoutCancel(ctx)) // draining is being alive
	go func() {
		defer close(fed)
		feedWatchdog(feeding, s, logger)
	}()
	defer func() {
		starve()
		<-fed
	}()
	announcing, hush := context.WithCancel(ctx)
	announced := make(chan struct{})
	go func() {
		defer close(announced)
		announce(announcing, s, logger, out.stdout)
	}()
	select {
	case <-ctx.Done():
	case err = <-ended:
		ended <- err
	}
	hush()
	<-announced
	if err != nil {
		return err // without an error it ends only because ctx did
	}
	logger.Info("stopping: clients may finish what they are doing")
	notifySystemd(logger, "STOPPING=1")
	if err := <-ended; err != nil {
		return err
	}
	logger.Info("stopped")
	return nil
}

// newLogger returns what writes lines for people, and repeats none of them too often.
func newLogger(to io.Writer, level slog.Leveler, format string) *slog.Logger {
	if format == "json" {
		return slog.New(newQuietHandler(slog.NewJSONHandler(to, &slog.HandlerOptions{Level: level, ReplaceAttr: unitsAsText})))
	}
	return slog.New(newQuietHandler(slog.NewTextHandler(to, &slog.HandlerOptions{Level: level, ReplaceAttr: separateItems})))
}

// unitsAsText writes durations with their unit.
func unitsAsText(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// separateItems puts commas between the items of a list.
func separateItems(_ []string, a slog.Attr) slog.Attr {
	if items, ok := a.Value.Any().([]string); ok {
		a.Value = slog.StringValue(strings.Join(items, ", "))
	}
	return a
}

// psqlCommand is a command that connects a person to a sidecar.
func psqlCommand(s *run.Sidecar) string {
	c := s.ClientConfig()
	database := c.Database
	if database == "" {
		database = c.User
	}
	words := []string{"psql", "-h", c.Host, "-p", strconv.Itoa(int(c.Port)), "-d", database, "-U", c.User}
	for i, word := range words {
		words[i] = shellWord(word)
	}
	return strings.Join(words, " ")
}

// shellWord quotes a word for a shell where it has to be.
func shellWord(word string) string {
	plain := word != "" && strings.IndexFunc(word, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/._-+:@%,", r)
	}) < 0
	if plain {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
