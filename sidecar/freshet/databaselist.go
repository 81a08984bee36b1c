package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/sidecar/run"
)

// databaseList holds the databases that clients may ask for beside that of --upstream. As
// text it is YAML, of which JSON is a kind: the name that clients ask for, and where the
// database is, as a DSN or with more to say.
//
//	crm: host=db2.example dbname=crm
//	shop_eu:
//	  upstream: host=eu.example dbname=shop
//	  watch: [public.*]
//	  memory: 32MiB
//
// Where no DSN is given it is the database of that name on the server of --upstream.
type databaseList []namedDatabase

// namedDatabase is what the configuration says of one of them.
type namedDatabase struct {
	Name                      string
	Upstream, Primary, Follow string
	Watch                     watchList
	Memory                    byteSize // 0: as much as others without
}

func (l *databaseList) readNode(node ast.Node, place func(ast.Node) string) error {
	if _, ok := node.(*ast.NullNode); ok || node == nil {
		return nil
	}
	pairs, ok := pairsOf(node)
	if !ok {
		return fmt.Errorf("%sit has the names that clients ask for as keys: write such as crm: host=db2.example dbname=crm", place(node))
	}
	var problems []error
	for _, pair := range pairs {
		d := namedDatabase{Name: pair.Key.GetToken().Value}
		if slices.ContainsFunc(*l, func(other namedDatabase) bool { return other.Name == d.Name }) {
			problems = append(problems, fmt.Errorf("%sdatabase %s stands twice; keep one", place(pair.Key), d.Name))
			continue
		}
		if err := d.read(pair.Value, place); err != nil {
			problems = append(problems, err)
		}
		*l = append(*l, d)
	}
	return errors.Join(problems...)
}

// pairsOf are the keys of a mapping and their values.
func pairsOf(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// databaseKeys are what may be said of a database, and how it is read.
var databaseKeys = map[string]func(d *namedDatabase, text string) error{
	"upstream": func(d *namedDatabase, text string) error { d.Upstream = text; return nil },
	"primary":  func(d *namedDatabase, text string) error { d.Primary = text; return nil },
	"follow":   func(d *namedDatabase, text string) error { d.Follow = text; return nil },
	"watch":    func(d *namedDatabase, text string) error { return d.Watch.UnmarshalText([]byte(text)) },
	"memory": func(d *namedDatabase, text string) error {
		err := d.Memory.UnmarshalText([]byte(text))
		if err == nil && d.Memory < memoryMin {
			return fmt.Errorf("%s is too little: give at least %s", text, byteSize(memoryMin))
		}
		return err
	},
}

func (d *namedDatabase) read(node ast.Node, place func(ast.Node) string) error {
	pairs, ok := pairsOf(node)
	if !ok {
		text, err := scalarText(node)
		if err != nil {
			return fmt.Errorf("%sdatabase %s: %w", place(node), d.Name, err)
		}
		d.Upstream = text
		return nil
	}
	var problems []error
	for _, pair := range pairs {
		key := pair.Key.GetToken().Value
		var value fileValue
		err := value.read(pair.Value)
		if read, known := databaseKeys[key]; !known {
			err = unknownKey(key, slices.Sorted(maps.Keys(databaseKeys)))
		} else if err == nil {
			err = read(d, value.text)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%sdatabase %s: key %q: %w", place(pair.Key), d.Name, key, err))
		}
	}
	return errors.Join(problems...)
}

// UnmarshalText adds the databases in text, so that a flag may be repeated.
func (l *databaseList) UnmarshalText(text []byte) error { return readNestedText(l, text) }

func (l *databaseList) text() string {
	all := map[string]spelledDatabase{}
	for _, d := range *l {
		all[d.Name] = d.spelled()
	}
	return jsonText(all)
}

// spelledDatabase is what a file says of a database.
type spelledDatabase struct {
	Upstream string   `json:"upstream,omitempty" yaml:"upstream,omitempty"`
	Primary  string   `json:"primary,omitempty" yaml:"primary,omitempty"`
	Follow   string   `json:"follow,omitempty" yaml:"follow,omitempty"`
	Watch    []string `json:"watch,omitempty" yaml:"watch,omitempty"`
	Memory   string   `json:"memory,omitempty" yaml:"memory,omitempty"`
}

func (d *namedDatabase) spelled() spelledDatabase {
	s := spelledDatabase{Upstream: d.Upstream, Primary: d.Primary, Follow: d.Follow, Watch: d.Watch}
	if d.Memory > 0 {
		size, _ := d.Memory.MarshalText() // it cannot fail
		s.Memory = string(size)
	}
	return s
}

// shown are the databases as a file has them, without passwords.
func (l databaseList) shown() yaml.MapSlice {
	all := yaml.MapSlice{}
	for _, d := range l {
		s := d.spelled()
		s.Upstream, s.Primary, s.Follow = hidePasswords(s.Upstream), hidePasswords(s.Primary), hidePasswords(s.Follow)
		all = append(all, yaml.MapItem{Key: d.Name, Value: s})
	}
	return all
}

// withoutPasswords are the databases as they would be without passwords in their DSNs.
func (l databaseList) withoutPasswords() databaseList {
	bare := slices.Clone(l)
	for i := range bare {
		d := &bare[i]
		d.Upstream, d.Primary, d.Follow = withoutPassword(d.Upstream), withoutPassword(d.Primary), withoutPassword(d.Follow)
	}
	return bare
}

// dsn is one place of a database: what it is called in messages, and its DSN.
type dsn struct{ flag, text string }

// dsns are where the configuration leads, in order, without what it leaves out.
func (c *config) dsns() []dsn {
	all := []dsn{{"--upstream", c.dsn()}}
	add := func(flag, text string) {
		if text != "" {
			all = append(all, dsn{flag, text})
		}
	}
	add("--primary", c.Primary)
	add("--follow", c.Follow)
	for _, d := range c.Databases {
		add("databases, "+d.Name+": upstream", d.Upstream)
		add("databases, "+d.Name+": primary", d.Primary)
		add("databases, "+d.Name+": follow", d.Follow)
	}
	return all
}

// namedDatabases are the databases with their DSNs understood.
func (c *config) namedDatabases() (all []run.NamedDatabase, err error) {
	for _, d := range c.Databases {
		named := run.NamedDatabase{Name: d.Name, Watch: d.Watch, MemoryBytes: int64(d.Memory)}
		if named.Upstream, err = c.upstreamOf(d); err != nil {
			return nil, err
		}
		for into, text := range map[*run.Database]string{&named.Primary: d.Primary, &named.Follow: d.Follow} {
			if text == "" {
				continue
			}
			if *into, err = c.database("databases, "+d.Name, text); err != nil {
				return nil, err
			}
		}
		all = append(all, named)
	}
	return all, nil
}

// upstreamOf is where clients of a database are led to.
func (c *config) upstreamOf(d namedDatabase) (run.Database, error) {
	if d.Upstream != "" {
		return c.database("databases, "+d.Name+": upstream", d.Upstream)
	}
	at, err := c.plainDatabase()
	if err == nil {
		at.Config = withDatabase(at.Config, d.Name)
	}
	return at, err
}

func withDatabase(c *pgx.ConnConfig, database string) *pgx.ConnConfig {
	c = c.Copy()
	c.Database = database
	return c
}
