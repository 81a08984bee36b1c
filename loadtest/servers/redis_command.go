package servers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	// commandWaitMax bounds one command and its answer.
	commandWaitMax = 5 * time.Second
	// replyBytesMax bounds one string of an answer, and repliesMax how many an
	// answer may have.
	replyBytesMax = 1 << 20
	repliesMax    = 1 << 16
)

// command sends one command over the Unix socket and returns what came back, the
// strings of nested answers one after the other.
func (r *Redis) command(words ...string) ([]string, error) {
	conn, err := net.DialTimeout("unix", r.SocketPath(), commandWaitMax)
	if err != nil {
		return nil, fmt.Errorf("send %s to Redis: %w", words[0], err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(commandWaitMax)); err != nil {
		return nil, err
	}
	var request strings.Builder
	fmt.Fprintf(&request, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := io.WriteString(conn, request.String()); err != nil {
		return nil, fmt.Errorf("send %s to Redis: %w", words[0], err)
	}
	reply, err := readReply(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, fmt.Errorf("send %s to Redis: %w", strings.Join(words, " "), err)
	}
	return reply, nil
}

// readReply appends the strings of one answer.
func readReply(from *bufio.Reader, reply []string) ([]string, error) {
	line, err := from.ReadString('\n')
	if err != nil {
		return reply, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return reply, errors.New("an empty line instead of an answer")
	}
	kind, text := line[0], line[1:]
	switch kind {
	case '+', ':':
		return append(reply, text), nil
	case '-':
		return reply, errors.New(text)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n > replyBytesMax || kind == '*' && n > repliesMax || kind != '$' && kind != '*' {
		return reply, fmt.Errorf("unknown answer %q", line)
	}
	if kind == '*' {
		for i := 0; i < n && err == nil; i++ {
			reply, err = readReply(from, reply)
		}
		return reply, err
	}
	if n < 0 {
		return append(reply, ""), nil
	}
	body := make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(from, body); err != nil {
		return reply, err
	}
	return append(reply, string(body[:n])), nil
}

// says reports whether the answer to a command holds a text.
func (r *Redis) says(text string, words ...string) bool {
	reply, err := r.command(words...)
	return err == nil && strings.Contains(strings.Join(reply, "\n"), text)
}

// commands sends several commands and stops at the first that is refused.
func (r *Redis) commands(all ...[]string) error {
	for _, words := range all {
		if _, err := r.command(words...); err != nil {
			return err
		}
	}
	return nil
}

// RedisCounts are what a server has counted since it began.
type RedisCounts struct {
	// Commands is how many commands it has answered.
	Commands int64
	// BytesIn and BytesOut are what it has received and sent.
	BytesIn, BytesOut int64
}

// Counts reads the server's counters. That is a command of its own.
func (r *Redis) Counts() (RedisCounts, error) {
	reply, err := r.command("INFO", "stats")
	if err != nil {
		return RedisCounts{}, err
	}
	values := map[string]int64{}
	for line := range strings.Lines(strings.Join(reply, "\n")) {
		if name, text, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			values[name], _ = strconv.ParseInt(text, 10, 64) // those that are read are whole numbers
		}
	}
	return RedisCounts{values["total_commands_processed"], values["total_net_input_bytes"], values["total_net_output_bytes"]}, nil
}

// Command sends one command, as another user of the server, and returns what came back, the
// strings of nested answers one after the other.
func (r *Redis) Command(words ...string) ([]string, error) { return r.command(words...) }
