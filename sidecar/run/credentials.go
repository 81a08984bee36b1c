package run

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// beforeConnectFunc is Database.BeforeConnect.
type beforeConnectFunc = func(context.Context, *pgx.ConnConfig) error

// credentials are how connections of one Database get in. A reload may change them.
type credentials struct {
	current atomic.Pointer[beforeConnectFunc]
}

// set changes them for connections that begin from now on. nil means those of the Config.
func (c *credentials) set(before beforeConnectFunc) { c.current.Store(&before) }

func (c *credentials) beforeConnect(ctx context.Context, config *pgx.ConnConfig) error {
	if before := *c.current.Load(); before != nil {
		return before(ctx, config)
	}
	return nil
}

// everyDatabase are all that the options name, in an order that depends on nothing else but how
// many Databases there are.
func (o *Options) everyDatabase() []*Database {
	all := []*Database{&o.Upstream, &o.Primary, &o.Follow}
	for i := range o.Databases {
		d := &o.Databases[i]
		all = append(all, &d.Upstream, &d.Primary, &d.Follow)
	}
	return all
}

// hold has connections get in by what the result holds, which are those of the options at
// first.
func (o *Options) hold() []*credentials {
	o.Databases = slices.Clone(o.Databases)
	var held []*credentials
	for _, d := range o.everyDatabase() {
		c := &credentials{}
		c.set(d.BeforeConnect)
		d.BeforeConnect = c.beforeConnect
		held = append(held, c)
	}
	return held
}
