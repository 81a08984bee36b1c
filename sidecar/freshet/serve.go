package main

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/freshet/freshet/cache/redis"
)

type serveCommand struct {
	config
	Config configFile `placeholder:"FILE" help:"YAML file with values for these options, by their names. Default: none."`
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context, out *output) error {
	logger := slog.New(newQuietHandler(slog.NewTextHandler(out.stderr, &slog.HandlerOptions{Level: c.LogLevel})))
	redis.SilenceClient() // what it says is in the stats
	s, err := newSidecar(c.config, logger)
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
	if ctx.Err() == nil {
		if _, err := fmt.Fprintln(out.stdout, "freshet: ready: "+s.psqlCommand()); err != nil {
			logger.Warn("cannot write the line that says ready", "error", err)
		}
		notifySystemd(logger, "READY=1")
	}
	select {
	case <-ctx.Done():
	case err := <-ended:
		if err != nil {
			return err
		}
		ended <- nil // without an error it ends only because ctx did
	}
	logger.Info("stopping: clients may finish what they are doing")
	notifySystemd(logger, "STOPPING=1")
	if err := <-ended; err != nil {
		return err
	}
	logger.Info("stopped")
	return nil
}

// psqlCommand is a command that connects a person to this sidecar.
func (s *sidecar) psqlCommand() string {
	database := s.upstream.Database
	if database == "" {
		database = s.upstream.User
	}
	words := []string{"psql", "-h", s.config.SocketDir, "-p", strconv.Itoa(s.config.Port), "-d", database, "-U", s.upstream.User}
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
