package main

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// configFileMax bounds a configuration file, in bytes.
const configFileMax = 1 << 20

// configFile is a YAML file with values for flags, by their names:
//
//	upstream: host=/run/postgresql dbname=shop
//	socket-dir: /run/freshet
//	watch: [public.*, billing.invoices]
//	staleness: 500ms
//
// The file wins over defaults; the environment, and then flags, win over it.
// Keys that no flag has, keys that stand twice and nested values are errors.
type configFile string

// BeforeResolve reads the file and offers its values to the parser.
func (f configFile) BeforeResolve(app *kong.Kong, ctx *kong.Context, trace *kong.Path) error {
	path, _ := ctx.FlagValue(trace.Flag).(configFile)
	if path == "" {
		return nil
	}
	values, err := readConfigFile(string(path), configKeys(app.Model.Node))
	if err != nil {
		return err
	}
	ctx.AddResolver(values)
	return nil
}

// configKeys are the names of the flags of serve: what a file may set. Other
// commands read the same file and take what they have a flag for.
func configKeys(root *kong.Node) []string {
	var keys []string
	for _, command := range root.Children {
		if command.Name != "serve" {
			continue
		}
		for _, flag := range command.Flags {
			if flag.Name != "config" && flag.Name != "help" {
				keys = append(keys, flag.Name)
			}
		}
	}
	return keys
}

// fileValues are the values of a file by key. It is a kong.Resolver.
type fileValues map[string]fileValue

type fileValue struct {
	place string // file and line
	text  string
	list  bool // text was a list, and its items are separated by commas
}

func readConfigFile(path string, known []string) (fileValues, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > configFileMax {
		err = fmt.Errorf("it has %d bytes, and %d are allowed", info.Size(), configFileMax)
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration file: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration file: %w", err)
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, fmt.Errorf("read configuration file %s: %w", path, err)
	}
	values := fileValues{}
	for _, document := range file.Docs {
		if err := values.add(path, document.Body, known); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// add takes in the keys of one document.
func (v fileValues) add(path string, body ast.Node, known []string) error {
	var pairs []*ast.MappingValueNode
	switch n := body.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return nil
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		return fmt.Errorf("read configuration file %s: it holds no keys; write lines such as socket-dir: /run/freshet", path)
	}
	for _, pair := range pairs {
		key := pair.Key.GetToken().Value
		place := fmt.Sprintf("%s:%d", path, pair.Key.GetToken().Position.Line)
		if !slices.Contains(known, key) {
			return unknownKey(place, key, known)
		}
		if before, ok := v[key]; ok {
			return fmt.Errorf("%s: key %q stands at %s already; keep one of them", place, key, before.place)
		}
		value := fileValue{place: place}
		if err := value.read(pair.Value); err != nil {
			return fmt.Errorf("%s: key %q: %w", place, key, err)
		}
		v[key] = value
	}
	return nil
}

func unknownKey(place, key string, known []string) error {
	if near := nearest(strings.ReplaceAll(key, "_", "-"), known); near != "" {
		return fmt.Errorf("%s: unknown key %q; did you mean %q?", place, key, near)
	}
	return fmt.Errorf("%s: unknown key %q; known are %s", place, key, strings.Join(known, ", "))
}

// read takes in a scalar or a list of scalars.
func (v *fileValue) read(node ast.Node) (err error) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		v.text, err = scalarText(node)
		return err
	}
	items := make([]string, len(list.Values))
	for i, item := range list.Values {
		if items[i], err = scalarText(item); err != nil {
			return err
		}
	}
	v.text, v.list = strings.Join(items, ","), true
	return nil
}

func scalarText(node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return strings.TrimSuffix(n.Value.Value, "\n"), nil
	case *ast.NullNode:
		return "", nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, nil
	default:
		return "", fmt.Errorf("its value must be plain, or a list of plain values, and not %s", strings.ToLower(node.Type().YAMLName()))
	}
}

// Validate implements kong.Resolver; keys were checked while reading.
func (v fileValues) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver: the file's value for a flag that the
// environment does not set.
func (v fileValues) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	found, ok := v[flag.Name]
	if !ok {
		return nil, nil
	}
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	if found.list && flag.Target.Kind() != reflect.Slice {
		return nil, fmt.Errorf("%s: it takes one value, not a list", found.place)
	}
	// Read once for nothing, so that an error names the line.
	probe := reflect.New(flag.Target.Type()).Elem()
	decoding := &kong.DecodeContext{Value: flag.Value, Scan: kong.Scan().PushTyped(found.text, kong.FlagValueToken)}
	if err := flag.Mapper.Decode(decoding, probe); err != nil {
		return nil, fmt.Errorf("%s: %w", found.place, err)
	}
	return found.text, nil
}
