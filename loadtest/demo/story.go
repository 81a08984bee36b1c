package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/demo/shop"
)

const (
	// storyMin is how long the shop has to be open for the story to be told.
	storyMin = 10 * time.Second
	// Of the write storm: how many programs write as fast as they can, and for which part
	// of the story.
	stormWriters = 6
	stormPart    = 15
	// stepMax bounds one step.
	stepMax = 20 * time.Second
)

// chapter is one step of the story: what happens at a share of the time, as the pages
// mark it. do may be nil.
type chapter struct {
	at   float64
	text string
	do   func(context.Context) error
}

// story is what happens while the shop is open.
func (d *demo) story(w *shop.Workload) []chapter {
	return []chapter{
		{0, "cold: nothing is cached yet", nil},
		{.15, "warm", nil},
		{.25, "write storm", func(ctx context.Context) error { return w.Storm(ctx, stormWriters, d.options.Duration/stormPart) }},
		{.33, "the storm is over", nil},
		{.42, "Redis dies", func(context.Context) error { return d.redis.Stop() }},
		{.52, "Redis returns", func(context.Context) error { return d.redis.Start() }},
		{.65, "Postgres is restarted", func(context.Context) error { return d.restart(w) }},
		{.88, "purge of products", d.purge},
	}
}

// tell has each chapter happen when its time has come, and marks it on both pages.
func (d *demo) tell(ctx context.Context, w *shop.Workload) error {
	if d.options.Duration < storyMin {
		return nil
	}
	began := time.Now()
	for _, c := range d.story(w) {
		select {
		case <-time.After(time.Until(began.Add(time.Duration(c.at * float64(d.options.Duration))))):
		case <-ctx.Done():
			return nil
		}
		d.mark(c.text)
		if c.do == nil {
			continue
		}
		step, cancel := context.WithTimeout(ctx, stepMax)
		err := c.do(step)
		cancel()
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("tell the story: %s: %w", c.text, err)
		}
	}
	return nil
}

// mark shows on both pages that something happens.
func (d *demo) mark(text string) {
	for _, s := range d.sidecars {
		s.Mark(text)
	}
}

// stampeded marks a crowd that was answered.
func (d *demo) stampeded(asked, reached int) {
	d.mark(fmt.Sprintf("stampede: %d asked at once, %d reached Postgres", asked, reached))
}

// restart takes Postgres away for a moment. Clients lose their connections, as they do
// without a sidecar, and what they read when they are back is judged as ever.
func (d *demo) restart(w *shop.Workload) error {
	began := time.Now()
	if err := w.Without(d.postgres.Restart); err != nil {
		return err
	}
	d.mark(fmt.Sprintf("Postgres is back after %.1f s", time.Since(began).Seconds()))
	return nil
}

// purge ends every answer that depends on products, as freshet purge --table does.
func (d *demo) purge(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, d.postgres.DSN(demoDatabase))
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = invalidation.Purge(ctx, conn, []string{"public.products"})
	return err
}
