package run

import "testing"

// The connections to Postgres are those of clients and the sidecar's own.
func TestClientsHaveWhatTheSidecarLeaves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ clients, upstream, databases, want int }{
		{0, 0, 0, 0},
		{10, 0, 0, 10},
		{0, 200, 0, 194},
		{2000, 200, 1, 188},
		{50, 200, 0, 50},
		{0, 3, 0, 1},
	} {
		o := Options{ClientsMax: c.clients, UpstreamMax: c.upstream, Databases: make([]NamedDatabase, c.databases)}
		if got := o.clientsMax(); got != c.want {
			t.Errorf("%+v: %d clients", c, got)
		}
	}
}
