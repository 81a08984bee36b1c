// Package application drives real applications over HTTP, on Postgres itself and through a
// sidecar by turns, and says what the sidecar brought: requests a second, what share of a
// request the database was, how many reads were hits, and why the others were not.
//
// A Run starts and ends all servers itself, in throwaway directories. Applications come from
// the machine's packages, and connect as an ordinary role that owns their tables. Each side
// has a database of its own, copies of one that the application has filled. A third process
// of the application stands on the sidecar's database without the sidecar: an answer of the
// other two that differs from its own is an error. Of applications whose answers show versions
// every read is judged, and other caches for the same application are driven beside.
package application

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/loadtest/target"
)

// role is whom applications connect as, and who owns their tables.
const role = "app"

// Address is where an application listens.
type Address struct {
	// Network and At are as net.Dial takes them.
	Network, At string
}

// Request is one that clients send.
type Request struct {
	// Name is the same for all requests of a kind.
	Name         string
	Method, Path string
	// Type is that of the body; none if empty.
	Type, Body string
	// Writes is set if the application writes for it.
	Writes bool
	// Row is the one that a Judged application reads or writes.
	Row int64
}

// Application is one that is driven.
type Application interface {
	// About says what it is, and what clients do with it.
	About() string
	// Version is that which is installed.
	Version(ctx context.Context) (string, error)
	// Fill has the application create its tables in an empty database, and fills them.
	Fill(ctx context.Context, p *servers.Program, at target.Place) error
	// Serve starts it on a database, for a number of clients at once.
	Serve(ctx context.Context, p *servers.Program, at target.Place, clients int) (Address, error)
	// Enter is what a client does before its first request, as one of the application's users.
	Enter(ctx context.Context, c *Client, user int) error
	// Read and Write draw a request.
	Read(random *rand.Rand) Request
	Write(random *rand.Rand) Request
	// Sample are reads of all kinds, whose answers are compared.
	Sample() []Request
	// Steady returns a body without what differs between two answers that say the same.
	Steady(body []byte) []byte
}

// applications are all that there are, in the order of the documents.
var applications = []struct {
	name string
	of   func() Application
}{
	{"redmine", newRedmine},
	{"openfga", newOpenFGA},
	{"django", newDjango},
	{"django-atomic", newDjangoAtomic},
}

// Names are the applications' names.
func Names() (names []string) {
	for _, a := range applications {
		names = append(names, a.name)
	}
	return names
}

// find returns an application by its name.
func find(name string) (Application, error) {
	for _, a := range applications {
		if a.name == name {
			return a.of(), nil
		}
	}
	return nil, fmt.Errorf("find application %q: there are %s", name, strings.Join(Names(), ", "))
}
