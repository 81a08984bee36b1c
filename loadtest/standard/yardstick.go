package standard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/freshet/freshet/loadtest/report"
	"github.com/freshet/freshet/loadtest/servers"
)

// Yardsticks answer no SQL: they say what a round trip over a socket costs at the least.
const (
	redisYardstick = "redis-benchmark"
	echoYardstick  = "echo"
)

// Yardsticks are their names.
var Yardsticks = []string{redisYardstick, echoYardstick}

var yardsticks = map[string]func(context.Context, *Options) (*player, error){
	redisYardstick: launchRedisYardstick,
	echoYardstick:  launchEcho,
}

// messageSize is how many bytes are asked with, and answered: about those of a row by its key,
// prepared.
const messageSize = 64

// launchRedisYardstick starts a Redis that redis-benchmark asks for one key.
func launchRedisYardstick(ctx context.Context, o *Options) (*player, error) {
	redis, err := servers.LaunchRedis(ctx, servers.RedisOptions{})
	if err != nil {
		return nil, err
	}
	p := &player{found: report.Target{Name: redisYardstick, About: fmt.Sprintf("redis-benchmark -t get -d %d: what a socket round trip costs a server in C", messageSize), Promise: "no SQL"}, close: redis.Close}
	p.turn = func(ctx context.Context, length time.Duration) (report.Turn, error) {
		before := redis.ProcessorTime()
		found, err := askRedis(ctx, redis.SocketPath(), length, o)
		if err != nil {
			return report.Turn{}, err
		}
		turn := found.turn()
		turn.Computed("redis", redis.ProcessorTime()-before)
		return turn, nil
	}
	return p, nil
}

// redisLine is the line of a figure in the form of a table with commas: requests a second, and
// of latencies in milliseconds the average, p50, p95, p99 and the longest.
var redisLine = regexp.MustCompile(`(?m)^"GET","([0-9.]+)","([0-9.]+)","[0-9.]+","([0-9.]+)","[0-9.]+","([0-9.]+)","([0-9.]+)"`)

// guessedRate is how many requests a second redis-benchmark is first tried with: it is told a
// number of requests, not a time.
const guessedRate = 20_000

func askRedis(ctx context.Context, socket string, length time.Duration, o *Options) (found outcome, err error) {
	rate := float64(guessedRate)
	for _, share := range []float64{0.1, 1} { // the first try says how many requests a turn takes
		requests := max(1000, int64(share*length.Seconds()*rate))
		said, err := execute(ctx, redisYardstick, "-s", socket, "-t", "get", "-d", strconv.Itoa(messageSize), "-c", strconv.Itoa(o.Clients), "-n", strconv.FormatInt(requests, 10), "--csv")
		if err != nil {
			return found, err
		}
		line := redisLine.FindStringSubmatch(said.text)
		if line == nil {
			return found, fmt.Errorf("read the figures of redis-benchmark: it said: %s", lastLines(said.text))
		}
		var n [5]float64
		for i := range n {
			n[i], _ = strconv.ParseFloat(line[i+1], 64) // the pattern says that they are numbers
		}
		rate = n[0]
		found = outcome{count: requests, perSecond: rate, used: said.used,
			latency: report.Latency{Count: requests, Mean: 1000 * n[1], P50: 1000 * n[2], P99: 1000 * n[3], Max: 1000 * n[4]}}
	}
	return found, nil
}

// launchEcho starts a server that sends back what it is sent.
func launchEcho(ctx context.Context, o *Options) (_ *player, err error) {
	if len(o.Echo) == 0 {
		return nil, errors.New("start the echo server: no command is known that serves it")
	}
	dir, err := os.MkdirTemp("", "echo")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the echo server: %w", err)
	}
	socket := filepath.Join(dir, "s")
	server := exec.Command(o.Echo[0], append(o.Echo[1:], socket)...)
	server.SysProcAttr = servers.ChildAttributes()
	ready, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the echo server: %w", err), os.RemoveAll(dir))
	}
	stop := func() error {
		_ = server.Process.Kill() // it has nothing to lose
		_ = server.Wait()         // it ends by the signal
		return os.RemoveAll(dir)
	}
	if _, err := io.ReadFull(ready, make([]byte, len(echoReady))); err != nil {
		return nil, errors.Join(fmt.Errorf("start the echo server: %w", err), stop())
	}
	p := &player{found: report.Target{Name: echoYardstick, About: fmt.Sprintf("a Go server that sends back %d bytes: the limit of the language", messageSize), Promise: "no SQL"}, close: stop}
	p.turn = func(ctx context.Context, length time.Duration) (report.Turn, error) {
		before := servers.ProcessorTimeOf(server.Process.Pid)
		found, err := askEcho(ctx, socket, length, o.Clients)
		if err != nil {
			return report.Turn{}, err
		}
		turn := found.turn()
		turn.Computed(echoYardstick, servers.ProcessorTimeOf(server.Process.Pid)-before)
		return turn, nil
	}
	return p, nil
}

// askEcho lets clients send and hear messages for a while.
func askEcho(ctx context.Context, socket string, length time.Duration, clients int) (outcome, error) {
	var asking sync.WaitGroup
	all, failed := make([]distribution, clients), make([]error, clients)
	began := time.Now()
	for i := range clients {
		asking.Go(func() { all[i], failed[i] = sendAndHear(ctx, socket, began.Add(length)) })
	}
	asking.Wait()
	took := time.Since(began)
	var sum distribution
	for _, d := range all {
		sum = append(sum, d...)
	}
	count := int64(len(sum))
	return outcome{count: count, perSecond: float64(count) / took.Seconds(), latency: sum.latency()}, errors.Join(failed...)
}

func sendAndHear(ctx context.Context, socket string, until time.Time) (d distribution, err error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("connect to the echo server: %w", err)
	}
	defer conn.Close()
	var message [messageSize]byte
	for sent := time.Now(); sent.Before(until) && ctx.Err() == nil; {
		if _, err = conn.Write(message[:]); err == nil {
			_, err = io.ReadFull(conn, message[:])
		}
		if err != nil {
			return d, fmt.Errorf("hear the echo server: %w", err)
		}
		heard := time.Now()
		d.add(float64(heard.Sub(sent).Nanoseconds())/1000, 1)
		sent = heard
	}
	return d, nil
}

// echoReady is what an echo server prints when it listens.
const echoReady = "ready\n"

// ServeEcho serves on a Unix socket until the process ends: what a client sends is sent back.
func ServeEcho(socket string) error {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("serve an echo: %w", err)
	}
	fmt.Print(echoReady)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("serve an echo: %w", err)
		}
		go echo(conn)
	}
}

func echo(conn net.Conn) {
	defer conn.Close()
	var message [4096]byte
	for {
		n, err := conn.Read(message[:])
		if err != nil {
			return
		}
		if _, err := conn.Write(message[:n]); err != nil {
			return
		}
	}
}
