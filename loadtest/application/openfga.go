package application

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/loadtest/target"
)

// openFGAModule is the module that names the version, in this repository.
const openFGAModule = "loadtest/application/openfga"

// openFGAPackage is the program.
const openFGAPackage = "github.com/openfga/openfga/cmd/openfga"

// What an OpenFGA is filled with. Each group has a share of the users, each folder is shown to
// a group, and each document has a folder and an editor.
const (
	fgaUsers     = 200
	fgaGroups    = 20
	fgaFolders   = 50
	fgaDocuments = 2000
)

//go:embed testdata/openfga.json
var openFGAModel string

// openFGA is the authorization service, built from its module: Go, pgx.
type openFGA struct {
	// program is the built one, in a directory that Close removes; store and model are those
	// of the database that was filled, and so of all its copies. Fill sets them.
	dir          string
	store, model string
}

func newOpenFGA() Application { return &openFGA{} }

func (*openFGA) About() string {
	return "OpenFGA, its caches off as they are by default: asked whether a user may view a document, through groups and folders, which tuples a document has, and which documents a user edits; writes add or remove an editor"
}

func (*openFGA) Version(ctx context.Context) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", "github.com/openfga/openfga")
	list.Dir = openFGAModule
	text, err := list.Output()
	return strings.TrimSpace(string(text)), err
}

// Close removes the built program.
func (o *openFGA) Close() error { return os.RemoveAll(o.dir) }

// build builds the program. What it consists of is downloaded the first time, and compiled.
func (o *openFGA) build(ctx context.Context) (err error) {
	if o.dir, err = os.MkdirTemp("", "openfga"); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-w", "-o", o.path(), openFGAPackage)
	build.Dir = openFGAModule
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build OpenFGA in %s: %w\n%s", openFGAModule, err, text)
	}
	return nil
}

func (o *openFGA) path() string { return filepath.Join(o.dir, "openfga") }

// datastore are the flags that say where the tables are.
func (*openFGA) datastore(at target.Place) []string {
	uri := url.URL{Scheme: "postgres", User: url.User(at.User), Path: "/" + at.Database, RawQuery: url.Values{
		"host": {at.Host}, "port": {strconv.Itoa(at.Port)}, "sslmode": {"disable"},
	}.Encode()}
	return []string{"--datastore-engine", "postgres", "--datastore-uri", uri.String()}
}

func (o *openFGA) Fill(ctx context.Context, p *servers.Program, at target.Place) error {
	if err := o.build(ctx); err != nil {
		return err
	}
	if err := p.Run(ctx, servers.Command{Arguments: append([]string{o.path(), "migrate"}, o.datastore(at)...)}); err != nil {
		return err
	}
	address, err := o.Serve(ctx, p, at, 1)
	if err != nil {
		return err
	}
	c := newClient(address, 0)
	defer c.close()
	if o.store, err = o.make(ctx, c, "/stores", `{"name":"load"}`, "id"); err != nil {
		return err
	}
	if o.model, err = o.make(ctx, c, "/stores/"+o.store+"/authorization-models", openFGAModel, "authorization_model_id"); err != nil {
		return err
	}
	const tuplesMax = 100 // of one request
	for some := range slices.Chunk(fgaTuples(), tuplesMax) {
		if _, err := c.Send(ctx, o.change("writes", some)); err != nil {
			return err
		}
	}
	return nil
}

// make sends a request that makes something, and returns the name that it got.
func (o *openFGA) make(ctx context.Context, c *Client, path, body, field string) (string, error) {
	answer, err := c.Send(ctx, Request{Method: "POST", Path: path, Type: "application/json", Body: body})
	if err != nil {
		return "", err
	}
	var fields map[string]any
	if err := json.Unmarshal(answer, &fields); err != nil {
		return "", err
	}
	name, _ := fields[field].(string)
	if name == "" {
		return "", fmt.Errorf("the answer to %s has no %s", path, field)
	}
	return name, nil
}

// fgaTuple says that a user, or a set of them, has a relation to an object.
type fgaTuple struct {
	User     string `json:"user"`
	Relation string `json:"relation"`
	Object   string `json:"object"`
}

func fgaTuples() (all []fgaTuple) {
	for user := range fgaUsers {
		all = append(all, fgaTuple{fmt.Sprintf("user:%d", user), "member", fmt.Sprintf("group:%d", user%fgaGroups)})
	}
	for folder := range fgaFolders {
		all = append(all, fgaTuple{fmt.Sprintf("group:%d#member", folder%fgaGroups), "viewer", fmt.Sprintf("folder:%d", folder)})
	}
	for document := range fgaDocuments {
		all = append(all,
			fgaTuple{fmt.Sprintf("folder:%d", document%fgaFolders), "parent", fmt.Sprintf("document:%d", document)},
			fgaTuple{fmt.Sprintf("user:%d", document%fgaUsers), "editor", fmt.Sprintf("document:%d", document)})
	}
	return all
}

// change is a request that writes or deletes tuples, those that are there, or not, left out.
func (o *openFGA) change(how string, tuples []fgaTuple) Request {
	list := map[string]any{"tuple_keys": tuples}
	switch how {
	case "writes":
		list["on_duplicate"] = "ignore"
	case "deletes":
		list["on_missing"] = "ignore"
	}
	r := o.ask(how, "write", map[string]any{how: list})
	r.Writes = true
	return r
}

// ask is a request about the store.
func (o *openFGA) ask(name, what string, body map[string]any) Request {
	if what != "read" {
		body["authorization_model_id"] = o.model
	}
	text, _ := json.Marshal(body) // of strings
	return Request{Name: name, Method: "POST", Path: "/stores/" + o.store + "/" + what, Type: "application/json", Body: string(text)}
}

func (o *openFGA) Serve(ctx context.Context, p *servers.Program, at target.Place, clients int) (Address, error) {
	address := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	ports, err := p.ServeOnPorts(ctx, 2, func(ports []int) servers.Command {
		return servers.Command{Arguments: append([]string{o.path(), "run", "--http-addr", address(ports[0]), "--grpc-addr", address(ports[1]),
			"--request-timeout", "60s", "--http-upstream-timeout", "61s", // the machine may be slow
			"--metrics-enabled=false", "--playground-enabled=false", "--log-level", "error"}, o.datastore(at)...)}
	}, func(ports []int) bool {
		c := newClient(Address{"tcp", address(ports[0])}, 0)
		defer c.close()
		body, err := c.Send(ctx, Request{Method: "GET", Path: "/healthz"})
		return err == nil && bytes.Contains(body, []byte("SERVING"))
	})
	if err != nil {
		return Address{}, err
	}
	return Address{"tcp", address(ports[0])}, nil
}

// Enter does nothing: who asks is no user of OpenFGA's.
func (*openFGA) Enter(context.Context, *Client, int) error { return nil }

func (o *openFGA) Read(random *rand.Rand) Request {
	user, document := random.IntN(fgaUsers), hot(random, fgaDocuments)-1
	switch kind := random.IntN(100); {
	case kind < 80:
		return o.check(user, document)
	case kind < 95:
		return o.tuples(document)
	default:
		return o.edits(user)
	}
}

func (o *openFGA) check(user, document int) Request {
	return o.ask("may a user view a document", "check", map[string]any{"tuple_key": fgaTuple{fmt.Sprintf("user:%d", user), "viewer", fmt.Sprintf("document:%d", document)}})
}

func (o *openFGA) tuples(document int) Request {
	return o.ask("the tuples of a document", "read", map[string]any{"tuple_key": map[string]string{"object": fmt.Sprintf("document:%d", document)}})
}

func (o *openFGA) edits(user int) Request {
	return o.ask("the documents of an editor", "list-objects", map[string]any{"user": fmt.Sprintf("user:%d", user), "relation": "editor", "type": "document"})
}

func (o *openFGA) Write(random *rand.Rand) Request {
	tuple := fgaTuple{fmt.Sprintf("user:%d", random.IntN(fgaUsers)), "editor", fmt.Sprintf("document:%d", hot(random, fgaDocuments)-1)}
	if random.IntN(2) == 0 {
		return o.change("deletes", []fgaTuple{tuple})
	}
	return o.change("writes", []fgaTuple{tuple})
}

func (o *openFGA) Sample() (all []Request) {
	for n := range 20 {
		all = append(all, o.check(n, n), o.check(n, n+1), o.tuples(n), o.edits(n))
	}
	return all
}

// fgaObject is an element of a list, whose order OpenFGA leaves open.
var fgaObject = regexp.MustCompile(`"document:[0-9]+"`)

// Steady sorts the objects of a list.
func (*openFGA) Steady(body []byte) []byte {
	if !bytes.HasPrefix(body, []byte(`{"objects"`)) {
		return body
	}
	objects := fgaObject.FindAll(body, -1)
	slices.SortFunc(objects, bytes.Compare)
	return bytes.Join(objects, []byte(","))
}
