package main

import (
	"encoding"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// configText writes the options of a parsed command line as a configuration file,
// with a comment behind each that says where its value is from if that is asked for.
func configText(parsed *kong.Context, origins bool) ([]byte, error) {
	var text yaml.MapSlice
	comments := yaml.CommentMap{}
	given := flagsOnTheLine(parsed)
	known := configFlags(parsed.Model.Node)
	for _, flag := range parsed.Selected().Flags {
		if _, ok := known[flag.Name]; !ok {
			continue
		}
		text = append(text, yaml.MapItem{Key: flag.Name, Value: configValue(flag.Target.Interface())})
		if origins {
			comments["$."+flag.Name] = []*yaml.Comment{yaml.LineComment(" " + origin(parsed, flag, given[flag]))}
		}
	}
	written, err := yaml.MarshalWithOptions(text, yaml.WithComment(comments))
	return emptyListBehindComment.ReplaceAll(written, []byte("$1: []$2")), err
}

// emptyListBehindComment is what the library makes of an empty list with a comment.
var emptyListBehindComment = regexp.MustCompile(`(?m)^(\S+)( # .*): \[\]$`)

// flagsOnTheLine are the flags that the command line itself gives.
func flagsOnTheLine(parsed *kong.Context) map[*kong.Flag]bool {
	given := map[*kong.Flag]bool{}
	for _, path := range parsed.Path {
		if path.Flag != nil && !path.Resolved {
			given[path.Flag] = true
		}
	}
	return given
}

// origin says where the value of a flag is from.
func origin(parsed *kong.Context, flag *kong.Flag, onTheLine bool) string {
	if onTheLine {
		return "--" + flag.Name
	}
	if name := setVariable(flag); name != "" {
		return name
	}
	for _, other := range parsed.Selected().Flags {
		if path, ok := other.Target.Interface().(configFile); ok && path != "" {
			// It was read without a problem a moment ago.
			values, err := readConfigFile(string(path), configFlags(parsed.Model.Node))
			if found, ok := values[flag.Name]; ok && err == nil {
				return found.place
			}
		}
	}
	return "default"
}

// setVariable is the environment variable that gives a flag its value, or "".
func setVariable(flag *kong.Flag) string {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return name
		}
	}
	return ""
}

// configValue is an option's value as the file has it.
func configValue(value any) any {
	switch v := value.(type) {
	case watchList:
		return []string(v)
	case userList:
		return []string(v)
	case functionList:
		return v.texts()
	case tableRules:
		return v.spelled()
	case shapeRules:
		return v.spelled()
	case databaseList:
		return v.shown()
	case time.Duration:
		return v.String()
	case encoding.TextMarshaler:
		text, err := v.MarshalText()
		if err != nil {
			return err.Error()
		}
		return string(text)
	case string:
		return hidePasswords(v)
	default:
		return v
	}
}

// passwords finds them in DSNs and URLs: behind the keyword and in the query, and
// before the host. What stands between them and the next blank or at-sign is hidden
// too, rather than too little.
var (
	passwordBehindKey  = regexp.MustCompile(`(?i)(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)`)
	passwordBeforeHost = regexp.MustCompile(`(://[^/?#@:\s]*:)\S*@`)
)

// hidePasswords replaces the passwords in a DSN or a URL.
func hidePasswords(text string) string {
	const hidden = "${1}*****"
	return passwordBeforeHost.ReplaceAllString(passwordBehindKey.ReplaceAllString(text, hidden), hidden+"@")
}

// MarshalText writes the octal digits.
func (m socketMode) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%04o", uint32(m)), nil }

// MarshalText writes the name of the level.
func (l logLevel) MarshalText() ([]byte, error) {
	for name, level := range logLevels {
		if level == l.Level() {
			return []byte(name), nil
		}
	}
	return nil, fmt.Errorf("%d is no level", l)
}
