package application

import (
	"context"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/loadtest/target"
)

// redmineTree is where Debian puts Redmine.
const redmineTree = "/usr/share/redmine"

// What redmineSeed fills a Redmine with.
const (
	redmineProjects = 5
	redmineIssues   = 500
	redmineUsers    = 20
	// redmineSampled are the projects of which pages are compared.
	redmineSampled = 2
)

//go:embed testdata/redmine.rb
var redmineSeed []byte

// redmine is the project manager, of Debian's package: Rails, with prepared statements.
type redmine struct{}

func newRedmine() Application { return redmine{} }

func (redmine) About() string {
	return "Redmine on Puma (Ruby on Rails): users who are logged in look at issues, lists of issues, projects and activity, half of them by its REST API; writes add a note to an issue"
}

func (redmine) Version(ctx context.Context) (string, error) {
	text, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", "redmine").Output()
	return string(text), err
}

// redmineDirs are those of an instance.
var redmineDirs = []string{"config", "log", "tmp", "files", "gems"}

// instance writes the files of an instance of Redmine, and returns how commands run in it.
func (redmine) instance(p *servers.Program, at target.Place, clients int) (func(arguments ...string) servers.Command, error) {
	for _, name := range redmineDirs {
		if err := os.MkdirAll(filepath.Join(p.Dir(), name), 0o700); err != nil {
			return nil, err
		}
	}
	gems := filepath.Join(p.Dir(), "gems", "Gemfile")
	for path, text := range map[string]string{
		"config/database.yml": fmt.Sprintf("production:\n  adapter: postgresql\n  encoding: utf8\n  host: %s\n  port: %d\n  username: %s\n  database: %s\n  pool: %d\n",
			at.Host, at.Port, at.User, at.Database, clients+1),
		"config/secret_key.txt": strings.Repeat("0123456789abcdef", 8),
		"gems/Gemfile":          fmt.Sprintf("eval_gemfile %q\ngem 'pg'\ngem 'puma'\n", redmineTree+"/Gemfile"),
		"seed.rb":               string(redmineSeed),
	} {
		if err := os.WriteFile(filepath.Join(p.Dir(), path), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	// Debian's Redmine looks for instances below a directory of its own: this leads to ours.
	name := strings.Repeat("../", strings.Count(redmineTree, "/")+3) + strings.TrimPrefix(p.Dir(), "/")
	environment := []string{"LC_ALL=C.UTF-8", "RAILS_ENV=production", "REDMINE_LANG=en", "REDMINE_INSTANCE=" + name, "BUNDLE_GEMFILE=" + gems, "HOME=" + p.Dir()}
	return func(arguments ...string) servers.Command {
		return servers.Command{Dir: redmineTree, Environment: environment, Arguments: append([]string{"bundle", "exec"}, arguments...)}
	}, nil
}

func (r redmine) Fill(ctx context.Context, p *servers.Program, at target.Place) error {
	if _, err := os.Stat(redmineTree); err != nil {
		return fmt.Errorf("find Redmine in %s: %w: .ci/install-packages applications installs it", redmineTree, servers.ErrNotInstalled)
	}
	command, err := r.instance(p, at, 1)
	if err != nil {
		return err
	}
	for _, c := range []servers.Command{
		command("rake", "db:migrate"),
		command("rake", "redmine:load_default_data"),
		command("rails", "runner", filepath.Join(p.Dir(), "seed.rb")),
	} {
		if err := p.Run(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (r redmine) Serve(ctx context.Context, p *servers.Program, at target.Place, clients int) (Address, error) {
	command, err := r.instance(p, at, clients)
	if err != nil {
		return Address{}, err
	}
	socket := filepath.Join(p.Dir(), "puma.sock")
	err = p.Serve(ctx, command("puma", "-q", "-e", "production", "-t", fmt.Sprintf("%d:%d", clients, clients), "-b", "unix://"+socket), func() bool {
		conn, err := net.Dial("unix", socket)
		return err == nil && conn.Close() == nil
	})
	return Address{"unix", socket}, err
}

var redmineToken = regexp.MustCompile(`name="authenticity_token" value="([^"]+)"`)

func (redmine) Enter(ctx context.Context, c *Client, user int) error {
	form, err := c.Send(ctx, Request{Method: "GET", Path: "/login"})
	if err != nil {
		return err
	}
	token := redmineToken.FindSubmatch(form)
	if token == nil {
		return fmt.Errorf("the form to log in has no token")
	}
	number := 1 + user%redmineUsers
	name, password := fmt.Sprintf("user%d", number), "password-of-many"
	c.header.Set("X-Redmine-API-Key", fmt.Sprintf("%040d", number)) // as the seed has it
	_, err = c.Send(ctx, Request{Method: "POST", Path: "/login", Type: "application/x-www-form-urlencoded", Body: url.Values{
		"authenticity_token": {string(token[1])}, "username": {name}, "password": {password},
	}.Encode()})
	return err
}

func (redmine) Read(random *rand.Rand) Request {
	project, issue, kind := 1+random.IntN(redmineProjects), hot(random, redmineIssues), random.IntN(100)
	return redmineRead(kind, project, issue)
}

// redmineKinds are the pages that are read, and how many of a hundred reads are of each.
var redmineKinds = []struct {
	share      int
	name, path string
}{
	{25, "an issue", "/issues/{issue}"},
	{25, "an issue, by the API", "/issues/{issue}.json?include=journals"},
	{15, "issues of a project", "/projects/project-{project}/issues"},
	{20, "issues of a project, by the API", "/projects/project-{project}/issues.json?limit=25"},
	{8, "a project", "/projects/project-{project}"},
	{5, "the roadmap of a project", "/projects/project-{project}/roadmap"},
	{2, "all projects, by the API", "/projects.json"},
}

// redmineRead is a page, of the kind that has the next share of a hundred.
func redmineRead(kind, project, issue int) Request {
	for _, k := range redmineKinds {
		if kind -= k.share; kind < 0 {
			path := strings.NewReplacer("{issue}", fmt.Sprint(issue), "{project}", fmt.Sprint(project)).Replace(k.path)
			return Request{Name: k.name, Method: "GET", Path: path}
		}
	}
	panic("the shares are a hundred together")
}

func (redmine) Write(random *rand.Rand) Request {
	body := fmt.Sprintf(`{"issue":{"notes":"Note %d","done_ratio":%d}}`, random.IntN(1e6), 10*random.IntN(10))
	return Request{Name: "add a note", Method: "PUT", Path: fmt.Sprintf("/issues/%d.json", hot(random, redmineIssues)), Type: "application/json", Body: body, Writes: true}
}

func (redmine) Sample() (all []Request) {
	for project := 1; project <= redmineSampled; project++ {
		share := 0
		for _, k := range redmineKinds {
			all = append(all, redmineRead(share, project, project))
			share += k.share
		}
	}
	return all
}

// redmineVolatile are tokens against forgery and names of forms, which are random.
var redmineVolatile = regexp.MustCompile(`name="csrf-token" content="[^"]*"|name="authenticity_token" value="[^"]*"|name="[a-z_-]*form-[0-9a-f]+"`)

func (redmine) Steady(body []byte) []byte { return redmineVolatile.ReplaceAll(body, nil) }

// hot draws one of many, numbered from 1 on, of which a tenth is asked for in nine of ten cases.
func hot(random *rand.Rand, many int) int {
	if random.IntN(10) > 0 {
		many /= 10
	}
	return 1 + random.IntN(many)
}
