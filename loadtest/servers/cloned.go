package servers

import "sync"

// recipes are how databases are filled that several tests of a server need alike.
type recipes struct {
	mu    sync.Mutex
	known map[string]*recipe
}

type recipe struct {
	mu sync.Mutex
	// asked says that a database was made by the recipe, and template is the database that
	// all later ones copy, empty until there is a second one to make.
	asked    bool
	template string
}

func (r *recipes) named(name string) *recipe {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]*recipe{}
	}
	if r.known[name] == nil {
		r.known[name] = &recipe{}
	}
	return r.known[name]
}

// FilledDatabase is CreateDatabase for a database that fill fills. All that are asked for by
// the same recipe have to be filled alike: from the second on they are copies of one that
// stays as long as the server. What belongs to the whole server, such as a role, or to the
// database's name, such as a right on it, is no part of a copy.
func (p *Postgres) FilledDatabase(t TB, recipe string, fill func(dsn string) error) string {
	t.Helper()
	r := p.recipes.named(recipe)
	if template := r.templateFor(t, p, fill); template != "" {
		return p.createFrom(t, template)
	}
	name := p.CreateDatabase(t)
	if err := fill(p.DSN(name)); err != nil {
		t.Fatalf("fill database %s: %v", name, err)
	}
	return name
}

// templateFor returns the database to copy, made for the second who asks: what one test
// alone needs is not made twice.
func (r *recipe) templateFor(t TB, p *Postgres, fill func(dsn string) error) string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.asked {
		r.asked = true
		return ""
	}
	if r.template == "" {
		name := databaseName()
		if err := p.createDatabase(name, "template0"); err != nil {
			t.Fatalf("%v", err)
		}
		if err := fill(p.DSN(name)); err != nil {
			t.Fatalf("fill database %s: %v", name, err)
		}
		r.template = name
	}
	return r.template
}
