package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

const (
	// filesMin is how many descriptors should be allowed: two for each of some hundred
	// clients, and those of our own.
	filesMin = 1024
	// memoryFactor is how much more a process takes than its entries.
	memoryFactor = 3
	// clocksApartMax is how far clocks may be apart.
	clocksApartMax = time.Second
)

// limits compares what the machine allows with what a sidecar takes.
func (e *examination) limits(context.Context) {
	text := fmt.Sprintf("%d open files", e.machine.Files)
	wanted := e.MemoryBytes * memoryFactor
	if e.machine.Memory > 0 {
		text += ", " + humanize.IBytes(uint64(e.machine.Memory)) + " of memory"
	}
	switch {
	case e.machine.Files < filesMin:
		e.add(Warn, "limits", text+": each client takes two files", "LimitNOFILE=65536 in the unit, or ulimit -n 65536")
	case e.machine.Memory > 0 && e.machine.Memory < wanted:
		e.add(Warn, "limits", fmt.Sprintf("%s; with --memory %s the process takes up to %s", text, humanize.IBytes(uint64(e.MemoryBytes)), humanize.IBytes(uint64(wanted))), "lower --memory, or raise the limit of the container")
	default:
		e.add(OK, "limits", text, "")
	}
}

// redis checks the shared tier.
func (e *examination) redis(ctx context.Context) {
	if e.RedisURL == "" {
		e.add(OK, "redis", "none is configured: one tier", "")
		return
	}
	found, err := redis.Inspect(ctx, e.RedisURL)
	if err != nil {
		e.add(Fail, "redis", err.Error(), "see that --redis is right; without Redis reads go on, from memory and Postgres")
		return
	}
	e.judgeRedis(found)
}

// judgeRedis says what is to be said of a Redis that does what it is asked for.
func (e *examination) judgeRedis(found redis.Inspection) {
	text := fmt.Sprintf("Redis %s, %s, %s", found.Version, found.Mode, short(found.RoundTrip))
	switch {
	case found.SlotsMissing > 0:
		e.add(Warn, "redis", fmt.Sprintf("%s; %d slots of the cluster are served by no node", text, found.SlotsMissing), "mend the cluster (redis-cli --cluster fix)")
	case found.ClockAhead.Abs() > clocksApartMax+found.RoundTrip:
		e.add(Warn, "redis", text+"; its clock is "+found.ClockAhead.Round(time.Millisecond).String()+" before this machine's: entries live shorter", "set the clocks by NTP")
	case found.MemoryMax == 0:
		e.add(Warn, "redis", text+"; no maxmemory: it grows until the machine has no memory left", "CONFIG SET maxmemory 1gb, and maxmemory-policy allkeys-lfu")
	case found.Policy == "noeviction":
		e.add(Warn, "redis", text+"; maxmemory-policy is noeviction: once it is full it refuses writes", "CONFIG SET maxmemory-policy allkeys-lfu")
	default:
		e.add(OK, "redis", text+", "+found.Policy, "")
	}
}

// dialMax bounds the question whether somebody listens.
const dialMax = time.Second

// socket checks whether a sidecar can listen, or who does.
func (e *examination) socket(context.Context) {
	if e.SocketDir == "" {
		return
	}
	dir, err := filepath.Abs(e.SocketDir)
	if err != nil {
		e.add(Fail, "socket", err.Error(), "")
		return
	}
	path := transport.SocketPath(dir, e.Port)
	if err := transport.CheckSocketPath(path); err != nil {
		e.add(Fail, "socket", err.Error(), "")
		return
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.directory(dir, path)
	case err != nil:
		e.add(Fail, "socket", err.Error(), "run as a user who may reach "+dir)
	case info.Mode().Type() != fs.ModeSocket:
		e.add(Fail, "socket", path+" is no socket: it is in the way, and is not removed", "move it away, or choose another --socket-dir or --port")
	default:
		e.listener(path)
	}
}

// listener finds who listens.
func (e *examination) listener(path string) {
	conn, err := net.DialTimeout("unix", path, dialMax)
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.add(Fail, "socket", "this user may not connect to "+path, "freshet serve --socket-group GROUP, with this user in it")
		return
	case err != nil:
		e.add(OK, "socket", path+" was left behind by a process that is gone; freshet serve takes its place", "")
		return
	}
	defer conn.Close()
	text := "somebody listens on " + path
	if uid, err := transport.PeerOf(conn); err == nil {
		text += fmt.Sprintf(", as user %d", uid)
	}
	e.allowed(path, text)
}

// allowed says which users may connect, where the configuration names them, and finds those
// that the socket's permissions keep out all the same.
func (e *examination) allowed(path, text string) {
	if len(e.AllowedUIDs) == 0 {
		e.add(OK, "socket", text, "")
		return
	}
	var names, keptOut []string
	for _, uid := range e.AllowedUIDs {
		account := accountOf(uid)
		names = append(names, account.name)
		if !account.mayConnect(path) {
			keptOut = append(keptOut, account.name)
		}
	}
	text += "; allow-uids lets " + strings.Join(names, ", ")
	own := uint32(os.Getuid())
	if !slices.Contains(e.AllowedUIDs, own) {
		text += ", and not this user, " + accountOf(own).name
	}
	if len(keptOut) > 0 {
		e.add(Warn, "socket", text+"; its permissions keep out "+strings.Join(keptOut, ", "), "freshet serve --socket-group GROUP, with these users in it, or --socket-mode 0777")
		return
	}
	e.add(OK, "socket", text, "")
}

// directory checks that a socket could be made.
func (e *examination) directory(dir, path string) {
	at := dir
	for {
		_, err := os.Stat(at)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			e.add(Fail, "socket", err.Error(), "choose another --socket-dir")
			return
		}
		at = filepath.Dir(at)
	}
	probe, err := os.CreateTemp(at, ".freshet-doctor-*")
	if err != nil {
		e.add(Fail, "socket", "this user may not make files in "+at, "make "+dir+" and give it to the user that serve runs as, or choose another --socket-dir")
		return
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name()) // it was made a moment ago
	e.add(OK, "socket", path+" can be made; nobody listens", "")
}

// clock compares the clocks of this machine and Postgres. Freshness does not rely on
// them; the times in logs and the lives of entries in Redis do.
func (e *examination) clock(ctx context.Context) {
	text := "up for " + e.machine.Up.Round(time.Second).String()
	if e.machine.Clock != "" {
		text += ", clock " + e.machine.Clock
	}
	if e.conn == nil {
		e.add(OK, "clock", text, "")
		return
	}
	var theirs time.Time
	began := e.machine.Now()
	if err := e.conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&theirs); err != nil {
		e.add(Warn, "clock", "Postgres does not say what time it is: "+err.Error(), "")
		return
	}
	ended := e.machine.Now()
	ahead := theirs.Sub(began.Add(ended.Sub(began) / 2))
	if ahead.Abs() > clocksApartMax+ended.Sub(began) {
		e.add(Warn, "clock", text+"; Postgres' clock is "+ahead.Round(time.Millisecond).String()+" before this machine's", "set the clocks by NTP: freshness does not rely on them, logs and lives in Redis do")
		return
	}
	e.add(OK, "clock", text+"; Postgres' differs by "+short(ahead.Abs()), "")
}

// settings tells what is wrong with the configuration.
func (e *examination) settings(context.Context) {
	for _, problem := range e.Settings {
		e.add(Fail, "settings", problem, "freshet config check")
	}
	if len(e.Settings) == 0 {
		e.add(OK, "settings", "valid", "")
	}
}
