package main

import (
	"errors"
	"fmt"
	"maps"
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
// Keys that no flag has, keys that stand twice, nested values where the flag reads none
// (see nested) and values that the flag does not take are errors, and all of them are told
// at once.
type configFile string

// BeforeResolve reads the file and offers its values to the parser.
func (f configFile) BeforeResolve(app *kong.Kong, ctx *kong.Context, trace *kong.Path) error {
	path, _ := ctx.FlagValue(trace.Flag).(configFile)
	if path == "" {
		return nil
	}
	values, err := readConfigFile(string(path), configFlags(app.Model.Node))
	if err != nil {
		return err
	}
	ctx.AddResolver(values)
	return nil
}

// configFlags are the flags of serve by their names: what a file may set. Other
// commands read the same file and take what they have a flag for.
func configFlags(root *kong.Node) map[string]*kong.Flag {
	flags := map[string]*kong.Flag{}
	for _, command := range root.Children {
		if command.Name != "serve" {
			continue
		}
		for _, flag := range command.Flags {
			if flag.Name != "config" && flag.Name != "help" {
				flags[flag.Name] = flag
			}
		}
	}
	return flags
}

// fileValues are the values of a file by key. It is a kong.Resolver.
type fileValues map[string]fileValue

type fileValue struct {
	place string // file and line
	text  string
	list  bool // text was a list, and its items are separated by commas
}

func readConfigFile(path string, known map[string]*kong.Flag) (fileValues, error) {
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
	var problems []error
	for _, document := range file.Docs {
		problems = append(problems, values.add(path, document.Body, known))
	}
	return values, errors.Join(problems...)
}

// add takes in the keys of one document.
func (v fileValues) add(path string, body ast.Node, known map[string]*kong.Flag) error {
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
	var problems []error
	for _, pair := range pairs {
		key := pair.Key.GetToken().Value
		if key == limitsKey {
			problems = append(problems, v.addLimits(path, pair.Value, known))
			continue
		}
		place := fmt.Sprintf("%s:%d", path, pair.Key.GetToken().Position.Line)
		problems = append(problems, v.addPair(place, key, pair.Value, known))
	}
	return errors.Join(problems...)
}

// limitsKey is a key that stands for several options: those that bound something.
const limitsKey = "limits"

// limitOptions are the options that the keys below limits stand for.
var limitOptions = map[string]string{"clients": "max-clients", "upstream": "max-upstream", "entry": "max-entry", "memory": "memory", "drain": "drain"}

// addLimits takes in the keys below limits.
func (v fileValues) addLimits(path string, node ast.Node, known map[string]*kong.Flag) error {
	pairs, ok := pairsOf(node)
	if !ok {
		return fmt.Errorf("%s:%d: key %q: it has keys: write such as {clients: 2000, memory: 256MiB}", path, node.GetToken().Position.Line, limitsKey)
	}
	var problems []error
	for _, pair := range pairs {
		key := pair.Key.GetToken().Value
		place := fmt.Sprintf("%s:%d", path, pair.Key.GetToken().Position.Line)
		option, ok := limitOptions[key]
		if !ok {
			problems = append(problems, fmt.Errorf("%s: below %q: %w", place, limitsKey, unknownKey(key, slices.Sorted(maps.Keys(limitOptions)))))
			continue
		}
		problems = append(problems, v.addPair(place, option, pair.Value, known))
	}
	return errors.Join(problems...)
}

// addPair takes in one key.
func (v fileValues) addPair(place, key string, node ast.Node, known map[string]*kong.Flag) error {
	flag, ok := known[key]
	if !ok {
		return fmt.Errorf("%s: %w", place, unknownKey(key, append(slices.Sorted(maps.Keys(known)), limitsKey)))
	}
	if before, ok := v[key]; ok {
		return fmt.Errorf("%s: key %q stands at %s already; keep one of them", place, key, before.place)
	}
	value := fileValue{place: place}
	if option, ok := reflect.New(flag.Target.Type()).Interface().(nested); ok {
		file := place[:strings.LastIndexByte(place, ':')]
		err := option.readNode(node, func(n ast.Node) string {
			return fmt.Sprintf("%s:%d: %s: ", file, n.GetToken().Position.Line, key)
		})
		v[key] = fileValue{place: place, text: option.text()}
		return err
	}
	if err := value.read(node); err != nil {
		return fmt.Errorf("%s: key %q: %w", place, key, err)
	}
	v[key] = value
	if err := value.try(flag); err != nil {
		return fmt.Errorf("%s: key %q: %w", place, key, err)
	}
	return nil
}

// try reads the value as the flag does, for nothing, so that an error names the line.
func (v fileValue) try(flag *kong.Flag) error {
	if v.list && flag.Target.Kind() != reflect.Slice {
		return errors.New("it takes one value, not a list")
	}
	if flag.Enum != "" && !slices.Contains(flag.EnumSlice(), v.text) {
		return fmt.Errorf("%q is none of %s", v.text, flag.Enum)
	}
	probe := reflect.New(flag.Target.Type()).Elem()
	decoding := &kong.DecodeContext{Value: flag.Value, Scan: kong.Scan().PushTyped(v.text, kong.FlagValueToken)}
	return flag.Mapper.Decode(decoding, probe)
}

// unknownKey is the error for a key that is none of those known, in their order.
func unknownKey(key string, known []string) error {
	if near := nearest(strings.ReplaceAll(key, "_", "-"), known); near != "" {
		return fmt.Errorf("unknown key %q; did you mean %q?", key, near)
	}
	return fmt.Errorf("unknown key %q; known are %s", key, strings.Join(known, ", "))
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
	if !ok || setVariable(flag) != "" {
		return nil, nil
	}
	return found.text, nil
}
