package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	redisSocketName = "redis.sock"
	// probeWaitMax bounds one question to a Redis that may not answer.
	probeWaitMax = 500 * time.Millisecond
)

// RedisOptions says how a server differs from the usual one. The zero value is
// the usual one.
type RedisOptions struct {
	// Settings are directives of redis.conf, such as maxmemory or requirepass.
	Settings map[string]string
	// TCP makes the server listen on a free port of 127.0.0.1 too, and URL return
	// that.
	TCP bool
	// Persist makes every write durable, so that data survive Stop and Kill. By
	// default a stopped server forgets everything.
	Persist bool
}

// Redis is a running, or stopped, throwaway Redis. Its addresses stay the same
// until Close.
type Redis struct {
	*daemon
	options RedisOptions
	role    redisRole
	path    string // of the program
	port    int    // 0 without TCP
	busPort int    // of a node of a Cluster
}

// redisRole is what a server is started as.
type redisRole int

const (
	roleAlone redisRole = iota
	roleClusterNode
	roleSentinel
)

// LaunchRedis starts a server and returns when it answers. ctx bounds the start
// only. The caller must Close it.
func LaunchRedis(ctx context.Context, options RedisOptions) (*Redis, error) {
	return launchRedis(ctx, options, roleAlone)
}

func launchRedis(ctx context.Context, options RedisOptions, role redisRole) (*Redis, error) {
	path, err := FindRedis()
	if err != nil {
		return nil, err
	}
	d, err := newDaemon("Redis")
	if err != nil {
		return nil, err
	}
	r := &Redis{daemon: d, options: options, role: role, path: path}
	if err := r.launch(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Redis) launch(ctx context.Context) error {
	if r.role == roleSentinel {
		if err := r.writeSentinelFile(); err != nil {
			return err
		}
	}
	return onFreePorts(r.LogTail, func() error {
		var err error
		if r.options.TCP {
			if r.port, err = freePort(); err != nil {
				return err
			}
		}
		if r.role == roleClusterNode {
			if r.busPort, err = freePort(); err != nil {
				return err
			}
		}
		return r.start(ctx)
	})
}

func (r *Redis) start(ctx context.Context) error {
	return r.begin(ctx, r.path, r.arguments(), func(*process) bool { return redisAnswers(r.SocketPath()) })
}

func (r *Redis) arguments() []string {
	arguments := []string{
		"--port", strconv.Itoa(r.port), "--bind", loopback,
		"--unixsocket", r.SocketPath(), "--unixsocketperm", "777",
		"--dir", r.dir, "--daemonize", "no",
	}
	switch r.role {
	case roleSentinel:
		// Sentinels keep their state in their configuration file.
		arguments = append([]string{r.sentinelFile(), "--sentinel"}, arguments...)
	case roleClusterNode:
		arguments = append(arguments, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(r.busPort),
			"--cluster-announce-ip", loopback)
	}
	switch {
	case r.role == roleSentinel:
	case r.options.Persist:
		arguments = append(arguments, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	default:
		arguments = append(arguments, "--save", "", "--appendonly", "no")
	}
	for name, value := range r.options.Settings {
		arguments = append(arguments, "--"+name, value)
	}
	return arguments
}

// redisAnswers reports whether the server serves commands: it refuses them while
// it reads its data. A server that asks for a password is ready.
func redisAnswers(socket string) bool {
	reply, err := askRedis(socket, "PING\r\n")
	return err == nil && (strings.HasPrefix(reply, "+PONG") || strings.HasPrefix(reply, "-NOAUTH"))
}

// shutDownOrphan ends a Redis whose starter is dead, where the kernel did not.
// There is nobody to tell if that fails.
func shutDownOrphan(socket string) {
	_, _ = askRedis(socket, "SHUTDOWN NOSAVE\r\n")
}

func askRedis(socket, command string) (string, error) {
	conn, err := net.DialTimeout("unix", socket, probeWaitMax)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(probeWaitMax)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, command); err != nil {
		return "", err
	}
	return bufio.NewReader(conn).ReadString('\n')
}

// URL is unix:///path/redis.sock or, with RedisOptions.TCP, redis://127.0.0.1:port.
func (r *Redis) URL() string {
	if r.options.TCP {
		return "redis://" + net.JoinHostPort(loopback, strconv.Itoa(r.port))
	}
	return "unix://" + r.SocketPath()
}

// SocketPath is the path of the Unix socket.
func (r *Redis) SocketPath() string { return filepath.Join(r.dir, redisSocketName) }

// Port is the TCP port; 0 unless RedisOptions.TCP was set.
func (r *Redis) Port() int { return r.port }

// Start starts a stopped or killed server and returns when it answers.
func (r *Redis) Start() error { return r.startAgain(r.start) }

// Stop ends the server and waits for its end, for at most half a minute.
// Stopping a stopped server does nothing; a paused one is resumed to stop.
func (r *Redis) Stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopLocked(stopWaitMax, syscall.SIGTERM, syscall.SIGCONT)
}

// Restart is a stop and a start.
func (r *Redis) Restart() error {
	if err := r.Stop(); err != nil {
		return err
	}
	return r.Start()
}

// Pause stops the server from running without closing its connections, as a
// hung machine would; Resume undoes it.
func (r *Redis) Pause() error { return r.signal("pause", syscall.SIGSTOP) }

// Resume lets a paused server run.
func (r *Redis) Resume() error { return r.signal("resume", syscall.SIGCONT) }

func (r *Redis) signal(what string, sig syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.server.running() {
		return fmt.Errorf("%s Redis: it is not running", what)
	}
	if err := r.server.signal(sig); err != nil {
		return fmt.Errorf("%s Redis: %w", what, err)
	}
	return nil
}

// Close ends the server and removes its files. It may be called more than once.
func (r *Redis) Close() error { return r.close(nil) }
