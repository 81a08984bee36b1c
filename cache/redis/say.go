package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// heardMax bounds the messages that wait here for whoever hears them; Redis' client drops
	// what comes beyond.
	heardMax = 256
	// hearingCheck is how often a silent subscription is asked for a sign of life.
	hearingCheck = 3 * time.Second
)

// errSilenced says that Redis ended a subscription.
var errSilenced = errors.New("the subscription ended")

// Say sends a message to all who Hear a channel now, itself too if it does. It may be lost,
// and is never kept. What becomes of it says nothing about entries: a Redis may refuse
// channels and keep entries.
func (s *Store) Say(ctx context.Context, channel string, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.client.Publish(ctx, s.prefix+channel, message).Err(); err != nil {
		return fmt.Errorf("say something through Redis: %w", err)
	}
	return nil
}

// Hear calls heard with each message of a channel, one after the other, until ctx ends or
// it fails. The message must not be kept. It takes a connection of its own.
func (s *Store) Hear(ctx context.Context, channel string, heard func(message []byte)) error {
	subscription := s.client.Subscribe(ctx, s.prefix+channel)
	defer subscription.Close()
	if _, err := subscription.ReceiveTimeout(ctx, s.timeout); err != nil {
		return fmt.Errorf("hear a channel of Redis: %w", err)
	}
	messages := subscription.Channel(goredis.WithChannelSize(heardMax), goredis.WithChannelHealthCheckInterval(hearingCheck))
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m, open := <-messages:
			if !open {
				return fmt.Errorf("hear a channel of Redis: %w", errSilenced)
			}
			heard([]byte(m.Payload))
		}
	}
}
