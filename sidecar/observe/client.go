package observe

import (
	"maps"
	"slices"
	"strings"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/invalidation/settings"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// client is one session, as far as the cache would know it. It belongs to Observer.Run.
type client struct {
	role, database string
	// settings are those that it named when it connected and those that it has SET, by name
	// in lower case; local are those of its transaction.
	settings, local map[string]setting
	// meaning is what its statements mean under these settings, nil until it is asked for.
	meaning *meaning
	block   standing
	// written is what its transaction has changed, to be known with its end.
	written []change
	// temporary is set once it has made a temporary table.
	temporary bool
}

// setting is the value of one, as it is written behind SET … TO, or raw as it stands in a
// start-up message.
type setting struct {
	value string
	raw   bool
}

// standing is how a session stands to a transaction.
type standing byte

const (
	outside standing = iota // of any
	reading                 // in one that has changed nothing
	changed                 // in one that may have changed something, or that reads otherwise than READ COMMITTED
	broken                  // in one that has failed
)

func newClient(startup []byte) *client {
	c := &client{settings: map[string]setting{}, local: map[string]setting{}}
	parameters := strings.Split(string(startup[8:]), "\x00")
	for i := 0; i+1 < len(parameters); i += 2 {
		switch name, value := strings.ToLower(parameters[i]), parameters[i+1]; name {
		case "":
		case "user":
			c.role = value
		case "database":
			c.database = value
		case "options":
			c.readOptions(value)
		default:
			c.settings[name] = setting{value, true}
		}
	}
	if c.database == "" {
		c.database = c.role
	}
	return c
}

// readOptions reads -c name=value and --name=value.
func (c *client) readOptions(text string) {
	text = strings.ReplaceAll(text, "-c ", "-c")
	for word := range strings.FieldsSeq(text) {
		word, ok := strings.CutPrefix(word, "-c")
		if !ok {
			word, ok = strings.CutPrefix(word, "--")
		}
		if name, value, equals := strings.Cut(word, "="); ok && equals {
			c.settings[strings.ReplaceAll(strings.ToLower(name), "-", "_")] = setting{value, true}
		}
	}
}

// isSetting reports whether a statement changes settings and nothing else.
func isSetting(sql string) bool {
	switch analysis.FirstKeyword(sql) {
	case "SET", "RESET", "DISCARD":
		return true
	}
	return false
}

// set notes what a statement sets.
func (c *client) set(sql string) {
	c.meaning = nil
	words := strings.Fields(strings.TrimRight(sql, "; \t\r\n"))
	first, words := strings.ToUpper(words[0]), words[1:]
	into := c.settings
	if len(words) == 0 {
		return
	}
	switch strings.ToUpper(words[0]) {
	case "LOCAL":
		into, words = c.local, words[1:]
	case "SESSION":
		words = words[1:]
	}
	if len(words) == 0 {
		return
	}
	name, value := strings.ToLower(words[0]), strings.Join(words[1:], " ")
	if at := strings.IndexByte(name, '='); at > 0 {
		name, value = name[:at], words[0][at+1:]+" "+value
	}
	value = strings.TrimSpace(strings.TrimPrefix(value, "="))
	if len(value) > 3 && strings.EqualFold(value[:3], "TO ") {
		value = value[3:]
	}
	switch {
	case first == "DISCARD" && name == "all", first == "RESET" && name == "all":
		clear(c.settings)
		c.temporary = c.temporary && first == "RESET"
	case first == "DISCARD":
		c.temporary = c.temporary && !strings.HasPrefix(name, "temp")
	case first == "RESET", strings.EqualFold(value, "DEFAULT"):
		delete(into, name)
	case name == "time": // SET TIME ZONE
		into["timezone"] = setting{value: strings.TrimSpace(value[min(len("zone"), len(value)):])}
	default:
		into[name] = setting{value: value}
	}
}

// matters reports whether a setting has to do with answers.
func matters(name string) bool {
	switch name {
	case "search_path", "role", "authorization":
		return true
	}
	return slices.ContainsFunc(settings.Keyed, func(keyed string) bool { return strings.EqualFold(keyed, name) })
}

// state spells the settings: what sessions with the same one read is the same.
func (c *client) state() string {
	var b strings.Builder
	b.WriteString(c.role + "\x00" + c.database)
	for i, of := range []map[string]setting{c.settings, c.local} {
		for _, name := range slices.Sorted(maps.Keys(of)) {
			if !matters(name) {
				continue
			}
			b.WriteString("\x00" + string(rune('0'+i)) + name + "=" + of[name].value)
		}
	}
	return b.String()
}

// actingRole is the role whose rights count, by name.
func (c *client) actingRole() string {
	for _, of := range []map[string]setting{c.local, c.settings} {
		if s, ok := of["role"]; ok && !strings.EqualFold(s.value, "none") {
			return strings.Trim(s.value, `'"`)
		}
	}
	return c.role
}

// isolated reports whether its transactions read otherwise than READ COMMITTED.
func (c *client) isolated() bool {
	s, ok := c.settings["default_transaction_isolation"]
	return ok && !strings.Contains(strings.ToLower(s.value), "committed")
}

// control notes what a statement of transaction control does, before it is known how the
// transaction stands afterwards.
func (c *client) control(of block.Control) {
	switch of.Kind {
	case block.Begin:
		if c.block == outside {
			c.block = reading
		}
	case block.SetLocal:
		for _, s := range of.Settings {
			c.local[s.Name] = setting{value: s.Value, raw: !s.Written}
		}
		c.meaning = nil
	case block.Rollback:
		c.written = nil
	}
}

// stand notes how the transaction stands when Postgres is ready again, and returns what has
// come true.
func (c *client) stand(status byte) (committed []change) {
	switch status {
	case protocol.StatusIdle:
		committed, c.written = c.written, nil
		if len(c.local) > 0 {
			clear(c.local)
			c.meaning = nil
		}
		c.block = outside
	case protocol.StatusFailed:
		c.block, c.written = broken, nil
	default:
		if c.block == outside || c.block == broken { // a BEGIN that is not understood, or ROLLBACK TO
			c.block = changed
		}
	}
	return committed
}

// change is what one statement has changed.
type change struct {
	tags []fence.Tag
	// classes are those of further tags, as many of which have moved as there are rows.
	classes []fence.Class
	rows    int
	// tables are those whose every row may have changed.
	tables []uint32
	// definitions is set if names, rights or definitions may have.
	definitions bool
}
